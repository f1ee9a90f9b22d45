"""IPNs as an account sends them that ticked the boxes of QLM's page, to be changed field by field."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.plugins.avangate.signer import Fields


@dataclass(frozen=True, kw_only=True)
class Line:
    pid: str = "101"
    name: str = "Alpha"
    quantity: str = "1"
    ref: str = "AAAAAAAAAA"
    expires: str = "2027-01-01 00:00:00"
    lifetime: str = "NO"


ALPHA = Line()
BETA = Line(pid="102", name="Beta", ref="BBBBBBBBBB", expires="2027-06-01 00:00:00")


@dataclass(frozen=True, kw_only=True)
class Order:
    """`extra` replaces fields of the same name, and adds others before IPN_DATE; `without` leaves fields out."""

    refno: str = "900000001"
    status: str = "COMPLETE"
    email: str = "a@example.com"
    first_name: str = "Ann"
    last_name: str = "Smith"
    lines: Sequence[Line] = (Line(),)
    sale_date: str = "2026-01-01 10:00:00"
    ipn_date: str = "20260101100500"
    extra: Fields = ()
    without: Sequence[str] = ()

    def changed(self, **changes: object) -> "Order":
        return replace(self, **changes)  # type: ignore[arg-type]

    def fields(self) -> list[tuple[str, str]]:
        every: list[tuple[str, str]] = [
            ("SALEDATE", self.sale_date),
            ("REFNO", self.refno),
            ("REFNOEXT", ""),
            ("ORDERNO", "7"),
            ("ORDERSTATUS", self.status),
            ("FIRSTNAME", self.first_name),
            ("LASTNAME", self.last_name),
            ("COMPANY", ""),
            ("COUNTRY", "United States of America"),
            ("PHONE", "+1 555 0100"),
            ("CUSTOMEREMAIL", self.email),
            ("CURRENCY", "USD"),
            ("IPN_TOTALGENERAL", "29.00"),
            ("VENDOR_CODE", "EXAMPLE"),
        ]
        for name, part in {
            "IPN_PID[]": "pid",
            "IPN_PNAME[]": "name",
            "IPN_QTY[]": "quantity",
            "IPN_LICENSE_PROD[]": "pid",
            "IPN_LICENSE_REF[]": "ref",
            "IPN_LICENSE_EXP[]": "expires",
            "IPN_LICENSE_LIFETIME[]": "lifetime",
        }.items():
            every += [(name, getattr(line, part)) for line in self.lines]
        replaced = {name for name, _ in self.extra} | set(self.without)
        every = [pair for pair in every if pair[0] not in replaced]
        date = [] if "IPN_DATE" in replaced else [("IPN_DATE", self.ipn_date)]
        return [*every, *self.extra, *date]

    def receipt_values(self) -> tuple[str, str, str]:
        return self.lines[0].pid, self.lines[0].name, self.ipn_date
