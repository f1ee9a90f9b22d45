"""Licenses in the database: made what their entitlement and the operator's decisions say, each change audited."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from qlmhook import keys, models
from qlmhook.entitlement import Entitlement, Grant, Place, Purchase
from qlmhook.errors import NotFound
from qlmhook.history import Subject
from qlmhook.standing import Bar
from qlmhook.terms import FOREVER

Columns = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Who changes a license, when and why, as the audit trail tells it."""

    actor: str
    at: datetime
    why: str


def reconcile(
    subject: Subject, entitlement: Entitlement, customer: models.Customer | None, cause: Cause
) -> list[models.License]:
    """Make the subject's licenses what they should be, and return them.

    One that is revoked before it is issued is not issued.
    """
    existing = _of_subject(subject, entitlement)
    current = []
    for grant in entitlement.grants:
        columns = _columns(subject, entitlement, grant, customer)
        license = existing.get(grant.unit)
        if license is not None:
            current.append(
                _change(license, {**columns, **_bars(license, entitlement, grant, columns, cause.at)}, cause)
            )
        elif not grant.revoked:
            current.append(_issue(subject, grant, columns, entitlement, cause))
    return current


def find(text: str) -> models.License:
    """Return the license of a key as a person types it; raises NotFound."""
    license = models.License.get_or_none(models.License.key == keys.normalize(text))
    if license is None:
        hint = "" if keys.is_well_formed(keys.normalize(text)) else " The key has a typing error."
        raise NotFound(f"There is no license {text}.{hint}")
    return license


def subject_of(license: models.License) -> Subject:
    """Return what a license is about."""
    if license.subscription_ref:
        return Subject(vendor=license.vendor, subscription_ref=license.subscription_ref)
    return Subject(vendor=license.vendor, order_ref=license.order_ref, line=license.line)


def carry_out(decision: models.Decision, cause: Cause) -> models.License:
    """Change a license as an operator just decided; later notifications find the decision written down."""
    license = models.License.get_by_id(decision.license_id)
    changes: dict[str, Columns] = {
        "revoke": {"revoked_at": license.revoked_at or cause.at, "barred_why": decision.why},
        "suspend": {"suspended_at": cause.at, "suspended_until": None, "barred_why": decision.why},
        "reinstate": {"revoked_at": None, "suspended_at": None, "suspended_until": None, "barred_why": ""},
        "extend": {"expires_at": decision.until, "ended_at": None},
    }
    return _change(license, changes[decision.action], cause)


def fulfilled_lines(vendor: str, order_refs: Iterable[str]) -> dict[Place, str]:
    """Return the lines of these orders that a license was issued or extended for, each with the terms' source."""
    table = models.FulfilledLine
    rows = table.select().where(table.vendor == vendor, table.order_ref.in_(list(order_refs)))
    return {(row.order_ref, row.line): row.terms for row in rows}


def mark_fulfilled(vendor: str, purchases: Iterable[Purchase], now: datetime) -> None:
    """Remember the lines that took effect: a refund that comes later finds them issued, and a change of the
    mapping leaves them alone.
    """
    for purchase in purchases:
        models.FulfilledLine.create(
            vendor=vendor, order_ref=purchase.order_ref, line=purchase.line, terms=purchase.terms.source, at=now
        )


def _of_subject(subject: Subject, entitlement: Entitlement) -> dict[int, models.License]:
    """The licenses of a subscription by unit, or of its lines when they were issued before it was known."""
    table = models.License
    order_refs = {purchase.order_ref for purchase in entitlement.purchases}
    without_subscription = (table.subscription_ref == "") & table.order_ref.in_(order_refs)
    wanted = without_subscription
    if subject.subscription_ref:
        wanted |= table.subscription_ref == subject.subscription_ref
    places = {purchase.place for purchase in entitlement.purchases}
    found: dict[int, models.License] = {}
    for license in table.select().where(table.vendor == subject.vendor, wanted).order_by(table.id):
        if license.subscription_ref or (license.order_ref, license.line) in places:
            found.setdefault(license.unit, license)
    return found


def _columns(subject: Subject, entitlement: Entitlement, grant: Grant, customer: models.Customer | None) -> Columns:
    purchase, terms = grant.purchase, grant.terms
    return {
        "order_ref": entitlement.first.order_ref,
        "line": entitlement.first.line,
        "subscription_ref": subject.subscription_ref,
        "vendor_product_id": purchase.item.product_id,
        "license_model": grant.license_model,
        "product_id": terms.product_id,
        "major_version": terms.major_version,
        "minor_version": terms.minor_version,
        "product_name": terms.product_name or purchase.item.product_name,
        "engine_version": terms.engine_version,
        "features": terms.features,
        "product_properties": terms.product_properties,
        "activations": grant.activations,
        "floating_seats": grant.floating_seats,
        "quantity": purchase.item.quantity,
        "affiliate": terms.affiliate,
        "user_data": terms.user_data,
        "computer_type": terms.computer_type,
        "legacy_key": terms.legacy_key,
        "test": entitlement.first.test,
        "customer": customer.id if customer else None,
        "ordered_at": entitlement.first.placed_at,
        "expires_at": grant.expires_at,
        "maintenance_until": grant.maintenance_until,
        "ended_at": entitlement.ended_at,
        "grace_until": _grace_until(grant.expires_at, entitlement.grace_days),
    }


def _bars(license: models.License, entitlement: Entitlement, grant: Grant, columns: Columns, now: datetime) -> Columns:
    """Lay the operator's decisions over what the facts say: the newest word of either counts."""
    revoked, suspended = list(grant.revoked), list(entitlement.suspended)
    expires_at: datetime | None = columns["expires_at"]
    ended_at: datetime | None = columns["ended_at"]
    decisions = models.Decision.select().where(models.Decision.license == license).order_by(models.Decision.id)
    for decision in decisions:
        bar = Bar(why=decision.why, learned_at=decision.at)
        if decision.action == "revoke":
            revoked.append(bar)
        elif decision.action == "suspend":
            suspended.append(bar)
        elif decision.action == "reinstate":
            revoked = [bar for bar in revoked if bar.learned_at > decision.at]
            suspended = [bar for bar in suspended if bar.learned_at > decision.at]
        elif decision.action == "extend" and expires_at is not None and decision.until is not None:
            expires_at = max(expires_at, decision.until)
            ended_at = ended_at if ended_at is not None and ended_at >= decision.until else None
    return {
        "revoked_at": license.revoked_at or now if revoked else None,
        **_suspension(suspended, license.suspended_at or now),
        "barred_why": next((bar.why for bar in [*revoked, *suspended]), ""),
        "expires_at": expires_at,
        "ended_at": ended_at,
    }


def _suspension(bars: Iterable[Bar], since: datetime) -> Columns:
    """Return the columns of a suspension: one without an end outlasts a pause."""
    lasting = sorted(bars, key=lambda bar: bar.begins_at is not None or bar.ends_at is not None)
    if not lasting:
        return {"suspended_at": None, "suspended_until": None}
    return {"suspended_at": lasting[0].begins_at or since, "suspended_until": lasting[0].ends_at}


def _grace_until(end: datetime | None, days: int) -> datetime | None:
    if end is None or not days:
        return None
    try:
        return end + timedelta(days=days)
    except OverflowError:
        return FOREVER


def _issue(subject: Subject, grant: Grant, columns: Columns, entitlement: Entitlement, cause: Cause) -> models.License:
    license = models.License.create(
        key=keys.new_key(grant.license_model),
        vendor=subject.vendor,
        unit=grant.unit,
        issued_at=cause.at,
        **_suspension(entitlement.suspended, cause.at),
        barred_why=next((bar.why for bar in entitlement.suspended), ""),
        **columns,
    )
    after = {"expires_at": _told("expires_at", grant.expires_at), "activations": grant.activations}
    _audit(license, "issued", {}, after, cause)
    return license


def _change(license: models.License, wanted: Columns, cause: Cause) -> models.License:
    current = {name: license.customer_id if name == "customer" else getattr(license, name) for name in wanted}
    changed = {name: value for name, value in wanted.items() if current[name] != value}
    if not changed:
        return license
    models.License.update(changed).where(models.License.id == license.id).execute()
    before = {name: _told(name, current[name]) for name in changed}
    _audit(
        license,
        _name_of(current, changed),
        before,
        {name: _told(name, value) for name, value in changed.items()},
        cause,
    )
    return models.License.get_by_id(license.id)


def _name_of(before: Columns, changed: Columns) -> str:
    """Return the word for a change: the gravest part of it."""
    if "revoked_at" in changed:
        return "revoked" if changed["revoked_at"] else "reinstated"
    if "suspended_at" in changed:
        return "suspended" if changed["suspended_at"] else "reinstated"
    if "vendor_product_id" in changed:
        return "upgraded"
    if "expires_at" in changed:
        longer = (
            changed["expires_at"] is None or (before["expires_at"] or changed["expires_at"]) < changed["expires_at"]
        )
        return "extended" if longer else "shortened"
    return "expired" if changed.get("ended_at") else "changed"


def _audit(license: models.License, change: str, before: Columns, after: Columns, cause: Cause) -> None:
    models.Audit.create(
        license=license,
        at=cause.at,
        actor=cause.actor,
        change=change,
        before=json.dumps(before),
        after=json.dumps(after),
        why=cause.why,
    )


def _told(name: str, value: Any) -> Any:
    """A value as the trail shows it: a customer by the address."""
    if name == "customer" and value is not None:
        return models.Customer.get_by_id(value).email
    return value.isoformat() if isinstance(value, datetime) else value
