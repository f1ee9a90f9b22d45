"""What happened, in words that every vendor shares. The core knows no others."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What a vendor tells about an order."""

    PAID = "paid"
    """The order is paid for, or payment is guaranteed: its lines are to be fulfilled."""
    UNDER_REVIEW = "under_review"
    """The order is paid for, but the vendor's fraud review has not approved it."""


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
    """One line of an order.

    `line` names the line within its order, the same in every message about that order.
    `problem` is a sentence when the vendor's data for this line cannot be understood: the line is held with it.
    """

    line: str
    product_id: str
    product_name: str = ""
    quantity: int = 1
    subscription_ref: str = ""
    expires_at: datetime | None = None
    lifetime: bool = False
    options: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened to one order.

    `at` is when the vendor made the message, `placed_at` when the customer bought; both are aware.
    """

    kind: EventKind
    order_ref: str
    at: datetime
    placed_at: datetime
    test: bool = False
    customer: Customer = Customer()
    items: tuple[Item, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A notification as its vendor plugin understood it.

    Without events there is nothing to do, and `note` says why.
    """

    kind: str
    order_ref: str
    order_status: str
    events: tuple[Event, ...] = ()
    note: str = field(default="")
