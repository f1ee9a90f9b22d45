"""Checks of what leaves the house: receipts, questions to the shop, and texts for logs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from qlmhook.domain.events import Message
from qlmhook.errors import DeliveryFailed, MalformedNotification
from qlmhook.vendors.api import Answer, IssuedLicense, Notification, Outcome, Reply
from qlmhook.vendors.testing import odd_bodies
from qlmhook.vendors.testing.messages import NOON
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, attempt, expect_none

_SHOWN = 20


class Answers(PluginUnderTest):
    """The shop is answered, whatever it sent, and learns no secret."""

    def test_every_message_gets_a_receipt(self) -> None:
        """All is stored by now: an exception would make the shop send the same for ever."""
        vendor, faults = self._vendor(), []
        for name, notification in self._notifications(but={"unreadable"}).items():
            verified = self._verified(notification)
            for outcome in self._outcomes() if verified else ():
                told = attempt(vendor.receipt, notification, verified, outcome)
                if not isinstance(told, Reply):
                    faults.append(f"receipt() of `{name}` must not raise: {told!r}.")

        expect_none(faults)

    def test_a_message_that_lacks_a_part_gets_a_receipt(self) -> None:
        """What `parse` can do without, `receipt` can do without, too."""
        vendor = self._vendor()
        genuine = [
            notification
            for notification in self._notifications(but={"unreadable"}).values()
            if isinstance(attempt(self._receipt, notification), Reply)
        ]
        verified = self._verified(genuine[0]) if genuine else None
        faults = []
        for other in odd_bodies.without_a_part(genuine if verified else ()):
            if isinstance(attempt(vendor.parse, other), Message):
                told = attempt(vendor.receipt, other, verified, Outcome(at=NOON))
                if not isinstance(told, Reply):
                    faults.append(f"receipt() must not raise for a body like {other.body!r:.400}: {told!r}.")

        expect_none(faults[:_SHOWN])

    def test_the_receipt_has_a_status_of_success(self) -> None:
        """Everything else makes the shop send again what is stored already."""
        expect_none(
            f"The receipt of `{name}` has the status {reply.status} and the type {reply.content_type!r}: a status from "
            "200 to 299 and a content type are needed."
            for outcome in self._outcomes()
            for name, reply in self._receipts(outcome)
            if not (200 <= reply.status <= 299 and "/" in reply.content_type)
        )

    def test_the_receipt_is_the_same_at_the_same_time(self) -> None:
        """A receipt is made of the notification, the proof and the outcome, and of nothing else."""
        for outcome in self._outcomes():
            first, second = dict(self._receipts(outcome)), dict(self._receipts(outcome))

            expect_none(
                f"Two receipts of `{name}` differ: make it of the arguments alone, and take the time from outcome.at."
                for name in first
                if first[name] != second[name]
            )

    def test_the_receipt_tells_no_secret(self) -> None:
        """The receipt leaves the house: the key is not in it."""
        expect_none(
            f"The receipt of `{name}` has the secret in it: sign with it, and leave it out."
            for outcome in self._outcomes()
            for name, reply in self._receipts(outcome)
            if self.key in reply.body
        )

    def test_what_is_logged_tells_no_secret(self) -> None:
        """The texts that tracebacks and logs show of these objects have neither the key nor the body in them."""
        vendor, notification = self._vendor(), self._notifications()["paid"]
        verified = self._verified(notification)
        shown = " ".join(f"{part!r} {part}" for part in (vendor, notification, verified))
        secrets = [self.key, *([repr(verified.key)[2:-1]] if verified else ()), repr(notification.body)[2:-1]]

        assert not any(secret in shown for secret in secrets), (
            "repr() or str() of the vendor, the notification or the proof tells the key or the body: leave it out."
        )

    def test_asking_is_for_what_is_incomplete(self) -> None:
        """An answer that is no answer is a delivery that failed, and is tried again."""
        vendor = self._vendor()
        for name, notification in self._incomplete():
            for answer in (Answer(status=500, body=""), Answer(status=200, body="{"), Answer(status=200, body="null")):
                told = attempt(vendor.enrich, notification, _Shop(answer))
                if not isinstance(told, bytes):
                    assert isinstance(told, DeliveryFailed), (
                        f"enrich() of `{name}` must raise DeliveryFailed for the answer {answer.status} "
                        f"{answer.body!r}: {told!r}."
                    )
                    continue
                message = attempt(vendor.parse, replace(notification, enrichment=told))

                assert isinstance(message, MalformedNotification) or (
                    isinstance(message, Message) and (message.incomplete or not message.events)
                ), (
                    f"enrich() of `{name}` takes {answer.status} {answer.body!r} for an answer: raise DeliveryFailed. "
                    f"parse() then says {message!r}."
                )

    def test_what_is_incomplete_says_nothing_yet(self) -> None:
        """Half a message would be applied, and what is asked for come too late."""
        expect_none(
            f"The message `{name}` is incomplete and has events: return those when it is complete."
            for name, notification in self._incomplete()
            if self._vendor().parse(notification).events
        )

    def test_asking_tells_no_secret_of_the_signatures(self) -> None:
        """The key that proves where messages are from is for nothing else, and never stands in a URL."""
        asked: list[str] = []

        def watch(url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool = False) -> Answer:
            asked.append(f"{url} {dict(headers or {})}")
            return self.answer(url, headers, allow_private=allow_private)

        for _, notification in self._incomplete():
            attempt(self._vendor().enrich, notification, watch)

        expect_none(
            "enrich() tells the shop the secret that signatures are made with: ask with a credential of its own."
            for text in asked
            if self.key in text
        )

    def _incomplete(self) -> Iterator[tuple[str, Notification]]:
        """The messages that the shop must be asked about, as they are stored."""
        found = []
        for name, notification in self._notifications(but={"unreadable"}).items():
            stored = replace(notification, headers={}, arguments={})
            message = attempt(self._vendor().parse, stored)
            if isinstance(message, Message) and message.incomplete:
                found.append((name, stored))
        if not found:
            pytest.skip("No message is incomplete: there is nothing to ask for.")
        yield from found

    def _receipt(self, notification: Notification) -> Reply:
        vendor = self._vendor()
        return vendor.receipt(notification, vendor.verify(notification), Outcome(at=NOON))

    def _outcomes(self) -> list[Outcome]:
        issued = IssuedLicense(
            key="AAAAA-BBBBB-CCCCC",
            order_ref="1",
            line="1",
            unit=1,
            product_id="1",
            expires_at=NOON + timedelta(days=9),
        )
        forever = replace(issued, line="2", expires_at=None)
        return [Outcome(at=NOON), Outcome(at=NOON, licenses=(issued, forever))]


class _Shop:
    """Answers every question with the same."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool = False) -> Answer:
        return self._answer
