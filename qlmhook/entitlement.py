"""What a subscription or line entitles its buyer to: a pure function of the facts.

It does not look at the clock or the database, and the order of its arguments does not matter. That is what
makes repeats, late messages and any order of arrival end in the same licenses. What each kind of fact does
stands in rules.py.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from qlmhook import standing
from qlmhook.errors import Held
from qlmhook.events import NAMING_CUSTOMERS, Customer, EventKind, Item
from qlmhook.history import Fact
from qlmhook.rules import Effect, Policy, effect_of
from qlmhook.standing import Bar
from qlmhook.terms import FOREVER, Terms

MAX_QUANTITY = 10_000
MAX_KEYS = 1_000
"""More units, or keys, than this in one line are looked at by a person first."""

Place = tuple[str, str]
"""An order's reference and the name of a line in it."""

TermsFor = Callable[[Place, Item], Terms | None]
"""Returns a line's terms, or None for a product that gets no license; raises Held without a usable mapping."""


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One paid line of one order, put together from every message about it.

    `told_at` is when the vendor last spoke of it. `terms` are those it was sold by; `product_terms` those of the
    purchase that its product was bought with first, for a renewal only moves the end.
    Source: QLM, "Subscription workflow when integrated with an e-commerce provider".
    """

    order_ref: str
    line: str
    placed_at: datetime
    first_told_at: datetime
    told_at: datetime
    test: bool
    item: Item
    expires_at: datetime | None
    terms: Terms
    product_terms: Terms

    @property
    def place(self) -> Place:
        """Which line of which order it is."""
        return self.order_ref, self.line

    @property
    def units(self) -> int:
        """How many keys it stands for."""
        return 1 if self.product_terms.one_key else self.item.quantity

    @property
    def product(self) -> tuple[str, tuple[str, ...]]:
        """What was bought; a renewal buys the same again."""
        return self.item.product_id, self.item.options


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one license should be; `purchase` is the newest of those that it stands for."""

    unit: int
    purchase: Purchase
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
        return self.purchase.item.quantity * self.terms.activations_per_unit + self.terms.additional_activations

    @property
    def floating_seats(self) -> int:
        """Seats of the key: for each unit as many as the mapping says, at least one for a floating model."""
        floating_model = self.terms.license_model.endswith(("_floating", "_cloud"))
        per_unit = self.terms.seats_per_unit or int(floating_model)
        return per_unit * (self.purchase.item.quantity if self.terms.one_key else 1)


@dataclass(frozen=True, kw_only=True)
class Entitlement:
    """What the facts about one subject add up to.

    `purchases` are those that count, oldest first, or all when none counts any more.
    """

    purchases: tuple[Purchase, ...]
    grants: tuple[Grant, ...]
    customer: Customer
    suspended: tuple[Bar, ...]
    ended_at: datetime | None
    grace_days: int

    @property
    def first(self) -> Purchase:
        """The purchase that began it."""
        return self.purchases[0]

    @property
    def last(self) -> Purchase:
        """The newest purchase."""
        return self.purchases[-1]


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the facts are judged by: the mappings, where days end, the operator's choice, what is issued already."""

    terms_for: TermsFor
    zone: tzinfo
    policy: Policy
    fulfilled: Collection[Place]


def derive(facts: Iterable[Fact], circumstances: Circumstances) -> tuple[Entitlement | None, list[Held]]:
    """Return what the facts of one subject entitle to, or None when that is nothing, and what is held.

    A purchase that is held, until a person mends the cause or a message arrives, does not count; the others do.
    """
    facts = sorted(facts, key=lambda fact: fact.age)
    paid = [fact for fact in facts if fact.event.kind is EventKind.PAID]
    undone = _undone(facts, circumstances)
    waiting = list(_what_waits(facts, undone))
    if not paid:
        return None, waiting
    subscription = standing.newest(facts, EventKind.SUBSCRIPTION)
    every, holds = _purchases(paid, undone, subscription, circumstances)
    if not every:
        return None, waiting + holds
    counting = [purchase for purchase in every if purchase.place not in undone]
    lost = [fact for fact in facts if fact.event.kind is EventKind.CHARGEBACK_LOST]
    grants = []
    for unit in range(1, max(purchase.units for purchase in every) + 1):
        covering = [purchase for purchase in counting if purchase.units >= unit]
        gone = [purchase for purchase in every if purchase.units >= unit] if not covering else []
        causes = [*lost, *(undone[purchase.place] for purchase in gone[-1:])]
        revoked = tuple(standing.revoked(cause, facts) for cause in causes)
        grants.append(_grant(unit, covering or gone, subscription, revoked, circumstances.zone))
    purchases = counting or every
    overtaken = subscription is None or any(p.first_told_at > subscription.event.at for p in purchases)
    current = None if overtaken else subscription
    entitlement = Entitlement(
        purchases=tuple(purchases),
        grants=tuple(grants),
        customer=_customer(facts),
        suspended=tuple(standing.disputes(facts) + standing.stops_and_pauses(current)),
        ended_at=standing.ended_at(current),
        grace_days=standing.grace_days(current),
    )
    return entitlement, waiting + holds


def _what_waits(facts: list[Fact], undone: Collection[Place]) -> Iterator[Held]:
    """What is under review waits for its approval, a subscription for its first order."""
    over = {fact.event.order_ref for fact in facts if fact.event.kind is EventKind.PAID} | {
        place[0] for place in undone
    }
    reviews = {fact.event.order_ref: fact for fact in facts if fact.event.kind is EventKind.UNDER_REVIEW}
    for order_ref, fact in reviews.items():
        if order_ref not in over:
            reason = f"{fact.event.reason} It is fulfilled as soon as the approval arrives."
            hold = Held(reason, subject=f"order {order_ref}")
            hold.order_ref = order_ref
            yield hold
    subscription = standing.newest(facts, EventKind.SUBSCRIPTION)
    if subscription is not None and subscription.item is not None and not over and not reviews:
        ref = subscription.item.subscription_ref
        yield Held(
            f"No paid order of subscription {ref} is known yet; this is applied when one arrives.",
            subject=f"subscription {ref}",
            alert=False,
        )


def _undone(facts: list[Fact], circumstances: Circumstances) -> dict[Place, Fact]:
    """Return the lines whose purchase counts no more, each with the fact that undid it."""
    undone: dict[Place, Fact] = {}
    for fact in facts:
        if fact.item is None:
            continue
        place = fact.event.order_ref, fact.item.line
        effect = effect_of(fact.event.kind, circumstances.policy)
        if effect is Effect.UNDOES or (effect is Effect.RECORDED and place not in circumstances.fulfilled):
            undone.setdefault(place, fact)
    return undone


def _purchases(
    paid: list[Fact], undone: Collection[Place], subscription: Fact | None, circumstances: Circumstances
) -> tuple[list[Purchase], list[Held]]:
    """Return the purchases, oldest first, without those of products that get no license, and what is held."""
    lines: dict[Place, list[Fact]] = {}
    for fact in paid:
        if fact.item is not None:
            lines.setdefault((fact.event.order_ref, fact.item.line), []).append(fact)
    purchases, holds = [], []
    for place, facts in lines.items():
        if place in undone and place not in circumstances.fulfilled:
            continue  # undone before it was issued
        try:
            purchase = _purchase(place, facts, circumstances.terms_for)
            if purchase is not None:
                _refuse_without_end(purchase, subscription, circumstances.zone)
                purchases.append(purchase)
        except Held as hold:
            hold.order_ref = place[0]
            holds.append(hold)
    purchases.sort(key=lambda p: (p.placed_at, len(p.order_ref), p.order_ref, p.line))
    return list(itertools.accumulate(purchases, _sold_again)), holds


def _sold_again(previous: Purchase, purchase: Purchase) -> Purchase:
    if purchase.product != previous.product:
        return purchase
    return replace(purchase, product_terms=previous.product_terms)


def _purchase(place: Place, facts: list[Fact], terms_for: TermsFor) -> Purchase | None:
    """Put together what several messages told about one line: the newest counts, date and quantity only grow."""
    items = [fact.item for fact in facts if fact.item is not None]
    item = next((item for item in reversed(items) if not item.problem), items[-1])
    terms = terms_for(place, item)
    if terms is None:
        return None
    order_ref, line = place
    if item.problem:
        raise Held(f"Line {line}: {item.problem}", subject=f"order {order_ref}")
    item = replace(item, quantity=max(item.quantity for item in items))
    limit = MAX_QUANTITY if terms.one_key else MAX_KEYS
    if item.quantity > limit:
        raise Held(f"Line {line}: the quantity {item.quantity} is over {limit}.", subject=f"order {order_ref}")
    dates = [item.expires_at for item in items if item.expires_at is not None]
    return Purchase(
        order_ref=order_ref,
        line=line,
        placed_at=min(fact.event.placed_at for fact in facts),
        first_told_at=facts[0].event.at,
        told_at=facts[-1].event.at,
        test=facts[-1].event.test,
        item=item,
        expires_at=FOREVER if any(item.lifetime for item in items) else max(dates, default=None),
        terms=terms,
        product_terms=terms,
    )


def _grant(
    unit: int, covering: list[Purchase], subscription: Fact | None, revoked: tuple[Bar, ...], zone: tzinfo
) -> Grant:
    """Work out one license from the purchases that have this many units: each extends it, none shortens it.

    What the vendor says of the subscription stands for the purchases that it last spoke of before.
    """
    end = standing.subscription_end(subscription)
    known_until = subscription.event.at if subscription is not None and end is not None else None
    maintenance: datetime | None = None
    for purchase in covering:
        if known_until is None or purchase.told_at > known_until:
            end = max(filter(None, (end, _end(purchase, end, zone))))
        maintenance = _maintenance(purchase, maintenance, end, zone)
    last = covering[-1]
    return Grant(
        unit=unit,
        purchase=last,
        license_model=last.product_terms.license_model or ("permanent" if end == FOREVER else "subscription"),
        expires_at=None if end == FOREVER else end,
        maintenance_until=maintenance,
        revoked=revoked,
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
    if end is None and previous is not None and not purchase.product_terms.license_model.startswith("permanent"):
        return previous  # a renewal whose date is still to come
    return end or FOREVER


def _refuse_without_end(purchase: Purchase, subscription: Fact | None, zone: tzinfo) -> None:
    """A subscription or trial that nobody says the end of is never issued without one."""
    known = (
        purchase.expires_at or purchase.terms.end(purchase.placed_at, zone) or standing.subscription_end(subscription)
    )
    if known is None and purchase.terms.license_model.startswith(("subscription", "trial")):
        raise Held(
            f"Product {purchase.item.product_id} is licensed as {purchase.terms.license_model}, but neither the "
            "notification nor its mapping says when it ends. Make the shop send the date, or add is_expduration "
            "to the mapping.",
            subject=f"product {purchase.item.product_id}",
        )


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
    told = [fact.event.customer for fact in facts if fact.event.kind in NAMING_CUSTOMERS]
    return next((customer for customer in reversed(told) if customer.email), told[-1])
