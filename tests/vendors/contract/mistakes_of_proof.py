"""Mistakes in the class, in its settings, and in `verify`."""

import hmac
import json
from collections.abc import Mapping
from datetime import timedelta

from marshmallow import EXCLUDE, Schema, fields

from qlmhook.vendors import Notification, SignatureRejected, VendorDisabled, Verified
from tests.vendors.contract.kiosk import Kiosk, SettingsSchema
from tests.vendors.contract.mistakes import fails


@fails("test_an_entry_point_of_the_plugins_name_registers_the_vendor")
class OtherName(Kiosk):
    """It has another name than its entry point."""

    plugin = "newsstand"


@fails("test_the_vendors_names_are_in_lower_case")
class NameWithCapitals(Kiosk):
    """Its alias is spelled as on the shop's door."""

    aliases = ("Corner Shop",)


@fails("test_the_content_type_is_one_that_the_vendor_posts")
class OtherContentType(Kiosk):
    """It takes what the shop does not post."""

    content_types = ("text/xml",)


@fails("test_the_published_sources_are_networks")
class SourceThatIsNoNetwork(Kiosk):
    """It names an address inside a network for the network."""

    published_sources = ("192.0.2.1/24",)


@fails("test_a_setting_that_does_not_exist_is_named")
class AnySetting(Kiosk):
    """It passes over settings that it does not know."""

    schema = SettingsSchema(unknown=EXCLUDE)


@fails("test_every_key_is_shown_under_a_name")
class NoKeys(Kiosk):
    """It says nothing of its keys."""

    def keys(self) -> Mapping[str, bytes]:
        return {}


@fails("test_every_key_is_shown_under_a_name")
class OnlyTheNewestKey(Kiosk):
    """It shows the newest key alone."""

    def keys(self) -> Mapping[str, bytes]:
        return {"secret": self.secrets[0]}


@fails("test_every_key_is_shown_under_a_name")
class KeysByThemselves(Kiosk):
    """It calls each key by what it is."""

    def keys(self) -> Mapping[str, bytes]:
        return {secret.decode(): secret for secret in self.secrets}


@fails("test_a_genuine_notification_is_verified")
class NoEndpoint(Kiosk):
    """Its proof names no endpoint."""

    def endpoint(self) -> str:
        return ""


@fails("test_one_changed_byte_is_refused")
class RemembersSignatures(Kiosk):
    """It believes a signature that was right before."""

    def matching(self, signed: bytes, received: str) -> bytes | None:
        known: dict[str, bytes] = self.__dict__.setdefault("known", {})
        found = super().matching(signed, received)
        if found is not None:
            known[received] = found
        return known.get(received)


@fails("test_the_body_is_verified_as_it_came")
class SignsWhatParsingMade(Kiosk):
    """It signs the JSON that it writes of the JSON that it read."""

    def signed_part(self, notification: Notification) -> bytes:
        try:
            return json.dumps(json.loads(notification.body)).encode()
        except (ValueError, RecursionError):
            return notification.body


@fails("test_the_body_is_verified_as_it_came")
class StripsTheBody(Kiosk):
    """It signs the body without the blanks around it."""

    def signed_part(self, notification: Notification) -> bytes:
        return notification.body.strip()


@fails("test_an_unsigned_notification_is_rejected")
class BelievesTheUnsigned(Kiosk):
    """It takes a message without a signature for the control panel's test button."""

    def verify(self, notification: Notification) -> Verified:
        if self.secrets and "X-Kiosk-Signature" not in notification.headers:
            return Verified(endpoint="panel", algorithm="none", key=self.secrets[0])
        return super().verify(notification)


@fails("test_a_notification_signed_with_another_key_is_rejected")
class KeyInTheCode(Kiosk):
    """It believes the key of the author's own account, too."""

    def matching(self, signed: bytes, received: str) -> bytes | None:
        own = b"synthetic-Secret1!"
        return own if self.same(self.digest(own, signed), received) else super().matching(signed, received)


@fails("test_without_a_key_the_vendor_is_disabled")
class NotDisabled(Kiosk):
    """It says of every signature that it is wrong when it has no key."""

    def verify(self, notification: Notification) -> Verified:
        try:
            return super().verify(notification)
        except VendorDisabled:
            raise SignatureRejected("The signature is missing or wrong.") from None


@fails("test_a_blank_key_signs_nothing")
class BlankKey(Kiosk):
    """It takes a line that was left blank for a secret."""

    schema = Schema.from_dict({"secrets": fields.List(fields.String(), load_default=list)})()


@fails("test_any_key_of_the_settings_may_verify")
class NewestKeyAlone(Kiosk):
    """It tries the newest key alone."""

    def matching(self, signed: bytes, received: str) -> bytes | None:
        newest = self.secrets[0]
        return newest if self.same(self.digest(newest, signed), received) else None


@fails("test_signatures_are_compared_in_constant_time")
class EqualSigns(Kiosk):
    """It compares with ==."""

    def same(self, expected: str, received: str) -> bool:
        return expected == received


@fails("test_signatures_are_compared_in_constant_time")
class StopsAtTheRightKey(Kiosk):
    """It tries no further key when one is right."""

    def matching(self, signed: bytes, received: str) -> bytes | None:
        return next((key for key in self.secrets if self.same(self.digest(key, signed), received)), None)


@fails("test_a_signature_within_the_tolerance_is_verified")
class NoTolerance(Kiosk):
    """It wants a message to arrive in the second in which it was signed."""

    def check_age(self, age: timedelta) -> None:
        if abs(age) > timedelta(seconds=1):
            raise SignatureRejected("The signature is not of now.")


@fails("test_a_signature_within_the_tolerance_is_verified")
class NothingFromTheFuture(Kiosk):
    """It refuses a shop whose clock goes some seconds before ours."""

    def check_age(self, age: timedelta) -> None:
        if age < timedelta():
            raise SignatureRejected("The signature is of the future.")
        super().check_age(age)


@fails("test_an_old_signature_is_refused")
class AnyAge(Kiosk):
    """It does not look when a message was signed."""

    def check_age(self, age: timedelta) -> None:
        pass


@fails("test_rubbish_is_refused")
class ReadsBeforeItBelieves(Kiosk):
    """It reads a body that nobody has signed."""

    def signed_part(self, notification: Notification) -> bytes:
        json.loads(notification.body)
        return notification.body


@fails("test_rubbish_is_refused")
class ReadsBeforeItVerifies(Kiosk):
    """It reads JSON that nobody has signed, and takes ValueError for all that this raises."""

    def verify(self, notification: Notification) -> Verified:
        try:
            json.loads(notification.body)
        except ValueError:
            raise SignatureRejected("The body is no JSON.") from None
        return super().verify(notification)


@fails("test_a_broken_signature_is_refused")
class ComparesTexts(Kiosk):
    """It gives compare_digest texts, of which some raise TypeError."""

    def same(self, expected: str, received: str) -> bool:
        return hmac.compare_digest(expected, received)


@fails("test_a_broken_signature_is_refused")
class ComparesTheBeginning(Kiosk):
    """It compares as many letters as came."""

    def same(self, expected: str, received: str) -> bool:
        begin = expected[: len(received)] if received else "no signature"
        return hmac.compare_digest(begin.encode(), received.encode())


@fails("test_a_refusal_tells_no_secret")
class TellsTheDigest(Kiosk):
    """It says which signature would have been right."""

    def matching(self, signed: bytes, received: str) -> bytes | None:
        found = super().matching(signed, received)
        if found is None:
            raise SignatureRejected(f"{self.digest(self.secrets[0], signed)} was expected.")
        return found
