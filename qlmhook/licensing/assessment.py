"""Where each license stands: what all facts and decisions about it say, beside the licenses that there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qlmhook.catalog import mappings
from qlmhook.domain import order_names, products
from qlmhook.domain.entitlement import Entitlement, derive
from qlmhook.domain.events import EventKind, Item
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.order_lines import Subject
from qlmhook.domain.purchases import Circumstances
from qlmhook.domain.rules import Policy
from qlmhook.domain.terms import Terms
from qlmhook.errors import NotFound, PropertyError
from qlmhook.licensing import overrides
from qlmhook.licensing.overrides import Decisions
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given, given
from qlmhook.vendors.accounts import Account

_FULFILLED = Statement[models.FulfilledLine](
    lambda: (
        models.FulfilledLine.select()
        .where(models.FulfilledLine.vendor == given("vendor"), models.FulfilledLine.order_ref.in_(any_given("names")))
        .order_by(models.FulfilledLine.id.desc())
    )
)


def _licenses(column: Any) -> Statement[models.License]:
    table = models.License
    return Statement(
        lambda: table.with_customers().where(table.vendor == given("vendor"), column.in_(any_given("names")))
    )


_OF_SUBSCRIPTIONS = _licenses(models.License.subscription_ref)
_OF_ORDERS = _licenses(models.License.order_ref)

Facts = Mapping[Subject, list[Fact]]


@dataclass(kw_only=True)
class Matter:
    """One subject: its facts, its licenses by unit, what the facts entitle to, and what is held.

    `surplus` are licenses for units that another license stands for: they were issued before it was known that two
    orders are about one subscription; those of them that are revoked for that become `retired`. `taken` are the
    orders, lines and units that licenses stand under, of other subjects too.
    """

    subject: Subject
    facts: list[Fact]
    licenses: dict[int, models.License] = field(default_factory=dict)
    surplus: list[models.License] = field(default_factory=list)
    retired: list[models.License] = field(default_factory=list)
    taken: set[tuple[str, str, int]] = field(default_factory=set)
    decisions: Decisions = field(default_factory=dict)
    fulfilled: dict[Place, str]
    entitlement: Entitlement | None = None
    holds: list[Hold] = field(default_factory=list)

    def began(self, license: models.License) -> bool:
        """Tell whether a license was issued for the order that began the subject."""
        return (license.order_ref, license.line) == (self.subject.order_ref, self.subject.line)

    @property
    def orders(self) -> set[str]:
        """The orders that the facts name, by all their names."""
        return {name for fact in self.facts for name in order_names.names_of(fact.event)}

    def name_of(self, order_ref: str) -> str:
        """Return the name that an order is known by, from any of its names."""
        named = (fact.event.order_ref for fact in self.facts if order_ref in order_names.names_of(fact.event))
        return next(named, order_ref)

    def told_payment(self, order_ref: str) -> int:
        """Return the notification that told last that an order is paid."""
        paid = [fact for fact in self.facts if fact.event.order_ref == order_ref]
        return max((fact for fact in paid if fact.event.kind is EventKind.PAID), key=lambda fact: fact.age).told_by

    @property
    def places(self) -> set[Place]:
        """The lines of orders that the subject is about, those of an order that had another name by both."""
        of_orders = [fact for fact in self.facts if fact.item and fact.event.order_ref]
        renamed = {fact.place for fact in of_orders if fact.place[0] not in ("", fact.event.order_ref)}
        return renamed | {(fact.event.order_ref, fact.item.line) for fact in of_orders if fact.item}


def assess(account: Account, facts: Facts) -> list[Matter]:
    """Return where each subject stands, by its facts."""
    every = [fact for told in facts.values() for fact in told]
    known = {name: fact.event.order_ref for fact in every for name in order_names.names_of(fact.event)}
    references = {name for fact in every if fact.item for name in (fact.item.subscription_ref, fact.item.group_ref)}
    fulfilled = fulfilled_lines(account.name, known, references)
    matters = [Matter(subject=subject, facts=told, fulfilled=fulfilled) for subject, told in facts.items()]
    _find_licenses(account.name, matters, set(known))
    license_ids = [license.id for matter in matters for license in [*matter.licenses.values(), *matter.surplus]]
    decisions = overrides.of_licenses(license_ids) if license_ids else {}

    def terms_for(place: Place, item: Item) -> Terms | Hold | None:
        return _usable_terms(account.name, item, fulfilled.get(place))

    for matter in matters:
        matter.decisions = decisions
        circumstances = Circumstances(
            terms_for=terms_for,
            zone=account.vendor.timezone,
            policy=policy_of(account),
            fulfilled=fulfilled,
            extensions={
                unit: overrides.extensions(decisions.get(license.id, ())) for unit, license in matter.licenses.items()
            },
        )
        matter.entitlement, matter.holds = derive(matter.facts, circumstances)
    return matters


def policy_of(account: Account) -> Policy:
    """Return what the operator chose for an account."""
    settings = account.settings
    return Policy(revoke_on_refund=settings.revoke_on_refund, revoke_on_cancel=settings.revoke_on_cancel)


def fulfilled_lines(
    vendor: str, order_names: Mapping[str, str], subscription_refs: Iterable[str] = ()
) -> dict[Place, str]:
    """Return the lines that a license was issued or extended for, each with the terms' source.

    Those of these orders, whose names lead to the one that each is known by, and the changes of plan of these
    subscriptions.
    """
    places = {*order_names, *subscription_refs} - {""}
    rows = _FULFILLED.all(vendor=vendor, names=sorted(places))
    return {(order_names.get(row.order_ref, row.order_ref), row.line): row.terms for row in rows}


def _find_licenses(vendor: str, matters: list[Matter], order_refs: set[str]) -> None:
    """Give each license to the subject that it belongs to: by its reference, and by its line."""
    references = {matter.subject.subscription_ref for matter in matters} - {""}
    by_reference = _OF_SUBSCRIPTIONS.all(vendor=vendor, names=sorted(references))
    found = {row.id: row for row in [*by_reference, *_OF_ORDERS.all(vendor=vendor, names=sorted(order_refs))]}
    taken = {(license.order_ref, license.line, license.unit) for license in found.values()}
    for matter in matters:
        matter.taken = taken
    places = [(matter, matter.places) for matter in matters]
    owned = [(owner, license) for license in found.values() if (owner := _matter_of(license, places)) is not None]
    for owner, license in sorted(owned, key=lambda pair: (not pair[0].began(pair[1]), pair[1].id)):
        if license.unit not in owner.licenses:
            owner.licenses[license.unit] = license
        elif (license.order_ref, license.line) in owner.places:
            owner.surplus.append(license)


def _matter_of(license: models.License, places: list[tuple[Matter, set[Place]]]) -> Matter | None:
    place = license.order_ref, license.line
    of_reference = [
        (matter, lines)
        for matter, lines in places
        if lines and license.subscription_ref and matter.subject.subscription_ref == license.subscription_ref
    ]
    candidates = of_reference or [(matter, lines) for matter, lines in places if place in lines]
    candidates.sort(key=lambda candidate: place not in candidate[1])
    return candidates[0][0] if candidates else None


def _usable_terms(vendor: str, item: Item, sold_by: str | None) -> Terms | Hold | None:
    """Return the terms that a line was sold by, else those of its mapping, or what holds it without usable ones."""
    cause = products.hold_cause(item)
    try:
        if sold_by is not None:
            return mappings.terms_sold(sold_by)
        return mappings.mapped_terms(vendor, products.ids_of(item), item.options)
    except NotFound:
        _, *general = products.ids_of(item)
        more = f", or the more general {' or '.join(f'pid_{product_id}' for product_id in general)}" if general else ""
        return Hold(
            reason=f"Product {item.product_id} ({item.product_name[:80]!r}) has no mapping: "
            f"set the property pid_{item.product_id}{more}.",
            cause=cause,
        )
    except PropertyError as error:
        return Hold(reason=f"The mapping of product {item.product_id} cannot be used: {error}", cause=cause)
