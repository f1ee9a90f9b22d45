"""LCNs as an account sends them that ticked the boxes which decide something, to be changed field by field."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.plugins.avangate.signer import Fields


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """`expires` is EXPIRATION_DATE_TIME, and its day EXPIRATION_DATE.

    `extra` replaces fields of the same name, and adds others at the end; `without` leaves fields out.
    """

    ref: str = "AAAAAAAAAA"
    status: str = "ACTIVE"
    disabled: str = "0"
    expired: str = "0"
    expires: str = "2027-01-01 00:00:00"
    updated: str = "2026-01-10 12:00:00"
    email: str = "a@example.com"
    first_name: str = "Ann"
    last_name: str = "Smith"
    pid: str = "101"
    extra: Fields = ()
    without: Sequence[str] = ()

    def changed(self, **changes: object) -> "Subscription":
        return replace(self, **changes)  # type: ignore[arg-type]

    def fields(self) -> list[tuple[str, str]]:
        every: list[tuple[str, str]] = [
            ("FIRST_NAME", self.first_name),
            ("LAST_NAME", self.last_name),
            ("COMPANY", ""),
            ("EMAIL", self.email),
            ("PHONE", "+1 555 0100"),
            ("COUNTRY", "United States of America"),
            ("LICENSE_CODE", self.ref),
            ("EXPIRATION_DATE_TIME", self.expires),
            ("EXPIRATION_DATE", self.expires[:10]),
            ("DATE_UPDATED", self.updated),
            ("TEST", "0"),
            ("CHANGED_BY", "SYSTEM"),
            ("LICENSE_TYPE", "REGULAR"),
            ("DISABLED", self.disabled),
            ("RECURRING", "1"),
            ("LICENSE_PRODUCT", self.pid),
            ("STATUS", self.status),
            ("EXPIRED", self.expired),
            ("DISPATCH_REASON", "LICENCE_CHANGE"),
        ]
        replaced = {name for name, _ in self.extra} | set(self.without)
        return [*(pair for pair in every if pair[0] not in replaced), *self.extra]

    def receipt_values(self) -> tuple[str, str]:
        values = dict(self.fields())
        return values["LICENSE_CODE"], values.get("EXPIRATION_DATE", "")
