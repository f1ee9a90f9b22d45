"""What the tests of a plugin hand in: everything that the shop can send about one sale."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from qlmhook.domain.events import EventKind
from qlmhook.vendors.api import Notification
from qlmhook.vendors.form_body import FORM, parse_form

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When a notification of `make_notification` is received, unless a test says otherwise."""


def make_notification(
    body: bytes,
    *,
    content_type: str = FORM,
    headers: Mapping[str, str] | None = None,
    arguments: Mapping[str, str] | None = None,
    received_at: datetime = NOON,
) -> Notification:
    """Return the notification that the service makes of a request.

    `headers` and `arguments` may be spelled in any letter case, as in a request. `arguments` are those of the URL
    without `is_vendor`, `is_user` and `is_pwd`. Raises MalformedNotification or TooLarge for a body that should be
    a form and is none.
    """
    mimetype = content_type.partition(";")[0].strip().lower()
    return Notification(
        content_type=mimetype,
        body=body,
        fields=parse_form(body) if mimetype == FORM else (),
        headers={name.title(): value for name, value in (headers or {}).items()},
        arguments={name.lower(): value for name, value in (arguments or {}).items()},
        received_at=received_at,
    )


@dataclass(frozen=True, kw_only=True)
class Messages:
    """The bodies of all kinds of messages that a shop can send, before they are signed.

    They are about one sale, `paid`, as far as their names do not say otherwise. A kind that the shop does not have is
    left out, and the checks of it are skipped. `paid` has two lines or more, of one product if the shop can sell that,
    of two units or more, the last of more than the first. `partial_refund` is of some lines, such as the last one,
    `refund_of_units` of some units of a line that has several, `second_refund_of_units` another refund of that
    line. `second_dispute` opens another dispute than `dispute_opened`. `renewal` is a further order of the
    subscription of `paid`, `upgrade` another product or quantity of it without an order. `batch` is about two
    orders or more. `unknown` is of a kind that the plugin has never heard of, `unreadable` lacks what is needed to
    act, such as the order's reference. `others` are further messages that the plugin understands, such as those
    that only name a sale in another way.
    """

    paid: bytes
    unknown: bytes
    unreadable: bytes
    paid_again: bytes | None = None
    under_review: bytes | None = None
    refund: bytes | None = None
    partial_refund: bytes | None = None
    refund_of_units: bytes | None = None
    second_refund_of_units: bytes | None = None
    reversal: bytes | None = None
    cancellation: bytes | None = None
    dispute_opened: bytes | None = None
    dispute_won: bytes | None = None
    dispute_lost: bytes | None = None
    second_dispute: bytes | None = None
    renewal: bytes | None = None
    subscription: bytes | None = None
    subscription_ended: bytes | None = None
    subscription_stopped: bytes | None = None
    past_due: bytes | None = None
    upgrade: bytes | None = None
    customer: bytes | None = None
    batch: bytes | None = None
    test_order: bytes | None = None
    others: tuple[bytes, ...] = ()

    def named(self) -> Iterator[tuple[str, bytes]]:
        """Yield each message that the shop has, with its name."""
        for field in fields(self):
            body = getattr(self, field.name)
            if isinstance(body, bytes):
                yield field.name, body
        for place, body in enumerate(self.others):
            yield f"others[{place}]", body


KINDS: Mapping[str, EventKind] = {
    "paid": EventKind.PAID,
    "paid_again": EventKind.PAID,
    "under_review": EventKind.UNDER_REVIEW,
    "refund": EventKind.REFUNDED,
    "partial_refund": EventKind.REFUNDED,
    "refund_of_units": EventKind.REFUNDED,
    "second_refund_of_units": EventKind.REFUNDED,
    "reversal": EventKind.REVERSED,
    "cancellation": EventKind.CANCELED,
    "dispute_opened": EventKind.CHARGEBACK_OPENED,
    "dispute_won": EventKind.CHARGEBACK_WON,
    "dispute_lost": EventKind.CHARGEBACK_LOST,
    "second_dispute": EventKind.CHARGEBACK_OPENED,
    "renewal": EventKind.PAID,
    "subscription": EventKind.SUBSCRIPTION,
    "subscription_ended": EventKind.SUBSCRIPTION,
    "subscription_stopped": EventKind.SUBSCRIPTION,
    "past_due": EventKind.SUBSCRIPTION,
    "upgrade": EventKind.SUBSCRIPTION,
    "customer": EventKind.CUSTOMER,
}
"""What the messages say that have such a name."""

BESIDE = frozenset({EventKind.SUBSCRIPTION, EventKind.CUSTOMER})
"""Events that any message may have beside what its name says."""

OF_THE_SALE = (
    "paid_again",
    "under_review",
    "refund",
    "partial_refund",
    "refund_of_units",
    "second_refund_of_units",
    "reversal",
    "cancellation",
    "dispute_opened",
    "dispute_won",
    "dispute_lost",
    "second_dispute",
)
"""The messages that are about the order and the lines of `paid`."""
