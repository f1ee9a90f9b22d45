"""Licenses in the database: issued and changed to what their entitlement says, each change with its audit row."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from qlmhook import customers, keys, models
from qlmhook.entitlement import Entitlement, Grant
from qlmhook.errors import NotFound
from qlmhook.history import Subject


def reconcile(subject: Subject, entitlement: Entitlement, *, actor: str, now: datetime) -> list[models.License]:
    """Make the subject's licenses what they should be, and return them, one for each grant.

    `actor` is who caused it, as the audit trail names it.
    """
    existing = {license.unit: license for license in _of_subject(subject, entitlement)}
    customer = customers.save(entitlement.customer)
    return [
        _issue(subject, entitlement, grant, customer, actor=actor, now=now)
        if grant.unit not in existing
        else _change(existing[grant.unit], subject, entitlement, grant, customer, actor=actor, now=now)
        for grant in entitlement.grants
    ]


def find(text: str) -> models.License:
    """Return the license of a key as a person types it; raises NotFound."""
    license = models.License.get_or_none(models.License.key == keys.normalize(text))
    if license is None:
        hint = "" if keys.is_well_formed(keys.normalize(text)) else " The key has a typing error."
        raise NotFound(f"There is no license {text}.{hint}")
    return license


def _of_subject(subject: Subject, entitlement: Entitlement) -> Iterable[models.License]:
    """The licenses of a subscription, or of a line that had no subscription reference when it was issued."""
    first = entitlement.first
    same_line = (models.License.order_ref == first.order_ref) & (models.License.line == first.line)
    if not subject.subscription_ref:
        return models.License.select().where(models.License.vendor == subject.vendor, same_line)
    same_subscription = models.License.subscription_ref == subject.subscription_ref
    same_line = same_line & (models.License.subscription_ref == "")
    return models.License.select().where(models.License.vendor == subject.vendor, same_subscription | same_line)


def _columns(
    subject: Subject, entitlement: Entitlement, grant: Grant, customer: models.Customer | None
) -> dict[str, Any]:
    purchase, terms = grant.purchase, grant.purchase.terms
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
        "activations": purchase.activations,
        "floating_seats": purchase.floating_seats,
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
    }


def _issue(
    subject: Subject,
    entitlement: Entitlement,
    grant: Grant,
    customer: models.Customer | None,
    *,
    actor: str,
    now: datetime,
) -> models.License:
    license = models.License.create(
        key=keys.new_key(grant.license_model),
        vendor=subject.vendor,
        unit=grant.unit,
        issued_at=now,
        **_columns(subject, entitlement, grant, customer),
    )
    why = f"order {entitlement.first.order_ref}"
    after = {"expires_at": _plain(grant.expires_at), "activations": grant.purchase.activations}
    _audit(license, actor=actor, now=now, change="issued", before={}, after=after, why=why)
    return license


def _change(
    license: models.License,
    subject: Subject,
    entitlement: Entitlement,
    grant: Grant,
    customer: models.Customer | None,
    *,
    actor: str,
    now: datetime,
) -> models.License:
    wanted = _columns(subject, entitlement, grant, customer)
    current = {name: license.customer_id if name == "customer" else getattr(license, name) for name in wanted}
    changed = {name: value for name, value in wanted.items() if current[name] != value}
    if not changed:
        return license
    models.License.update(changed).where(models.License.id == license.id).execute()
    _audit(
        license,
        actor=actor,
        now=now,
        change="changed",
        before={name: _plain(current[name]) for name in changed},
        after={name: _plain(value) for name, value in changed.items()},
        why=f"order {grant.purchase.order_ref}",
    )
    return models.License.get_by_id(license.id)


def _audit(
    license: models.License,
    *,
    actor: str,
    now: datetime,
    change: str,
    before: dict[str, Any],
    after: dict[str, Any],
    why: str,
) -> None:
    models.Audit.create(
        license=license,
        at=now,
        actor=actor,
        change=change,
        before=json.dumps(before),
        after=json.dumps(after),
        why=why,
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
