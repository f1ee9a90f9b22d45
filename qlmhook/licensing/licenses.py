"""Licenses in the database: made what their entitlement and the operator's decisions say, each change audited."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from qlmhook.domain.entitlement import Entitlement
from qlmhook.domain.facts import Place
from qlmhook.domain.grants import Grant
from qlmhook.domain.holds import Hold
from qlmhook.domain.terms import FOREVER, Terms
from qlmhook.errors import NotFound
from qlmhook.licensing import audit, key_format, overrides
from qlmhook.licensing.assessment import Matter
from qlmhook.licensing.audit import Change, Columns, Occasion
from qlmhook.licensing.keymakers.registry import KeyMakers
from qlmhook.storage import models, tallies
from qlmhook.storage.statements import Statement, given

_OF_LINE = Statement[models.License](
    lambda: models.License.select().where(
        models.License.vendor == given("vendor"),
        models.License.order_ref == given("order_ref"),
        models.License.line == given("line"),
    )
)


def reconcile(
    matter: Matter, customer: models.Customer | None, makers: KeyMakers, occasion: Occasion
) -> list[models.License]:
    """Make a subject's licenses what they should be, and return them; the matter has those that are issued then.

    One that is revoked before it is issued is not issued. Where no key can be made, the matter has a hold that says
    why, and none is issued.
    """
    entitlement = matter.entitlement
    assert entitlement is not None
    changes: list[Change] = []
    new: list[tuple[Grant, Columns]] = []
    for grant in entitlement.grants:
        columns = _columns(matter, entitlement, grant, customer)
        license = matter.licenses.get(grant.unit)
        if license is not None:
            decisions = matter.decisions.get(license.id, ())
            columns |= overrides.lay_over(license, entitlement, grant, decisions, occasion.at)
            columns |= _place(matter, license, entitlement.first.place)
            changes += _change(license, columns)
        elif not grant.revoked:
            new.append((grant, columns))
    changes += _retire(matter, occasion.at)
    _store(changes)
    if new:
        changes += _issue(matter, entitlement, new, makers, occasion)
    audit.write(changes, occasion)
    current = [matter.licenses[grant.unit] for grant in entitlement.grants if grant.unit in matter.licenses]
    for license in current:
        license.customer = customer
    return current


def find(text: str) -> models.License:
    """Return the license of a key as a person types it; raises NotFound."""
    license = models.License.get_or_none(models.License.key == key_format.normalize(text))
    if license is None:
        hint = "" if key_format.is_well_formed(key_format.normalize(text)) else " The key has a typing error."
        raise NotFound(f"There is no license {text}.{hint}")
    return license


def override(decision: models.Decision, occasion: Occasion) -> models.License:
    """Change a license as an operator just decided; later notifications find the decision written down."""
    license = models.License.get_by_id(decision.license_id)
    wanted: dict[str, Columns] = {
        "revoke": {"revoked_at": license.revoked_at or occasion.at, "barred_why": decision.why},
        "suspend": {"suspended_at": occasion.at, "suspended_until": None, "barred_why": decision.why},
        "reinstate": {"revoked_at": None, "suspended_at": None, "suspended_until": None, "barred_why": ""},
        "extend": {"expires_at": decision.until, "ended_at": None},
    }
    changes = _change(license, wanted[decision.action])
    _store(changes)
    audit.write(changes, occasion)
    return license


def mark_fulfilled(matter: Matter, sold: Iterable[tuple[Place, Terms]], now: datetime) -> None:
    """Remember the lines that took effect: a refund that comes later finds them issued, and a change of the
    mapping leaves them alone.
    """
    # two subjects may be sold by one change of plan
    new = {place: terms.source for place, terms in sold if place not in matter.fulfilled}
    rows = [
        {"vendor": matter.subject.vendor, "order_ref": order_ref, "line": line, "terms": source, "at": now}
        for (order_ref, line), source in new.items()
    ]
    models.FulfilledLine.add(rows)
    matter.fulfilled.update(new)


def _columns(matter: Matter, entitlement: Entitlement, grant: Grant, customer: models.Customer | None) -> Columns:
    purchase, terms = grant.purchase, grant.terms
    return {
        "subscription_ref": matter.subject.subscription_ref,
        "vendor_product_id": purchase.item.product_id,
        "license_model": grant.license_model,
        "product_id": terms.product_id,
        "major_version": terms.major_version,
        "minor_version": terms.minor_version,
        "product_name": terms.product_name or purchase.item.product_name or purchase.item.product_id,
        "engine_version": terms.engine_version,
        "features": terms.features,
        "product_properties": terms.product_properties,
        "activations": grant.activations,
        "floating_seats": grant.floating_seats,
        "quantity": purchase.quantity,
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


def _place(matter: Matter, license: models.License, place: Place) -> Columns:
    """A license stands under the order that began it, unless another license stands there."""
    order_ref, line = place
    if (order_ref, line, license.unit) in matter.taken:
        return {}
    matter.taken.add((order_ref, line, license.unit))
    return {"order_ref": order_ref, "line": line}


def _grace_until(end: datetime | None, days: int) -> datetime | None:
    if end is None or not days:
        return None
    try:
        return end + timedelta(days=days)
    except OverflowError:
        return FOREVER


def _issue(
    matter: Matter,
    entitlement: Entitlement,
    new: Sequence[tuple[Grant, Columns]],
    makers: KeyMakers,
    occasion: Occasion,
) -> list[Change]:
    """Make a license of each grant, and return that they are issued."""
    made = makers.keys_for(matter.subject.vendor, entitlement, [grant for grant, _ in new], occasion.at)
    if isinstance(made, Hold):
        matter.holds.append(made)
        return []
    order_ref, line = _free_place(matter, entitlement.first.place, [grant.unit for grant, _ in new])
    rows = [
        {
            "key": key,
            "vendor": matter.subject.vendor,
            "order_ref": order_ref,
            "line": line,
            "unit": grant.unit,
            "issued_at": occasion.at,
            **overrides.suspension(entitlement.suspended, occasion.at),
            "barred_why": next((bar.why for bar in entitlement.suspended), ""),
            **columns,
        }
        for key, (grant, columns) in zip(made, new, strict=True)
    ]
    tallies.change(models.License, matter.subject.vendor, "", len(rows))
    if len(rows) == 1:
        issued = {new[0][0].unit: models.License.create(**rows[0])}
    else:
        models.License.add(rows)
        of_line = _OF_LINE.all(vendor=matter.subject.vendor, order_ref=order_ref, line=line)
        issued = {license.unit: license for license in of_line}
    matter.licenses |= {grant.unit: issued[grant.unit] for grant, _ in new}
    return [
        Change(
            license=issued[grant.unit],
            change="issued",
            before={},
            after={"expires_at": grant.expires_at, "activations": grant.activations},
        )
        for grant, _ in new
    ]


def _free_place(matter: Matter, place: Place, units: Iterable[int]) -> Place:
    order_ref, line = place
    units = list(units)
    for number in count(2):
        places = {(order_ref, line, unit) for unit in units}
        if not places & matter.taken:
            matter.taken |= places
            break
        line = f"{place[1][:60]}~{number}"
    return order_ref, line


def _retire(matter: Matter, now: datetime) -> list[Change]:
    """Revoke the licenses that another one stands for; one that an operator reinstated is left alone."""
    changes = []
    for license in matter.surplus:
        decided = {decision.action for decision in matter.decisions.get(license.id, ())}
        if license.revoked_at is None and "reinstate" not in decided:
            kept = key_format.grouped(matter.licenses[license.unit].key)
            why = f"It is of the same subscription as {kept}, which counts."
            changes += _change(license, {"revoked_at": now, "barred_why": why})
            matter.retired.append(license)
    return changes


def _change(license: models.License, wanted: Columns) -> list[Change]:
    """Set columns of a license in memory, and return what changed; `_store` writes it."""
    current = {name: _value(license, name) for name in wanted}
    changed = {name: value for name, value in wanted.items() if current[name] != value}
    if not changed:
        return []
    for name, value in changed.items():
        setattr(license, name, value)
    before = {name: current[name] for name in changed}
    return [Change(license=license, change=_name_of(current, changed), before=before, after=changed)]


def _value(license: models.License, name: str) -> Any:
    return license.customer_id if name == "customer" else getattr(license, name)


def _store(changes: Iterable[Change]) -> None:
    """Write what changed, one statement for all licenses that change alike."""
    alike: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for change in changes:
        alike.setdefault(tuple(sorted(change.after.items())), []).append(change.license.id)
    for columns, ids in alike.items():
        models.License.update(dict(columns)).where(models.License.id.in_(ids)).execute()


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
