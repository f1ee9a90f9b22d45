"""What a subscription or line entitles its buyer to: a pure function of the facts.

It does not look at the clock or the database, and the order of its arguments does not matter. That is what
makes repeats, late messages and any order of arrival end in the same licenses.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from qlmhook.errors import Held
from qlmhook.events import Customer, EventKind, Item
from qlmhook.history import Fact
from qlmhook.properties import Terms

MAX_QUANTITY = 10_000
"""More units than this in one line are looked at by a person before keys are made."""

FOREVER = datetime.max.replace(tzinfo=UTC)

TermsFor = Callable[[Item], Terms | None]
"""Returns an item's terms, or None for a product that gets no license; raises Held without a usable mapping."""


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One paid line of one order, put together from every message about it."""

    order_ref: str
    line: str
    placed_at: datetime
    test: bool
    item: Item
    expires_at: datetime | None
    terms: Terms

    @property
    def units(self) -> int:
        """How many keys it stands for."""
        return 1 if self.terms.one_key else self.item.quantity

    @property
    def activations(self) -> int:
        """Activations of each key. Source: QLM, "How to issue activation keys with multiple activations"."""
        if not self.terms.one_key:
            return self.terms.activations_per_unit
        return self.item.quantity * self.terms.activations_per_unit + self.terms.additional_activations

    @property
    def floating_seats(self) -> int:
        """Seats of each key: for each unit as many as the mapping says, at least one for a floating model."""
        floating_model = self.terms.license_model.endswith(("_floating", "_cloud"))
        per_unit = self.terms.seats_per_unit or int(floating_model)
        return per_unit * (self.item.quantity if self.terms.one_key else 1)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one license should be."""

    unit: int
    purchase: Purchase
    license_model: str
    expires_at: datetime | None
    maintenance_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Entitlement:
    """What the facts about one subject add up to; `first` is the order that began it, `last` the newest."""

    first: Purchase
    last: Purchase
    customer: Customer
    grants: tuple[Grant, ...]


def derive(facts: Iterable[Fact], terms_for: TermsFor, zone: tzinfo) -> Entitlement | None:
    """Return what the facts of one subject entitle to, or None when that is nothing.

    `zone` is where days end. Raises Held when a paid line cannot be fulfilled until a person mends the cause.
    """
    facts = sorted(facts, key=lambda fact: fact.age)
    paid = [fact for fact in facts if fact.event.kind is EventKind.PAID]
    if not paid:
        _hold_what_is_under_review(facts)
        return None
    purchases = _purchases(paid, terms_for)
    if not purchases:
        return None
    return Entitlement(
        first=purchases[0],
        last=purchases[-1],
        customer=_customer(paid),
        grants=tuple(_grant(unit, purchases, zone) for unit in range(1, max(p.units for p in purchases) + 1)),
    )


def _hold_what_is_under_review(facts: list[Fact]) -> None:
    for fact in reversed(facts):
        if fact.event.kind is EventKind.UNDER_REVIEW:
            raise Held(
                f"{fact.event.reason} It is fulfilled as soon as the approval arrives.",
                subject=f"order {fact.event.order_ref}",
            )


def _purchases(paid: list[Fact], terms_for: TermsFor) -> list[Purchase]:
    """Return the purchases, oldest first; those of products that get no license are left out."""
    lines: dict[tuple[str, str], list[Fact]] = {}
    for fact in paid:
        if fact.item is not None:
            lines.setdefault((fact.event.order_ref, fact.item.line), []).append(fact)
    purchases = [_purchase(facts, terms_for) for facts in lines.values()]
    return sorted(
        (purchase for purchase in purchases if purchase is not None),
        key=lambda purchase: (purchase.placed_at, len(purchase.order_ref), purchase.order_ref, purchase.line),
    )


def _purchase(facts: list[Fact], terms_for: TermsFor) -> Purchase | None:
    """Put together what several messages told about one line: the newest counts, dates only ever grow."""
    items = [fact.item for fact in facts if fact.item is not None]
    item = next((item for item in reversed(items) if not item.problem), items[-1])
    event = facts[-1].event
    terms = terms_for(item)
    if terms is None:
        return None
    if item.problem:
        raise Held(f"Line {item.line}: {item.problem}", subject=f"order {event.order_ref}")
    if item.quantity > MAX_QUANTITY:
        raise Held(
            f"Line {item.line}: the quantity {item.quantity} is over {MAX_QUANTITY}.",
            subject=f"order {event.order_ref}",
        )
    dates = [item.expires_at for item in items if item.expires_at is not None]
    return Purchase(
        order_ref=event.order_ref,
        line=item.line,
        placed_at=min(fact.event.placed_at for fact in facts),
        test=event.test,
        item=item,
        expires_at=FOREVER if any(item.lifetime for item in items) else max(dates, default=None),
        terms=terms,
    )


def _grant(unit: int, purchases: list[Purchase], zone: tzinfo) -> Grant:
    """Work out one license: each purchase that has this many units extends it, none shortens it."""
    covering = [purchase for purchase in purchases if purchase.units >= unit]
    end: datetime | None = None
    maintenance: datetime | None = None
    for purchase in covering:
        end = max(filter(None, (end, _end(purchase, end, zone))))
        maintenance = _maintenance(purchase, maintenance, end, zone)
    last = covering[-1]
    return Grant(
        unit=unit,
        purchase=last,
        license_model=last.terms.license_model or ("permanent" if end == FOREVER else "subscription"),
        expires_at=None if end == FOREVER else end,
        maintenance_until=maintenance,
    )


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
    if end is not None:
        return end
    if purchase.terms.license_model.startswith(("subscription", "trial")):
        raise Held(
            f"Product {purchase.item.product_id} is licensed as {purchase.terms.license_model}, but neither the "
            "notification nor its mapping says when it ends. Make the shop send the date, or add is_expduration "
            "to the mapping.",
            subject=f"product {purchase.item.product_id}",
        )
    return FOREVER


def _maintenance(purchase: Purchase, previous: datetime | None, end: datetime | None, zone: tzinfo) -> datetime | None:
    """Return until when maintenance lasts: the mapping's period, for a renewal at least as long as the license."""
    bought = purchase.terms.maintenance_end(purchase.placed_at, zone)
    if bought is None:
        return previous
    if previous is None:
        return bought
    return max(previous, bought, end if end is not None and end != FOREVER else bought)


def _customer(facts: list[Fact]) -> Customer:
    """Return the newest customer with an address, else the newest."""
    with_address = [fact.event.customer for fact in facts if fact.event.customer.email]
    return with_address[-1] if with_address else facts[-1].event.customer
