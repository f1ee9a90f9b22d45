"""What one license should be, worked out from the purchases that it stands for: each extends it, none shortens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from qlmhook.domain import restrictions
from qlmhook.domain.facts import Fact
from qlmhook.domain.purchases import Circumstances, Extension, Purchase
from qlmhook.domain.restrictions import Bar
from qlmhook.domain.terms import FOREVER, Terms
from qlmhook.domain.undoings import Undoing


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one license should be.

    `purchase` is the newest of those that it stands for; `renewal` tells that an earlier order bought it first.
    """

    unit: int
    purchase: Purchase
    renewal: bool
    license_model: str
    expires_at: datetime | None
    maintenance_until: datetime | None
    revoked: tuple[Bar, ...]

    @property
    def terms(self) -> Terms:
        """The terms of the product."""
        return self.purchase.product_terms

    @property
    def activations(self) -> int:
        """Activations of the key. Source: QLM, "How to issue activation keys with multiple activations"."""
        if not self.terms.one_key:
            return self.terms.activations_per_unit
        return self.purchase.quantity * self.terms.activations_per_unit + self.terms.additional_activations

    @property
    def floating_seats(self) -> int:
        """Seats of the key: for each unit as many as the mapping says, at least one for a floating model."""
        floating_model = self.terms.license_model.endswith(("_floating", "_cloud"))
        per_unit = self.terms.seats_per_unit or int(floating_model)
        return per_unit * (self.purchase.quantity if self.terms.one_key else 1)


def granted(
    unit: int,
    every: list[Purchase],
    subscription: Fact | None,
    circumstances: Circumstances,
    gone: Sequence[Undoing],
) -> Grant:
    """Work out one license from the purchases that have this many units: each extends it, none shortens it.

    What the vendor says of the subscription stands for the purchases that were paid before it was said.
    """
    zone = circumstances.zone
    sold = [purchase for purchase in every if purchase.sold_units >= unit]
    covering = [purchase for purchase in sold if purchase.counts and purchase.units >= unit]
    undone = sold[-1].undone if not covering else ()
    extensions = circumstances.extensions.get(unit, ())
    end = _told_end(subscription, gone, covering, extensions, zone)
    known_until = subscription.event.at if subscription is not None and end is not None else None
    maintenance: datetime | None = None
    for purchase in covering or sold:
        if known_until is None or purchase.paid_at > known_until:
            end = _longer(end, purchase, extensions, zone)
        maintenance = _maintenance(purchase, maintenance, end, zone)
    last = (covering or sold)[-1]
    return Grant(
        unit=unit,
        purchase=last,
        renewal=sold[0].order_ref != last.order_ref,
        license_model=last.product_terms.license_model or ("permanent" if end == FOREVER else "subscription"),
        expires_at=None if end == FOREVER else end,
        maintenance_until=maintenance,
        revoked=tuple(Bar(why=undoing.why, learned_at=undoing.learned_at) for undoing in undone),
    )


def _told_end(
    subscription: Fact | None,
    gone: Sequence[Undoing],
    covering: Sequence[Purchase],
    extensions: Sequence[Extension],
    zone: tzinfo,
) -> datetime | None:
    """Return the end that the vendor told of the subscription.

    If a purchase was undone afterwards, its part of that end went with it.
    """
    told = restrictions.subscription_end(subscription)
    if told is None or subscription is None:
        return told
    if not any(undoing.fact.age > subscription.age for undoing in gone):
        return told
    left: datetime | None = None
    for purchase in covering:
        left = _longer(left, purchase, extensions, zone)
    return min(told, left or told)


def _longer(end: datetime | None, purchase: Purchase, extensions: Sequence[Extension], zone: tzinfo) -> datetime | None:
    """Return the end with one purchase more; days are added to what an operator granted before, too."""
    before = [until for decided_at, until in extensions if decided_at <= purchase.learned_at]
    start = max([end, *before]) if end is not None else None
    return max(filter(None, (end, _end(purchase, start, zone))))


def _end(purchase: Purchase, previous: datetime | None, zone: tzinfo) -> datetime:
    """Return when what was bought ends: the vendor's date, else the mapping's, else never for permanent models.

    A duration counts from the previous end, if there is one. Source: QLM, "How to extend a license
    subscription from a URL".
    """
    if purchase.expires_at is not None:
        return purchase.expires_at
    if previous == FOREVER:
        return FOREVER
    end = purchase.terms.end(max(previous or purchase.placed_at, purchase.placed_at), zone)
    if end is None and previous is not None and not purchase.product_terms.license_model.startswith("permanent"):
        return previous  # a renewal whose date is still to come
    return end or FOREVER


def _maintenance(purchase: Purchase, previous: datetime | None, end: datetime | None, zone: tzinfo) -> datetime | None:
    """Return until when maintenance lasts: the mapping's period, for a renewal at least as long as the license."""
    bought = purchase.terms.maintenance_end(purchase.placed_at, zone)
    if bought is None:
        return previous
    if previous is None:
        return bought
    return max(previous, bought, end if end is not None and end != FOREVER else bought)
