"""A section of the configuration that was renamed: everything that is stored of the account follows it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qlmhook.catalog import mappings
from qlmhook.catalog.mappings import RenamedProperty
from qlmhook.channels.alert.due import Alerts
from qlmhook.errors import NotFound, QlmhookError
from qlmhook.inbox import fact_json, fact_store, notification_store
from qlmhook.licensing.audit import Occasion
from qlmhook.services import sold_twice
from qlmhook.services.apply import Applying
from qlmhook.services.check_message import read
from qlmhook.services.receive import Clock
from qlmhook.services.sold_twice import Double
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Account, Accounts

CARRIERS: list[Any] = [table for table in models.TABLES if "vendor" in table._meta.fields]
"""Every table whose rows carry the account's name."""

BATCH = 500
LONGEST_LIST = 20


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """What was moved, and what had been sold twice."""

    account: Account
    notifications: int
    licenses: int
    properties: list[RenamedProperty]
    sold_twice: list[Double]


class Renaming:
    """Moves what is stored of one account to another, in one transaction.

    What came under the new name before that was new to the service, which has sold some of it a second time. Its
    facts join those that are known, and the licenses become what all of them say.
    """

    def __init__(
        self, *, database: Database, accounts: Accounts, applying: Applying, alerts: Alerts, clock: Clock
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._applying = applying
        self._alerts = alerts
        self._clock = clock

    def rename(self, old: str, new: str, *, operator: str) -> Renamed:
        """Move every row of an account that is configured no more; raises NotFound, QlmhookError."""
        account = self._heir(old, new)
        name, now = account.name, self._clock()
        occasion = Occasion(actor=f"operator {operator}"[:128], at=now, why=f"The account {old} is called {name} now.")
        with self._database.transaction():
            self._refuse_unknown(old)
            _refuse_another_plugin(old, account)
            orders, subscriptions = sold_twice.known_to_both(old, name)
            for row in _each(models.Notification, old):
                notification_store.relabel(row, account)
            _merge_facts(old, name)
            _merge_key_uses(old, name)
            _merge_tallies(old, name)
            _merge_fulfilled_lines(old, name)
            _merge_order_names(old, name)
            _hurry(old, now)
            moved = {table: _move(table, old, name) for table in CARRIERS if table is not models.License}
            about = fact_store.about(name, order_refs=orders, subscription_refs=subscriptions)
            parted = list(sold_twice.part(about, old, occasion))
            moved[models.License] = _move(models.License, old, name)  # two of one line would collide
            self._applying.settle(account, about, occasion)
            sold_twice.join_confirmations(name, orders, now)
            renamed = mappings.rename_account(old, name, now=now)
            self._tell(old, name, parted, now)
        return Renamed(
            account=account,
            notifications=moved[models.Notification],
            licenses=moved[models.License],
            properties=renamed,
            sold_twice=parted,
        )

    def _heir(self, old: str, new: str) -> Account:
        present, account = self._accounts.section(old), self._accounts.section(new)
        if account is None:
            names = ", ".join(account.name for account in self._accounts) or "none"
            raise NotFound(f"There is no [vendors.{new}] in the configuration (configured: {names}).")
        if present is not None and present.name == old:
            raise QlmhookError(
                f"There still is a section for {old} in the configuration, and letter case does not count. Rename it "
                "there and restart the service; then move the rows."
            )
        return account

    def _refuse_unknown(self, old: str) -> None:
        if not any(table.select().where(table.vendor == old).exists() for table in CARRIERS):
            strays = ", ".join(self._accounts.strays) or "none"
            raise NotFound(f"The database has no rows of an account {old} (configured no more: {strays}).")

    def _tell(self, old: str, new: str, parted: list[Double], now: datetime) -> None:
        if not parted:
            return
        orders = list(dict.fromkeys(double.gone.order_ref for double in parted))
        more = f" and {len(orders) - LONGEST_LIST} more" if len(orders) > LONGEST_LIST else ""
        self._alerts.tell(
            subject=f"Licenses of {new} were issued twice, and one of each two is revoked: {len(parted)}",
            text=f"{old} was renamed to {new} in the configuration. Until its rows were moved, these orders got a "
            f"second license: {', '.join(orders[:LONGEST_LIST])}{more}. See `qlmhook license list --order "
            f"{orders[0]}`, and tell the customers which key counts.",
            now=now,
        )


def _refuse_another_plugin(old: str, account: Account) -> None:
    """The database does not say which plugin stored a row, but this one must understand it."""
    table = models.Notification
    row = table.select().where(table.vendor == old, table.kind != "").order_by(table.id.desc()).first()
    if row is None:
        return
    try:
        read(account.vendor, notification_store.restore(row))
    except Exception as error:  # whatever a plugin makes of what another one's shop sent
        raise QlmhookError(
            f"The plugin {account.vendor.plugin} of [vendors.{account.name}] does not understand notification {row.id} "
            f"of {old}, so nothing was moved. The section must have the plugin that {old} had."
        ) from error


def _each(table: Any, vendor: str) -> Iterator[Any]:
    """Yield an account's rows, the oldest first; a table may be larger than the memory."""
    last = 0
    while rows := list(table.select().where(table.vendor == vendor, table.id > last).order_by(table.id).limit(BATCH)):
        yield from rows
        last = rows[-1].id


def _merge_facts(old: str, new: str) -> None:
    """Of two facts that say the same the one that was learned first stays, as if the other had been a repeat."""
    table = models.Fact
    for row in _each(table, old):
        digest = fact_json.digest_of(new, json.loads(row.data), row.form)
        twin = table.get_or_none(table.digest == digest, table.id != row.id)
        later = None if twin is None else max(row, twin, key=lambda fact: (fact.learned_at, fact.id))
        if later is not None:
            later.delete_instance()
        if later is not row:
            table.update(digest=digest).where(table.id == row.id).execute()


def _merge_key_uses(old: str, new: str) -> None:
    table = models.KeyUse
    for row in list(table.select().where(table.vendor == old)):
        twin = table.get_or_none(table.vendor == new, table.key_id == row.key_id, table.id != row.id)
        if twin is None:
            continue
        if twin.last_used_at < row.last_used_at:
            twin.last_used_at, twin.merchant = row.last_used_at, row.merchant
            twin.save()
        row.delete_instance()


def _merge_tallies(old: str, new: str) -> None:
    table = models.Tally
    for row in list(table.select().where(table.vendor == old)):
        twin = table.get_or_none(table.vendor == new, table.counted == row.counted, table.state == row.state)
        if twin is not None:
            twin.count += row.count
            twin.save()
            row.delete_instance()


def _merge_order_names(old: str, new: str) -> None:
    table = models.OrderName
    for row in _each(table, old):
        if table.get_or_none(table.vendor == new, table.order_ref == row.order_ref, table.name == row.name) is not None:
            row.delete_instance()


def _merge_fulfilled_lines(old: str, new: str) -> None:
    """What a line was sold by is what it was sold by first."""
    table = models.FulfilledLine
    for row in _each(table, old):
        same = table.order_ref == row.order_ref, table.line == row.line
        twin = table.get_or_none(table.vendor == new, *same, table.id != row.id)
        if twin is not None:
            max(row, twin, key=lambda line: (line.at, line.id)).delete_instance()


def _hurry(vendor: str, now: datetime) -> None:
    """What failed because the section was gone need not wait for its next turn."""
    table = models.Outbox
    table.update(due_at=now).where(table.vendor == vendor, table.state == "due", table.due_at > now).execute()


def _move(table: Any, old: str, new: str) -> int:
    count: int = table.update(vendor=new).where(table.vendor == old).execute()
    return count
