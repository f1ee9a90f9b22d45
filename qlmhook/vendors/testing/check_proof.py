"""Checks of `verify`: what is the vendor's is taken, and nothing else."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from qlmhook.errors import Refused, SignatureRejected, VendorDisabled
from qlmhook.vendors.api import Notification
from qlmhook.vendors.testing import odd_bodies
from qlmhook.vendors.testing.messages import NOON
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, attempt, expect_none, refusal
from qlmhook.vendors.testing.watched_builtins import watched

SKEW = timedelta(seconds=30)
"""How far a shop's clock may go before ours."""

_DIGEST = re.compile(r"[0-9A-Fa-f]{32}")

_BROKEN: tuple[Callable[[str], str], ...] = (
    lambda value: "",
    lambda value: " ",
    lambda value: "é",
    lambda value: "0" * 100_000,
    lambda value: value[:-1],
    lambda value: f"{value[:-1]}é",
    lambda value: value[: len(value) // 2],
)


class Proof(PluginUnderTest):
    """Nobody but the vendor is believed."""

    def test_a_genuine_notification_is_verified(self) -> None:
        """The proof says which endpoint, which algorithm and which key."""
        faults = []
        for name, notification in self._notifications().items():
            verified = self._verified(notification)
            if verified is None:
                told = attempt(refusal, self._vendor(), notification)
                faults.append(f"The message `{name}` is signed with the key of the settings, and is refused: {told}")
            elif not (verified.endpoint and verified.algorithm and verified.key):
                faults.append(f"The proof of `{name}` lacks its endpoint, algorithm or key: set all three.")

        expect_none(faults)

    def test_one_changed_byte_is_refused(self) -> None:
        """Nothing that is signed can be changed."""
        vendor = self._vendor()
        for name, notification in self._notifications().items():
            changed = list(self.changed(notification))
            attempt(vendor.verify, notification)

            assert changed, f"changed() yields nothing for `{name}`."
            expect_none(
                f"The message `{name}` is verified although its body was changed to {other.body!r}: sign all of it."
                for other in changed
                if not refusal(vendor, other)
            )

    def test_the_body_is_verified_as_it_came(self) -> None:
        """What was signed are the bytes; a shop spells JSON as it likes."""
        vendor = self._vendor()
        faults = []
        for name, body in self.messages().named():
            genuine = self.sign(body, self.key, NOON)
            for other in [] if genuine.fields else odd_bodies.spelled_otherwise(genuine.body):
                if not refusal(vendor, odd_bodies.with_body(genuine, other)):
                    faults.append(
                        f"The message `{name}` is verified with the signature of one that is spelled otherwise"
                    )
                if refusal(vendor, self.sign(other, self.key, NOON)):
                    faults.append(f"The message `{name}` is refused when the shop spells it otherwise and signs that")

        expect_none(f"{fault}: verify `notification.body` as it is, not what parsing made of it." for fault in faults)

    def test_an_unsigned_notification_is_rejected(self) -> None:
        """No signature is no proof."""
        expect_none(
            f"The message `{name}` without a signature must raise SignatureRejected."
            for name, notification in self._notifications().items()
            if not self._raises(SignatureRejected, self.unsigned(notification), self.key)
        )

    def test_a_notification_signed_with_another_key_is_rejected(self) -> None:
        """A signature counts only with a key of the settings."""
        expect_none(
            f"The message `{name}`, signed with a key that is not in the settings, must raise SignatureRejected."
            for name, notification in self._notifications().items()
            if not self._raises(SignatureRejected, notification, self.other_key)
        )

    def test_without_a_key_the_vendor_is_disabled(self) -> None:
        """An account without a key takes nothing, signed or not."""
        signed = self._notifications()
        unsigned = [self.unsigned(notification) for notification in signed.values()]

        assert all(self._raises(VendorDisabled, notification) for notification in [*signed.values(), *unsigned]), (
            "An account without a key must start, and verify() must raise VendorDisabled for every notification."
        )

    def test_a_blank_key_signs_nothing(self) -> None:
        """Everybody knows the empty secret; a setting that was left blank holds it."""
        blank = self.sign(self.messages().paid, "", NOON)

        expect_none(
            f"With the secrets {keys} a message signed with the empty secret is verified: leave out blank ones."
            for keys in [("",), (self.key, ""), ("", self.key)]
            if not self._refuses_or_does_not_start(blank, *keys)
        )

    def test_any_key_of_the_settings_may_verify(self) -> None:
        """While a key is changed, notifications come signed with the old one and with the new one."""
        notification = self._notifications()["paid"]
        proofs = [
            attempt(self.make_vendor(*keys).verify, notification)
            for keys in [(self.key,), (self.other_key, self.key), (self.key, self.other_key)]
        ]

        assert proofs[0] == proofs[1] == proofs[2], (
            "The same message is verified by its key wherever that stands in the settings, and the proof is the same."
        )

    def test_signatures_are_compared_in_constant_time(self) -> None:
        """`==` takes the longer the more of a guess is right, and all keys are tried whichever it is."""
        faults = []
        for name, notification in self._notifications().items():
            if self._verified(notification) is None:
                continue
            counts = [self._comparisons(notification, *keys) for keys in self._pairs_of_keys()]
            if not all(counts):
                faults.append(f"`{name}` is verified without hmac.compare_digest: compare signatures with it alone.")
            elif counts[0] != counts[1]:
                faults.append(f"`{name}` is compared less often when the first key is right: try all keys, always.")

        expect_none(faults)

    def test_a_signature_within_the_tolerance_is_verified(self) -> None:
        """Messages are under way for a while, and no two clocks are the same."""
        if self.tolerance is None:
            expect_none(self._forgotten_times())
            pytest.skip("`tolerance` is None: this shop's signatures carry no time.")
        ages = [-SKEW, timedelta(), self.tolerance / 2, self.tolerance - timedelta(seconds=1)]

        expect_none(
            f"A signature that is {age.total_seconds():.0f} seconds old when it comes is refused, although "
            f"`tolerance` is {self.tolerance}: compare its time with notification.received_at, and let some pass."
            for age in ages
            if not self._verifies_at_age(age)
        )

    def test_an_old_signature_is_refused(self) -> None:
        """What somebody recorded cannot be sent again for ever."""
        if self.tolerance is None:
            pytest.skip("`tolerance` is None: this shop's signatures carry no time.")
        expect_none(
            f"A signature is verified that was made {age} before it came, although `tolerance` is {self.tolerance}: "
            "raise SignatureRejected for one that is too old."
            for age in [self.tolerance + timedelta(seconds=1), timedelta(days=365)]
            if self._verifies_at_age(age)
        )

    def test_rubbish_is_refused(self) -> None:
        """What is no message of the vendor's gets a refusal, and not an internal error."""
        vendor = self._vendor()
        genuine = self._notifications()["paid"]

        for body in (*odd_bodies.RUBBISH, odd_bodies.NESTED):
            told = attempt(lambda rubbish=body: vendor.verify(odd_bodies.with_body(genuine, rubbish)))

            assert isinstance(told, Refused), (
                f"verify() must raise SignatureRejected or MalformedNotification for the body {body!r:.80}: {told!r}."
            )

    def test_a_broken_signature_is_refused(self) -> None:
        """`hmac.compare_digest` raises TypeError for text outside ASCII; bytes are what it compares."""
        vendor = self._vendor()
        genuine = self._notifications()["paid"]

        for broken in self._with_broken_signatures(genuine):
            told = attempt(vendor.verify, broken)
            shown = {**broken.headers, **{name: value for name, value in broken.fields if self._is_signature(name)}}

            assert isinstance(told, Refused), (
                f"verify() must raise SignatureRejected for a signature that is cut off or strange, like "
                f"{shown!r:.200}: {told!r}."
            )

    def test_a_refusal_tells_no_secret(self) -> None:
        """The text of a refusal is sent to whoever asked: it has neither the key nor a digest in it."""
        vendor = self._vendor()
        genuine = self._notifications()["paid"]
        refused = [self.unsigned(genuine), *self.changed(genuine), *self._with_broken_signatures(genuine)]
        texts = [str(attempt(refusal, vendor, one)) for one in refused]

        expect_none(
            f"A refusal tells a key or a digest: {text.replace(self.key, '[the key]')!r}. Leave it out."
            for text in texts
            if self.key in text or _DIGEST.search(text)
        )

    def _raises(self, error: type[Refused], notification: Notification, *keys: str) -> bool:
        return isinstance(attempt(lambda: self.make_vendor(*keys).verify(notification)), error)

    def _refuses_or_does_not_start(self, notification: Notification, *keys: str) -> bool:
        return isinstance(attempt(lambda: self.make_vendor(*keys).verify(notification)), Exception)

    def _comparisons(self, notification: Notification, *keys: str) -> int:
        vendor = self.make_vendor(*keys)
        with watched() as calls:
            attempt(vendor.verify, notification)
        return calls.comparisons

    def _pairs_of_keys(self) -> list[tuple[str, str]]:
        return [(self.key, self.other_key), (self.other_key, self.key)]

    def _verifies_at_age(self, age: timedelta) -> bool:
        signed = self.sign(self.messages().paid, self.key, NOON)
        return self._verified(replace(signed, received_at=NOON + age)) is not None

    def _forgotten_times(self) -> Iterator[str]:
        body = self.messages().paid
        if self.sign(body, self.key, NOON) != replace(self.sign(body, self.key, NOON + SKEW), received_at=NOON):
            yield "sign() makes another signature at another time: set `tolerance` to how old one may be when it comes."

    def _is_signature(self, name: str) -> bool:
        return name in self.vendor_class.signature_fields

    def _with_broken_signatures(self, genuine: Notification) -> Iterator[Notification]:
        for change in _BROKEN:
            headers = {name: change(value) for name, value in genuine.headers.items()}
            arguments = {name: change(value) for name, value in genuine.arguments.items()}
            fields = tuple(
                (name, change(value) if self._is_signature(name) else value) for name, value in genuine.fields
            )
            broken = replace(genuine, headers=headers, arguments=arguments, fields=fields)
            if broken != genuine:
                yield broken
