"""What a license of a product is, as the product's property says."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

FOREVER = datetime.max.replace(tzinfo=UTC)
"""The end of what does not end."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a license of a product is, as its property says.

    `source` is the property's value with everything that was spliced in or laid over it: terms are kept with what
    was sold by them, because the property may change afterwards.
    """

    product_id: int
    major_version: int
    minor_version: int
    product_name: str = ""
    license_model: str = ""
    engine_version: str = "6.0.00"
    duration_days: int | None = None
    end_date: date | None = None
    features: str = ""
    product_properties: str = ""
    one_key: bool = True
    activations_per_unit: int = 1
    additional_activations: int = 0
    seats_per_unit: int = 0
    maintenance: bool = False
    maintenance_days: int = 365
    maintenance_date: date | None = None
    affiliate: str = ""
    user_data: str = ""
    computer_type: int = 0
    legacy_key: str = ""
    key_maker: str = "random"
    order_template: str = ""
    renewal_template: str = ""
    send_mail: bool = True
    send_renewal_mail: bool = True
    mail_from: str = ""
    mail_subject: str = ""
    mail_cc: tuple[str, ...] = ()
    mail_bcc: tuple[str, ...] = ()
    confirm: bool = False
    source: str = field(default="", compare=False)

    @property
    def knows_its_end(self) -> bool:
        """Whether an order needs no date from the shop: it is said here when the license ends, or it may never."""
        is_dated = self.duration_days is not None or self.end_date is not None
        return is_dated or not self.license_model.startswith(("subscription", "trial"))

    def mail_template(self, *, renewal: bool) -> str:
        """Return the name of the template to mail with; empty for no mail."""
        if renewal:
            return (self.renewal_template or self.order_template) if self.send_renewal_mail else ""
        return self.order_template if self.send_mail else ""

    def end(self, start: datetime, zone: tzinfo) -> datetime | None:
        """Return when a license that starts then ends, the earlier of date and duration; None without either.

        Days end at 23:59:59 in `zone`, so that nobody is cut off during the last one.
        """
        ends = [end_of_day(self.end_date, zone)] if self.end_date else []
        if self.duration_days is not None:
            ends.append(days_after(start, self.duration_days, zone))
        return min(ends, default=None)

    def maintenance_end(self, start: datetime, zone: tzinfo) -> datetime | None:
        """Return when maintenance bought then ends; None without a maintenance plan."""
        if not self.maintenance:
            return None
        if self.maintenance_date:
            return end_of_day(self.maintenance_date, zone)
        return days_after(start, self.maintenance_days, zone)


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the last second of a day in `zone`, in UTC; the year 9999 is how never is written."""
    if day.year == FOREVER.year:
        return FOREVER
    return datetime.combine(day, time(23, 59, 59), tzinfo=zone).astimezone(UTC)


def days_after(start: datetime, days: int, zone: tzinfo) -> datetime:
    """Return the end of the day that is so many calendar days after `start` in `zone`, in UTC."""
    try:
        return end_of_day(start.astimezone(zone).date() + timedelta(days=days), zone)
    except OverflowError:
        return FOREVER
