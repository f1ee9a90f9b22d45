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
from qlmhook.domain.grants import Grant, granted
from qlmhook.domain.holds import Hold
from qlmhook.domain.plan_changes import Planned
from qlmhook.domain.purchases import Circumstances, Purchase
from qlmhook.domain.restrictions import Bar
from qlmhook.domain.terms import Terms


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
        """The oldest purchase that counts: what was taken back began nothing, whether or not it took effect first."""
        return self.purchases[0]

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
        grants=tuple(granted(unit, every, subscription, circumstances, gone) for unit in units),
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
    return plan_changes.applied(plan_changes.told(facts), bought, circumstances.terms_for)


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
            yield Hold(reason=reason, cause=f"order {order_ref}", order_ref=order_ref)
    subscription = restrictions.newest(facts, EventKind.SUBSCRIPTION)
    if subscription is not None and subscription.item is not None and not over and not reviews:
        ref = subscription.item.subscription_ref or subscription.item.group_ref
        yield Hold(
            reason=f"No paid order of subscription {ref} is known yet; this is applied when one arrives.",
            cause=f"subscription {ref}",
            subscription_ref=ref,
            alert=False,
        )


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
            cause=f"customer {entitlement.awaited_customer}",
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
        cause=products.hold_cause(purchase.item),
        order_ref=purchase.order_ref,
    )


def _customer(facts: list[Fact]) -> Customer:
    """Return the customer who was named last with an address that can be mailed to, else the last one."""
    named = restrictions.namings(facts, lambda customer: address_key(customer.email))
    return next((customer for customer in reversed(named) if address_key(customer.email)), named[-1])
