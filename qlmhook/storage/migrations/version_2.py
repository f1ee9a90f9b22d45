"""Version 2: what shops of other habits say, and what takes as long with a million rows as with one.

Facts have references to groups and customers, and the form of their data; orders have other names; a notification
has what was asked for besides; a hold names its subscription; a fulfilled line has a longer name; confirmations are no
longer called `idn`. What was called the subject of a hold is its cause, and when a row of the outbox was created is
when it began, for it may begin anew.

Indexes are those of what is asked; counts and the alerts that are not told twice are kept in tables of their own.
"""

from collections.abc import Mapping
from typing import Any

import peewee

from qlmhook.storage.engines import MySQL
from qlmhook.storage.migrations import version_1
from qlmhook.storage.migrations.table_changes import FrozenTable, drop_index, rename_column, reshape

TABLES = version_1.COLUMNS.keys() - {"writer_lock"}
"""The tables of version 1, without the writer's lock: that one is in use, and has no text."""

WAITING = "subscription "

REPLACED = [
    ("notification", ("state",)),
    ("outbox", ("state", "due_at")),
]
"""Indexes that others begin like, or that nothing asks any more."""

LARGE_TYPES: Mapping[str, str] = {"text": "longtext", "blob": "longblob", "datetime": "datetime(6)"}


LONGEST_ALERT = 250


class Notification(FrozenTable):
    vendor = peewee.CharField(max_length=64)
    state = peewee.CharField(max_length=16)
    enrichment = peewee.BlobField(null=True)

    class Meta:
        indexes = ((("state", "id"), False),)


class Fact(FrozenTable):
    notification = peewee.ForeignKeyField(Notification)
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    line = peewee.CharField(max_length=64)
    subscription_ref = peewee.CharField(max_length=64)
    group_ref = peewee.CharField(max_length=64)
    customer_ref = peewee.CharField(max_length=64)
    email = peewee.CharField(max_length=254, index=True)
    kind = peewee.CharField(max_length=32)
    at = peewee.DateTimeField()
    learned_at = peewee.DateTimeField()
    form = peewee.IntegerField()
    data = peewee.TextField()
    digest = peewee.CharField(max_length=64, unique=True)

    class Meta:
        indexes = (
            (("vendor", "order_ref"), False),
            (("vendor", "subscription_ref"), False),
            (("vendor", "group_ref"), False),
            (("vendor", "customer_ref"), False),
        )


class OrderName(FrozenTable):
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    name = peewee.CharField(max_length=64)

    class Meta:
        indexes = ((("vendor", "order_ref", "name"), True), (("vendor", "name"), False))


class Hold(FrozenTable):
    notification = peewee.ForeignKeyField(Notification)
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    subscription_ref = peewee.CharField(max_length=64)
    cause = peewee.CharField(max_length=190, index=True)
    reason = peewee.TextField()

    class Meta:
        indexes = ((("vendor", "order_ref"), False), (("vendor", "subscription_ref"), False))


class Customer(FrozenTable):
    told = peewee.TextField(null=True)


class License(FrozenTable):
    vendor = peewee.CharField(max_length=64)
    revoked_at = peewee.DateTimeField(null=True)
    suspended_at = peewee.DateTimeField(null=True)
    ended_at = peewee.DateTimeField(null=True)
    expires_at = peewee.DateTimeField(null=True)
    grace_until = peewee.DateTimeField(null=True)

    class Meta:
        indexes = (
            (("revoked_at", "id"), False),
            (("suspended_at", "id"), False),
            (("ended_at", "id"), False),
            (("expires_at", "id"), False),
            (("grace_until", "id"), False),
        )


class FulfilledLine(FrozenTable):
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    line = peewee.CharField(max_length=80)
    terms = peewee.TextField()
    at = peewee.DateTimeField()

    class Meta:
        indexes = ((("vendor", "order_ref", "line"), True),)


class ServerProperty(FrozenTable):
    name = peewee.CharField(max_length=190, unique=True)
    value = peewee.TextField()
    updated_at = peewee.DateTimeField(index=True)


class Outbox(FrozenTable):
    kind = peewee.CharField(max_length=16)
    state = peewee.CharField(max_length=16)
    subject = peewee.TextField()
    begun_at = peewee.DateTimeField()
    due_at = peewee.DateTimeField()

    class Meta:
        indexes = ((("state", "due_at", "id"), False), (("state", "begun_at", "id"), False))


class OperatorTold(FrozenTable):
    subject = peewee.CharField(max_length=250, unique=True)


class Tally(FrozenTable):
    counted = peewee.CharField(max_length=16)
    vendor = peewee.CharField(max_length=64)
    state = peewee.CharField(max_length=16)
    count = peewee.BigIntegerField()

    class Meta:
        indexes = ((("vendor", "counted", "state"), True),)


def upgrade(database: peewee.Database) -> None:
    """Make tables of version 2 from those of version 1."""
    if isinstance(database, MySQL):
        for table in sorted(TABLES & set(database.get_tables())):
            _make_exact(database, table)
    reshape(database, ServerProperty)
    reshape(database, Notification)
    reshape(database, Fact, filled={"group_ref": "", "customer_ref": "", "form": 1})
    reshape(database, OrderName)
    rename_column(database, Hold, "subject", "cause")
    reshape(database, Hold, filled={"subscription_ref": ""})
    _name_subscriptions()
    reshape(database, FulfilledLine)
    rename_column(database, Outbox, "created_at", "begun_at")
    Outbox.update(kind="confirmation").where(Outbox.kind == "idn").execute()
    reshape(database, Customer)
    reshape(database, License)
    reshape(database, Outbox)
    for table, columns in REPLACED:
        drop_index(database, table, *columns)
    reshape(database, OperatorTold)
    reshape(database, Tally)
    _remember_alerts()
    _count()


def _remember_alerts() -> None:
    """Which alerts were not to be told twice was not written down, but every one that was told has its row."""
    OperatorTold.delete().execute()
    subject = peewee.fn.SUBSTR(Outbox.subject, 1, LONGEST_ALERT)
    told = Outbox.select(subject).where(Outbox.kind == "alert").distinct()
    OperatorTold.insert_from(told, [OperatorTold.subject]).execute()


def _count() -> None:
    Tally.delete().execute()
    counted: list[tuple[Any, tuple[str, ...]]] = [
        (Notification, ("vendor", "state")),
        (License, ("vendor",)),
        (Outbox, ("state",)),
    ]
    for table, names in counted:
        columns = [getattr(table, name) for name in names]
        counts = table.select(*columns, peewee.fn.COUNT(table.id).alias("count")).group_by(*columns).dicts()
        for found in list(counts):
            Tally.insert({"counted": table._meta.table_name, "vendor": "", "state": "", **found}).execute()


def _name_subscriptions() -> None:
    """What waits for a subscription's order was found by its cause, `subscription <reference>`."""
    reference = peewee.fn.SUBSTR(Hold.cause, len(WAITING) + 1)
    Hold.update(subscription_ref=reference).where(Hold.cause.startswith(WAITING)).execute()


def _make_exact(database: MySQL, table: str) -> None:
    """Let text be as long and compare as exactly as in tables that are made today.

    0.1.0 made them with the server's collation, texts of 64 KiB and times without microseconds; what was made between
    0.1.0 and this version is right, and stays.
    """
    collation = database.exact_collation()
    rows = database.execute_sql(
        "SELECT column_name, column_type, is_nullable, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (table,),
    )
    steps = []
    for name, type_, null, found in rows.fetchall():
        wanted = LARGE_TYPES.get(type_, type_)
        if wanted != type_ or found not in (None, collation):
            text = "" if found is None else f" CHARACTER SET utf8mb4 COLLATE {collation}"
            steps.append(f"MODIFY COLUMN `{name}` {wanted}{text} {'NULL' if null == 'YES' else 'NOT NULL'}")
    defaults = database.execute_sql(
        "SELECT table_collation FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s",
        (table,),
    )
    if steps or list(defaults.fetchall()) != [(collation,)]:
        steps.append(f"DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}")
        database.execute_sql(f"ALTER TABLE {table} {', '.join(steps)}")
