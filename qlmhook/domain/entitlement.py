"""What a subscription or line entitles its buyer to: a pure function of the facts.

It does not look at the clock or the database, and the order of its arguments does not matter. That is what
makes repeats, late messages and any order of arrival end in the same licenses. What each kind of fact does
stands in rules.py.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from qlmhook.domain import plan_changes, products, purchases, restrictions
from qlmhook.domain.addresses import address_key
from qlmhook.domain.events import NAMING_CUSTOMERS, Customer, EventKind
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.plan_changes import Planned
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


@dataclass(frozen=True, kw_only=True)
class Entitlement:
    """What the facts about one subject add up to; `every` has its purchases, oldest first, undone ones too.

    `sold_by_plan` are the terms of a product that a change of plan brought, and where they are kept; `final` tells that
    the vendor ended the subscription for good. `awaited_customer` is the reference of a customer who is still unknown.
    """

    every: tuple[Purchase, ...]
    grants: tuple[Grant, ...]
    customer: Customer
    suspended: tuple[Bar, ...]
    ended_at: datetime | None
    grace_days: int
    final: bool = False
    sold_by_plan: tuple[Place, Terms] | None = None
    awaited_customer: str = ""

    @property
    def purchases(self) -> tuple[Purchase, ...]:
        """The purchases that count, or all when none counts any more."""
        return tuple(purchase for purchase in self.every if purchase.counts) or self.every

    @property
    def first(self) -> Purchase:
        """The purchase that began it."""
        return self.every[0]

    @property
    def last(self) -> Purchase:
        """The newest purchase that counts."""
        return self.purchases[-1]


def derive(facts: Iterable[Fact], circumstances: Circumstances) -> tuple[Entitlement | None, list[Hold]]:
    """Return what the facts of one subject entitle to, or None when that is nothing, and what is held.

    A purchase that is held, until a person mends the cause or a message arrives, does not count; the others do.
    """
    facts = sorted(_without_dismissed(facts, circumstances.fulfilled), key=lambda fact: fact.age)
    undone = purchases.undone(facts, circumstances)
    waiting = list(_what_waits(facts, undone))
    subscription = restrictions.subscription(facts)
    bought, holds = purchases.of(facts, undone, circumstances)
    planned = _planned(facts, bought, circumstances)
    holds += [planned.hold] if planned.hold else []
    every = []
    for purchase in planned.purchases:
        hold = _without_end(purchase, subscription, circumstances.zone)
        holds += [hold] if hold else []
        every += [] if hold else [purchase]
    if not every:
        return None, waiting + holds
    counting = [purchase for purchase in every if purchase.counts] or every
    final = restrictions.is_final(subscription)
    overtaken = subscription is None or any(purchase.paid_at > subscription.event.at for purchase in counting)
    current = None if overtaken and not final else subscription
    units = range(1, max(purchase.sold_units for purchase in every) + 1)
    gone = purchases.gone(facts, undone, every)
    entitlement = Entitlement(
        every=tuple(every),
        grants=tuple(_grant(unit, every, subscription, circumstances, gone) for unit in units),
        customer=_customer(facts),
        suspended=tuple(restrictions.open_disputes(facts) + restrictions.stops_and_pauses(current)),
        ended_at=restrictions.ended_at(current),
        grace_days=restrictions.grace_days(current),
        final=final,
        sold_by_plan=planned.sold,
        awaited_customer=_awaited_customer(facts),
    )
    return entitlement, waiting + holds + _without_customer(entitlement)


def _planned(facts: Sequence[Fact], bought: list[Purchase], circumstances: Circumstances) -> Planned:
    change = plan_changes.last_change(facts)
    if change is None:
        return Planned(purchases=tuple(bought))
    return plan_changes.applied(change, bought, circumstances.terms_for)


def _without_dismissed(facts: Iterable[Fact], fulfilled: Collection[Place]) -> Iterator[Fact]:
    """What an operator closed without applying it does not take effect later either; what took effect before stays.

    A payment that was dismissed stays so when it is told again. A review that was dismissed may still be approved.
    """
    facts = list(facts)
    closed = {_place(fact) for fact in facts if fact.dismissed and fact.event.kind is EventKind.PAID} - set(fulfilled)
    for fact in facts:
        kind, place = fact.event.kind, _place(fact)
        takes_no_effect = (kind is EventKind.PAID and place in closed) or (
            kind in (EventKind.UNDER_REVIEW, EventKind.SUBSCRIPTION) and fact.dismissed
        )
        if not takes_no_effect:
            yield fact


def _place(fact: Fact) -> Place:
    return fact.event.order_ref, fact.item.line if fact.item else ""


def _what_waits(facts: list[Fact], undone: Collection[Place]) -> Iterator[Hold]:
    """What is under review waits for its approval, a subscription for its first order."""
    over = {fact.event.order_ref for fact in facts if fact.event.kind is EventKind.PAID} | {
        place[0] for place in undone
    }
    reviews = {fact.event.order_ref: fact for fact in facts if fact.event.kind is EventKind.UNDER_REVIEW}
    for order_ref, fact in reviews.items():
        if order_ref not in over:
            reason = f"{fact.event.reason} It is fulfilled as soon as the approval arrives.".lstrip()
            yield Hold(reason=reason, subject=f"order {order_ref}", order_ref=order_ref)
    subscription = restrictions.newest(facts, EventKind.SUBSCRIPTION)
    if subscription is not None and subscription.item is not None and not over and not reviews:
        ref = subscription.item.subscription_ref or subscription.item.group_ref
        yield Hold(
            reason=f"No paid order of subscription {ref} is known yet; this is applied when one arrives.",
            subject=f"subscription {ref}",
            subscription_ref=ref,
            alert=False,
        )


def _grant(
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
    if not any(undoing.cause.age > subscription.age for undoing in gone):
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


def _awaited_customer(facts: Iterable[Fact]) -> str:
    """Return the reference of a customer whom no message has described yet."""
    named = list(facts)
    described = any(
        fact.event.kind is EventKind.CUSTOMER or address_key(fact.event.customer.email)
        for fact in named
        if fact.event.kind in NAMING_CUSTOMERS
    )
    return "" if described else next((fact.event.customer_ref for fact in named if fact.event.customer_ref), "")


def _without_customer(entitlement: Entitlement) -> list[Hold]:
    """What names its customer by reference alone is mailed when another message says who that is."""
    if not entitlement.awaited_customer:
        return []
    return [
        Hold(
            reason=f"Nothing was told of the customer {entitlement.awaited_customer} yet; the mail goes out when that "
            "arrives.",
            subject=f"customer {entitlement.awaited_customer}",
            order_ref=entitlement.last.order_ref,
            alert=False,
        )
    ]


def _without_end(purchase: Purchase, subscription: Fact | None, zone: tzinfo) -> Hold | None:
    """A subscription or trial that nobody says the end of is never issued without one."""
    known = (
        purchase.expires_at
        or purchase.terms.end(purchase.placed_at, zone)
        or restrictions.subscription_end(subscription)
    )
    if known is not None or not purchase.terms.license_model.startswith(("subscription", "trial")):
        return None
    return Hold(
        reason=f"Product {purchase.item.product_id} is licensed as {purchase.terms.license_model}, but neither the "
        "notification nor its mapping says when it ends. Make the shop send the date, or add is_expduration "
        "to the mapping.",
        subject=products.hold_subject(purchase.item),
        order_ref=purchase.order_ref,
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
    """Return the customer who was named last with an address that can be mailed to, else the last one."""
    named = restrictions.namings(facts, lambda customer: address_key(customer.email))
    return next((customer for customer in reversed(named) if address_key(customer.email)), named[-1])
