"""Every exception of qlmhook, on one screen."""


class QlmhookError(Exception):
    """Base of all: its text is a sentence for the person who will read it."""


class ConfigurationError(QlmhookError):
    """A setting is wrong or missing; the service does not start."""


class PropertyError(QlmhookError):
    """A server property's value cannot be used; the text says what was meant."""


class NotFound(QlmhookError):
    """Something that a command names does not exist."""


class KeyNotMade(QlmhookError):
    """A key maker made no key; the text says what to do, and the order is held with it."""


class DeliveryFailed(QlmhookError):
    """An outbox row could not be delivered; `permanent` means that trying again is no use."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Refused(QlmhookError):
    """The notification is not accepted, and the reason lies with its sender: a 4xx answer."""


class MalformedNotification(Refused):
    """The body is no form, or a field that decides something is missing, repeated or misshapen."""


class UnsupportedContent(Refused):
    """The body's content type is not one that the vendor sends."""


class TooLarge(Refused):
    """The body, a value or the number of fields is over the limit."""


class WrongCredentials(Refused):
    """User or password are missing or wrong."""


class SignatureRejected(Refused):
    """The signature is missing or wrong, or made with an algorithm that is not allowed."""


class SourceRefused(Refused):
    """The request comes from an address that the setting `sources` does not name."""


class VendorDisabled(Refused):
    """The vendor is configured but switched off, or has no key to verify with."""


class UnknownVendor(Refused):
    """No vendor of that name is configured."""


class Unavailable(QlmhookError):
    """Our own fault: nothing was stored, the vendor shall send again."""


class Unstorable(QlmhookError):
    """The database is there, and does not take what it is given: sending the same again is no use by itself."""
