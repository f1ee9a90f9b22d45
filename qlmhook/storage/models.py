"""The tables. Facts are stored; what can be derived from them, such as a license's status, is not."""

from datetime import datetime
from typing import Any

import peewee

from qlmhook.storage import license_status
from qlmhook.storage.database import WriterLock
from qlmhook.storage.table import OptionalUtcField, Table, UtcField


class SchemaVersion(Table):
    """The version of the tables in this database."""

    version = peewee.IntegerField()


class ServerProperty(Table):
    """A name and a value that the operator set: mostly `pid_<product id>` and what to license for it."""

    name = peewee.CharField(max_length=190, unique=True)
    value = peewee.TextField()
    updated_at = UtcField(index=True)


class Notification(Table):
    """A verified notification as it came, and what became of it."""

    vendor = peewee.CharField(max_length=64)
    endpoint = peewee.CharField(max_length=128)
    kind = peewee.CharField(max_length=16)
    order_ref = peewee.CharField(max_length=64, index=True)
    order_status = peewee.CharField(max_length=64)
    subscription_ref = peewee.CharField(max_length=64)
    state = peewee.CharField(max_length=16)
    reason = peewee.TextField()
    received_at = UtcField(index=True)
    applied_at = OptionalUtcField()
    digest = peewee.CharField(max_length=64, unique=True)
    signed_digest = peewee.CharField(max_length=64, index=True)
    content_type = peewee.CharField(max_length=128)
    body = peewee.BlobField()
    enrichment = peewee.BlobField(null=True)
    copies = peewee.IntegerField(default=1)
    dismissed = peewee.BooleanField(default=False)

    class Meta:
        indexes = ((("state", "id"), False),)


class KeyUse(Table):
    """When a secret key last verified a notification, by the key's id, and for which merchant."""

    vendor = peewee.CharField(max_length=64)
    key_id = peewee.CharField(max_length=8)
    merchant = peewee.CharField(max_length=64)
    last_used_at = UtcField()

    class Meta:
        indexes = ((("vendor", "key_id"), True),)


class Fact(Table):
    """One thing that a notification told about one line of an order; never changed, never deleted.

    `data` is what was told, as JSON of the version `form` (inbox/fact_json.py).
    """

    notification_id: int
    notification = peewee.ForeignKeyField(Notification)
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    line = peewee.CharField(max_length=64)
    subscription_ref = peewee.CharField(max_length=64)
    group_ref = peewee.CharField(max_length=64)
    customer_ref = peewee.CharField(max_length=64)
    email = peewee.CharField(max_length=254, index=True)
    kind = peewee.CharField(max_length=32)
    at = UtcField()
    learned_at = UtcField()
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


class OrderName(Table):
    """Another name under which a vendor speaks of an order; both were told in one message."""

    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    name = peewee.CharField(max_length=64)

    class Meta:
        indexes = ((("vendor", "order_ref", "name"), True), (("vendor", "name"), False))


class Hold(Table):
    """Why a notification waits: a sentence, and the name of the cause that a person must mend."""

    notification_id: int
    notification = peewee.ForeignKeyField(Notification)
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    subscription_ref = peewee.CharField(max_length=64)
    cause = peewee.CharField(max_length=190, index=True)
    reason = peewee.TextField()

    class Meta:
        indexes = ((("vendor", "order_ref"), False), (("vendor", "subscription_ref"), False))


class Customer(Table):
    """Who bought, one row for each e-mail address, compared in lower case.

    `told` says when each part was told last (licensing/customers.py), or nothing in a row of 0.1.0.
    """

    email_key = peewee.CharField(max_length=254, unique=True)
    told = peewee.TextField(null=True)
    told_at = UtcField()
    email = peewee.CharField(max_length=254)
    full_name = peewee.TextField()
    first_name = peewee.TextField()
    last_name = peewee.TextField()
    company = peewee.TextField()
    phone = peewee.TextField()
    fax = peewee.TextField()
    address1 = peewee.TextField()
    address2 = peewee.TextField()
    city = peewee.TextField()
    state = peewee.TextField()
    zip = peewee.TextField()
    country = peewee.TextField()


class License(Table):
    """A license: what was sold, to whom, until when. Its status is derived from these facts."""

    key = peewee.CharField(max_length=64, unique=True)
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    line = peewee.CharField(max_length=64)
    unit = peewee.IntegerField()
    subscription_ref = peewee.CharField(max_length=64)
    vendor_product_id = peewee.CharField(max_length=64)
    license_model = peewee.CharField(max_length=32)
    product_id = peewee.BigIntegerField()
    major_version = peewee.BigIntegerField()
    minor_version = peewee.BigIntegerField()
    product_name = peewee.TextField()
    engine_version = peewee.CharField(max_length=16)
    features = peewee.TextField()
    product_properties = peewee.TextField()
    activations = peewee.BigIntegerField()
    floating_seats = peewee.BigIntegerField()
    quantity = peewee.BigIntegerField()
    affiliate = peewee.TextField()
    user_data = peewee.TextField()
    computer_type = peewee.IntegerField()
    legacy_key = peewee.TextField()
    test = peewee.BooleanField()
    customer_id: int | None
    customer = peewee.ForeignKeyField(Customer, null=True)
    ordered_at = UtcField()
    issued_at = UtcField(index=True)
    expires_at = OptionalUtcField()
    maintenance_until = OptionalUtcField()
    ended_at = OptionalUtcField()
    grace_until = OptionalUtcField()
    suspended_at = OptionalUtcField()
    suspended_until = OptionalUtcField()
    revoked_at = OptionalUtcField()
    barred_why = peewee.TextField(default="")

    class Meta:
        indexes = (
            (("vendor", "order_ref", "line", "unit"), True),
            (("vendor", "subscription_ref"), False),
            # listings by status go along these, with the id where times are the same
            (("revoked_at", "id"), False),
            (("suspended_at", "id"), False),
            (("ended_at", "id"), False),
            (("expires_at", "id"), False),
            (("grace_until", "id"), False),
        )

    @classmethod
    def with_customers(cls) -> Any:
        """Return a query for licenses that brings their customers along."""
        return cls.select(cls, Customer).join(Customer, peewee.JOIN.LEFT_OUTER).switch(cls)

    def status(self, now: datetime) -> str:
        """Return revoked, suspended, expired or active, the first that applies."""
        return license_status.status_of(self, now)

    def is_barred(self, now: datetime) -> bool:
        """Tell whether it may not be used until somebody says otherwise; a pause that ends by itself is no bar."""
        return license_status.is_barred(self, now)


class FulfilledLine(Table):
    """A line of an order that a license was issued or extended for, and the terms that it was sold by."""

    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    line = peewee.CharField(max_length=80)
    terms = peewee.TextField()
    at = UtcField()

    class Meta:
        indexes = ((("vendor", "order_ref", "line"), True),)


class Decision(Table):
    """What an operator decided about a license by hand."""

    license_id: int
    license = peewee.ForeignKeyField(License)
    at = UtcField()
    action = peewee.CharField(max_length=16)
    until = OptionalUtcField()
    why = peewee.TextField()


class Audit(Table):
    """One change to a license: when, by whom, from what to what, and why."""

    license_id: int
    license = peewee.ForeignKeyField(License)
    at = UtcField()
    actor = peewee.CharField(max_length=128)
    change = peewee.CharField(max_length=32)
    before = peewee.TextField()
    after = peewee.TextField()
    why = peewee.TextField()


class Outbox(Table):
    """Something that goes out after the commit: a mail, a confirmation, an alert.

    `begun_at` is when it was written, or when an operator let it begin anew.
    """

    kind = peewee.CharField(max_length=16)
    state = peewee.CharField(max_length=16)
    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    to = peewee.TextField()
    subject = peewee.TextField()
    payload = peewee.TextField()
    attempts = peewee.IntegerField(default=0)
    begun_at = UtcField()
    due_at = UtcField()
    leased_until = OptionalUtcField()
    lease = peewee.CharField(max_length=32, default="")
    done_at = OptionalUtcField()
    last_error = peewee.TextField(default="")
    answer = peewee.TextField(default="")

    class Meta:
        indexes = (
            (("state", "due_at", "id"), False),
            (("state", "begun_at", "id"), False),
            (("vendor", "order_ref"), False),
        )


class MailedLicense(Table):
    """Which license was mailed for which order: the guard against a second mail."""

    vendor = peewee.CharField(max_length=64)
    order_ref = peewee.CharField(max_length=64)
    license_id: int
    license = peewee.ForeignKeyField(License)
    outbox = peewee.ForeignKeyField(Outbox)

    class Meta:
        indexes = ((("vendor", "order_ref", "license"), True),)


class OperatorTold(Table):
    """The subject of an alert that is not told twice."""

    subject = peewee.CharField(max_length=250, unique=True)


class Tally(Table):
    """How many rows of a table there are, by account and state; whoever changes that changes this (tallies.py)."""

    counted = peewee.CharField(max_length=16)
    vendor = peewee.CharField(max_length=64)
    state = peewee.CharField(max_length=16)
    count = peewee.BigIntegerField()

    class Meta:
        indexes = ((("vendor", "counted", "state"), True),)


class Refusal(Table):
    """How many requests were refused for a reason, since the database was made."""

    reason = peewee.CharField(max_length=64, unique=True)
    count = peewee.BigIntegerField()


class Heartbeat(Table):
    """When an outbox worker was last alive."""

    worker = peewee.CharField(max_length=128, unique=True)
    at = UtcField()


TABLES: list[type[peewee.Model]] = [
    WriterLock,
    SchemaVersion,
    ServerProperty,
    Notification,
    KeyUse,
    Fact,
    OrderName,
    Hold,
    Customer,
    License,
    FulfilledLine,
    Decision,
    Audit,
    Outbox,
    MailedLicense,
    OperatorTold,
    Tally,
    Refusal,
    Heartbeat,
]
