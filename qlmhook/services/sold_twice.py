"""What was sold twice, because a section of the configuration was renamed before its rows were moved.

The license that the customer has had longer stays; the other one is revoked and belongs to nothing any more.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from qlmhook.domain.facts import Place
from qlmhook.licensing import audit, key_format
from qlmhook.licensing.assessment import Facts
from qlmhook.licensing.audit import Change, Occasion
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import Kind
from qlmhook.storage import models


@dataclass(frozen=True, kw_only=True)
class Double:
    """A license that was issued a second time and is revoked, and the one that stays."""

    gone: models.License
    stays: models.License


def known_to_both(old: str, new: str) -> tuple[set[str], set[str]]:
    """Return the orders and the subscriptions that both accounts have facts of."""
    mine, theirs = models.Fact, models.Fact.alias()
    both = mine.select().where(mine.vendor == old, theirs.vendor == new)
    of_orders = both.join(theirs, on=(mine.order_ref == theirs.order_ref)).where(mine.order_ref != "")
    of_subscriptions = both.join(theirs, on=(mine.subscription_ref == theirs.subscription_ref))
    return (
        {fact.order_ref for fact in of_orders.select(mine.order_ref).distinct()},
        {fact.subscription_ref for fact in of_subscriptions.select(mine.subscription_ref).distinct()} - {""},
    )


def part(about: Facts, old: str, occasion: Occasion) -> Iterator[Double]:
    """Leave each subject one account's license for each unit: the first one, unless it alone is revoked."""
    references = Counter(subject.subscription_ref for subject in about)
    for subject, facts in about.items():
        places = {(fact.event.order_ref, fact.item.line) for fact in facts if fact.item is not None}
        reference = subject.subscription_ref if references[subject.subscription_ref] == 1 else ""
        units: dict[int, list[models.License]] = {}
        for license in _licenses_of({old, subject.vendor}, places, reference):
            units.setdefault(license.unit, []).append(license)
        for licenses in units.values():
            stays = min(licenses, key=lambda each: (each.revoked_at is not None, each.issued_at, each.id))
            for gone in licenses:
                if gone.vendor != stays.vendor:
                    _retire(gone, stays, occasion)
                    yield Double(gone=gone, stays=stays)


def _licenses_of(vendors: Collection[str], places: Collection[Place], reference: str) -> list[models.License]:
    """Return a subject's licenses under both names: those of its subscription, and those of its orders' lines."""
    table = models.License
    order_refs = {order_ref for order_ref, _ in places}
    found: dict[int, models.License] = {}
    for vendor in vendors:
        for license in table.select().where(table.vendor == vendor, table.order_ref.in_(order_refs)):
            if (license.order_ref, license.line) in places:
                found[license.id] = license
        if reference:
            theirs = table.vendor == vendor, table.subscription_ref == reference
            found |= {license.id: license for license in table.select().where(*theirs)}
    return [found[license_id] for license_id in sorted(found)]


def _retire(gone: models.License, stays: models.License, occasion: Occasion) -> None:
    """Revoke a license, and take it out of its subscription and line, so that nothing brings it back by itself."""
    why = f"It was issued twice; {key_format.grouped(stays.key)} stays. {occasion.why}"
    revoked_at = gone.revoked_at or occasion.at
    before = {"line": gone.line, "subscription_ref": gone.subscription_ref}
    after = {"line": f"double {gone.id}", "subscription_ref": ""}
    models.License.update(revoked_at=revoked_at, barred_why=gone.barred_why or why, **after).where(
        models.License.id == gone.id
    ).execute()
    change = Change(
        license=gone,
        change="revoked",
        before={**before, "revoked_at": gone.revoked_at},
        after={**after, "revoked_at": revoked_at},
    )
    audit.write([change], replace(occasion, why=why))
    # the end that an operator promised goes along
    decision = models.Decision
    decision.update(license=stays).where(decision.license == gone, decision.action == "extend").execute()
    _call_back(gone)


def _call_back(gone: models.License) -> None:
    """A key that does not count any more is not mailed; what the customer must know is written anew."""
    mailed, table = models.MailedLicense, models.Outbox
    for entry in list(mailed.select().join(table).where(mailed.license == gone, table.state == "due")):
        row = entry.outbox
        entry.delete_instance()
        if not mailed.select().where(mailed.outbox == row).exists():
            queue.remove(row)


def join_confirmations(vendor: str, order_refs: Collection[str], now: datetime) -> None:
    """Leave each order one confirmation: the one that went out, else the first."""
    by_order: dict[str, list[models.Outbox]] = {}
    for row in queue.of_orders(Kind.CONFIRMATION, vendor, order_refs):
        by_order.setdefault(row.order_ref, []).append(row)
    for rows in by_order.values():
        stays = min(rows, key=lambda row: (row.done_at is None, row.id))
        for row in rows:
            if row is not stays and row.state == "due":
                queue.finish(row, now, answer=f"Row {stays.id} confirms this order.")
