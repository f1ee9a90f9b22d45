"""What happened, in words that every vendor shares. The core knows no others."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class EventKind(StrEnum):
    """What a vendor tells about an order's lines, or about a subscription."""

    PAID = "paid"
    """Paid for, or payment is guaranteed: to be fulfilled."""
    UNDER_REVIEW = "under_review"
    """Paid for, but the vendor's fraud review has not approved it."""
    REFUNDED = "refunded"
    """The money went back after the sale was complete."""
    REVERSED = "reversed"
    """The payment was undone before the sale was complete."""
    CANCELED = "canceled"
    """The order was canceled before the sale was complete."""
    CHARGEBACK_OPENED = "chargeback_opened"
    """The customer's bank disputes the payment."""
    CHARGEBACK_WON = "chargeback_won"
    """The dispute ended for the merchant."""
    CHARGEBACK_LOST = "chargeback_lost"
    """The dispute ended for the customer, or was accepted."""
    SUBSCRIPTION = "subscription"
    """How a subscription stands, whatever its orders."""
    CUSTOMER = "customer"
    """Who a customer is whom orders name by a reference alone."""


NAMING_CUSTOMERS = (EventKind.PAID, EventKind.SUBSCRIPTION, EventKind.CUSTOMER)
"""The events whose customer is the license's: that of a refund may be a bank's clerk."""


@dataclass(frozen=True, kw_only=True)
class Customer:
    """Who bought; every part may be empty."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    phone: str = ""
    fax: str = ""
    address1: str = ""
    address2: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of an order, or a subscription.

    `line` names the line within its order, the same in every message about that order; of a subscription it is
    the reference. A product that has several ids, such as a price's and its product's, has the most specific one as
    `product_id` and the others, the more specific first, as `general_ids`. A subscription that is one of several
    under one reference of the vendor's has that as `group_ref`. `undone_quantity` is how many units an event that
    takes money back is about, None for all. `amount` is what was paid for the line, in `currency` (ISO 4217).
    `problem` is a sentence when the vendor's data for this line cannot be understood: the line is held with it.
    """

    line: str
    product_id: str
    general_ids: tuple[str, ...] = ()
    product_name: str = ""
    quantity: int = 1
    subscription_ref: str = ""
    group_ref: str = ""
    expires_at: datetime | None = None
    lifetime: bool = False
    options: tuple[str, ...] = ()
    undone_quantity: int | None = None
    amount: Decimal | None = None
    currency: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the vendor says that a subscription stands; its end is the item's.

    `stopped` and `paused` take the use away until the vendor says otherwise, a pause only between its dates;
    `expired` says that it has ended whatever the date, `final` that it has and nothing brings it back; for
    `grace_days` beyond the end the use goes on. `replaces`: the item's product and quantity are what the subscription
    has from now on, without an order that says so; with `unchanged` that is all: how it stands, and when it ends, stays
    as it was told last.
    """

    stopped: bool = False
    paused: bool = False
    paused_from: datetime | None = None
    paused_until: datetime | None = None
    expired: bool = False
    final: bool = False
    grace_days: int = 0
    replaces: bool = False
    unchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened to the lines of an order, or to a subscription.

    `at` is when the vendor made the message, `placed_at` when the customer bought, `paid_at` when the customer paid:
    the same in every message about a payment, for a payment is news once. All are aware. `sequence` tells which of
    two messages of one second the vendor made later.

    `also_known_as` are further names under which the vendor speaks of the same order. `whole_order` says that an event
    without items is about all lines of its order, whatever they are. `customer_ref` is the vendor's name for a
    customer whom another message, an event CUSTOMER, describes. `case_ref` names a dispute or a refund where an order
    can have several: refunds of units that have names add up, of those without one the largest counts. `detail` tells
    two refunds of the same lines apart for the operator, such as by their amounts. `unclear` is a sentence when a
    person must look at what happened to this order: the event is held with it and does nothing.
    """

    kind: EventKind
    order_ref: str
    also_known_as: tuple[str, ...] = ()
    at: datetime
    placed_at: datetime
    paid_at: datetime | None = None
    sequence: int = 0
    test: bool = False
    customer: Customer = Customer()
    customer_ref: str = ""
    items: tuple[Item, ...] = ()
    whole_order: bool = False
    standing: Standing | None = None
    case_ref: str = ""
    reason: str = ""
    detail: str = ""
    unclear: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A notification as its vendor plugin understood it.

    Without events there is nothing to do, and `note` says why; `unclear` is a sentence when a person must look.
    `incomplete` is a sentence when the message names only what the shop must be asked for: the core lets the plugin
    ask (`Vendor.enrich`) and has the notification parsed again, with the answer.
    `merchant` is the vendor's name for the account, if the notification tells: it never changes under one key.
    """

    kind: str
    order_ref: str
    order_status: str
    subscription_ref: str = ""
    merchant: str = ""
    events: tuple[Event, ...] = ()
    note: str = ""
    unclear: str = ""
    incomplete: str = ""
