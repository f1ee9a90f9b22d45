"""Version 2: what shops of other habits say.

Facts have references to groups and customers, and the form of their data; orders have other names; a notification
has what was asked for besides; a hold names its subscription; a fulfilled line has a longer name; confirmations are no
longer called `idn`. What was called the subject of a hold is its cause, and when a row of the outbox was created is
when it began, for it may begin anew.
"""

from collections.abc import Mapping

import peewee

from qlmhook.storage.engines import MySQL
from qlmhook.storage.migrations import version_1
from qlmhook.storage.migrations.table_changes import FrozenTable, rename_column, reshape

TABLES = version_1.COLUMNS.keys() - {"writer_lock"}
"""The tables of version 1, without the writer's lock: that one is in use, and has no text."""

WAITING = "subscription "

LARGE_TYPES: Mapping[str, str] = {"text": "longtext", "blob": "longblob", "datetime": "datetime(6)"}


class Notification(FrozenTable):
    enrichment = peewee.BlobField(null=True)


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
    begun_at = peewee.DateTimeField()

    class Meta:
        indexes = ((("kind", "begun_at"), False),)


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
    reshape(database, Outbox)
    Outbox.update(kind="confirmation").where(Outbox.kind == "idn").execute()


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
