"""Every exception of qlmhook, on one screen, with what a program learns of it: HTTP status and exit status."""

from typing import ClassVar


class QlmhookError(Exception):
    """Base of all: its text is a sentence for the person who will read it.

    Over HTTP an error is our own fault unless its class says otherwise: 503, send again.
    """

    status: ClassVar[int] = 503
    """How a request is answered that meets this error. 4xx: not from the vendor, or not to be understood."""
    exit_code: ClassVar[int] = 1
    """How a command ends that meets this error; 2 is wrong usage, which click tells."""


class ConfigurationError(QlmhookError):
    """A setting is wrong or missing; the service does not start."""


class UpgradeFailed(QlmhookError):
    """The database cannot be carried to this release's tables as it is; its number stays as it was."""


class CopyFailed(QlmhookError):
    """The database cannot be carried to another one; that one has no row then."""


class PropertyError(QlmhookError):
    """A server property's value cannot be used; the text says what was meant."""


class NotFound(QlmhookError):
    """Something that a command names does not exist."""


class Inapplicable(QlmhookError):
    """What an operator decides does not fit the license as it is: it would change nothing, or take paid time away."""


class KeyNotMade(QlmhookError):
    """A key maker made no key; the text says what to do, and the order is held with it."""


class DeliveryFailed(QlmhookError):
    """An outbox row could not be delivered; `permanent` means that trying again is no use."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Refused(QlmhookError):
    """The notification is not accepted, and the reason lies with its sender: a 4xx answer."""

    status = 400


class MalformedNotification(Refused):
    """The body is no form, or a field that decides something is missing, repeated or misshapen."""


class UnsupportedContent(Refused):
    """The body's content type is not one that the vendor sends."""

    status = 415


class TooLarge(Refused):
    """The body, a value or the number of fields is over the limit."""

    status = 413


class WrongCredentials(Refused):
    """User or password are missing or wrong."""

    status = 401


class SignatureRejected(Refused):
    """The signature is missing or wrong, or made with an algorithm that is not allowed."""

    status = 403


class SourceRefused(Refused):
    """The request comes from an address that the setting `sources` does not name."""

    status = 403


class VendorDisabled(Refused):
    """The vendor is configured but switched off, or has no key to verify with."""

    status = 403


class UnknownVendor(Refused):
    """No vendor of that name is configured."""

    status = 404


class Unavailable(QlmhookError):
    """Our own fault: nothing was stored, the vendor shall send again."""


class Unstorable(QlmhookError):
    """The database is there, and does not take what it is given: sending the same again is no use by itself."""
