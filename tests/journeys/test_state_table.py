"""The state table, row by row: what each event does to a license, after it is issued and before."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from qlmhook.domain.events import EventKind
from qlmhook.domain.rules import RULES
from tests.conftest import OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.looking import alerts, licenses, states, waiting

pytestmark = pytest.mark.sqlite
"""What the rules say is worked out before the database is asked."""


PAID = Order()
FIRST_END = "2026-12-31T22:00:00Z"
RENEWAL = Order(
    refno="900000002",
    sale_date="2026-12-01 10:00:00",
    ipn_date="20261201100500",
    lines=[Line(expires="2028-01-01 00:00:00")],
)
RENEWED_END = "2027-12-31T22:00:00Z"


def later(day: int = 2, **changes: object) -> Order:
    """What 2Checkout says of the paid order on a later day of its month."""
    return PAID.changed(ipn_date=f"202601{day:02}100500", **changes)


def chargeback(resolution: str, day: int) -> Order:
    return later(day, extra=[("CHARGEBACK_RESOLUTION", resolution)])


def settings_of(kind: EventKind, on: bool) -> dict[str, str]:
    """An event's own setting on or off, and the others the other way."""
    return {
        f"vendors__avangate__{name}": str(on is (name == RULES[kind].setting)).lower()
        for name in ("revoke_on_refund", "revoke_on_cancel")
    }


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: its event, and what the license is when it comes after the payment and before.

    A license is told by its status and end; `on` is the row's setting, `told` the beginning of the alert.
    """

    kind: EventKind
    on: bool = False
    messages: Sequence[Order | Subscription]
    after: tuple[str, str | None] = ("active", FIRST_END)
    before: Sequence[tuple[str, str | None]] = ()
    told: str = ""


RETURNED = {EventKind.REFUNDED: "REFUND", EventKind.REVERSED: "REVERSED", EventKind.CANCELED: "CANCELED"}

ROWS = [
    Row(
        kind=EventKind.PAID,
        messages=[later(lines=[Line(expires="2027-03-01 00:00:00")])],
        after=("active", "2027-02-28T22:00:00Z"),
        before=[("active", "2027-02-28T22:00:00Z")],
    ),
    Row(
        kind=EventKind.UNDER_REVIEW,
        messages=[later(extra=[("FRAUD_STATUS", "UNDER REVIEW")])],
        before=[("active", FIRST_END)],
        told="FRAUD_STATUS is UNDER REVIEW",
    ),
    *(
        Row(
            kind=kind,
            on=True,
            messages=[later(status=status)],
            after=("revoked", FIRST_END),
            told="The purchase counts no more.",
        )
        for kind, status in RETURNED.items()
    ),
    *(Row(kind=kind, messages=[later(status=status)], told="Shown and alerted") for kind, status in RETURNED.items()),
    Row(
        kind=EventKind.CHARGEBACK_OPENED,
        messages=[chargeback("OPEN", 2)],
        after=("suspended", FIRST_END),
        before=[("suspended", FIRST_END)],
        told="The license is suspended until the dispute ends.",
    ),
    Row(
        kind=EventKind.CHARGEBACK_WON,
        messages=[chargeback("OPEN", 2), chargeback("WON", 3)],
        before=[("active", FIRST_END)],
        told="The suspension by the dispute ends.",
    ),
    Row(
        kind=EventKind.CHARGEBACK_LOST,
        messages=[chargeback("LOST", 2)],
        after=("revoked", FIRST_END),
        told="The license is revoked, unless",
    ),
    Row(
        kind=EventKind.SUBSCRIPTION,
        messages=[Subscription(disabled="1", expires="2026-06-01 00:00:00")],
        after=("suspended", "2026-05-31T21:00:00Z"),
        before=[("suspended", "2026-05-31T21:00:00Z")],
    ),
]


def name_of(row: Row) -> str:
    setting = RULES[row.kind].setting
    return f"{row.kind.value} {setting} {row.on}" if setting else row.kind.value


every_row = pytest.mark.parametrize("row", ROWS, ids=name_of)


def post(shop: Shop, messages: Sequence[Order | Subscription]) -> None:
    """Post messages one after the other; each is accepted."""
    statuses = [shop.post(message.fields()).status_code for message in messages]

    assert statuses == [200] * len(messages)


def found(shop: Shop) -> list[tuple[str, str | None]]:
    return [(row["status"], row["expires_at"]) for row in licenses(shop)]


def test_every_row_of_the_table_is_among_these() -> None:
    """Each event that 2Checkout can tell, and each with its setting on and off where there is one."""
    of_2checkout = {kind: rule for kind, rule in RULES.items() if kind is not EventKind.CUSTOMER}
    rows = {(kind, on) for kind, rule in of_2checkout.items() for on in ((True, False) if rule.setting else (False,))}

    assert {(row.kind, row.on) for row in ROWS} == rows
    assert len(ROWS) == len(rows)


@every_row
def test_an_event_after_the_license_is_issued(open_shop: OpenShop, row: Row) -> None:
    """The license has the status and the end that the row says; nothing is issued or mailed a second time."""
    shop = open_shop(**settings_of(row.kind, row.on))
    shop.map("101")

    post(shop, [PAID, *row.messages])

    assert found(shop) == [row.after]
    assert len(waiting(shop, "mail")) == 1


@every_row
def test_an_event_before_the_license_is_issued(open_shop: OpenShop, row: Row) -> None:
    """The payment that arrives afterwards finds it, and issues what the row says, or nothing."""
    shop = open_shop(**settings_of(row.kind, row.on))
    shop.map("101")

    post(shop, row.messages)

    assert bool(found(shop)) is (row.kind is EventKind.PAID)

    post(shop, [PAID])

    assert found(shop) == list(row.before)
    assert "held" not in states(shop)


@every_row
def test_an_event_repeated_changes_nothing(open_shop: OpenShop, row: Row) -> None:
    """Each message is known when it comes again, and the operator is not told again."""
    shop = open_shop(**settings_of(row.kind, row.on))
    shop.map("101")
    post(shop, [PAID, *row.messages])
    before = found(shop), alerts(shop), waiting(shop, "mail")

    post(shop, [PAID, *row.messages])

    assert (found(shop), alerts(shop), waiting(shop, "mail")) == before


@pytest.mark.parametrize("row", [row for row in ROWS if row.told], ids=name_of)
def test_what_the_operator_is_told(open_shop: OpenShop, row: Row) -> None:
    """Each event that is about money that went back, or about a payment that waits, is an alert."""
    shop = open_shop(**settings_of(row.kind, row.on))
    shop.map("101")

    post(shop, [*([] if row.kind is EventKind.UNDER_REVIEW else [PAID]), *row.messages])

    assert alerts(shop)[-1].startswith(row.told)


@pytest.mark.parametrize("status", ["CANCELED", "REVERSED"])
def test_an_order_that_was_never_paid_may_be_given_up_in_silence(open_shop: OpenShop, status: str) -> None:
    """Abandoned carts are no news."""
    shop = open_shop()

    post(shop, [Order(status="PENDING"), Order(status=status)])

    assert alerts(shop) == []


@pytest.mark.parametrize("kind", [EventKind.PAID, EventKind.SUBSCRIPTION])
def test_what_is_usual_is_no_alert(open_shop: OpenShop, kind: EventKind) -> None:
    [row] = [row for row in ROWS if row.kind is kind]
    shop = open_shop()
    shop.map("101")

    post(shop, [PAID, *row.messages])

    assert alerts(shop) == []


@pytest.mark.parametrize(("on", "end"), [(True, FIRST_END), (False, RENEWED_END)], ids=["on", "off"])
@pytest.mark.parametrize("kind", RETURNED)
def test_with_another_purchase_left_the_license_keeps_its_end(
    open_shop: OpenShop, kind: EventKind, on: bool, end: str
) -> None:
    """Only what was undone counts no more, here the renewal; recorded, it goes on to count."""
    shop = open_shop(**settings_of(kind, on))
    shop.map("101")

    post(shop, [PAID, RENEWAL, RENEWAL.changed(status=RETURNED[kind], ipn_date="20261205100500")])

    assert found(shop) == [("active", end)]


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("kind", RETURNED)
def test_a_renewal_that_was_undone_before_it_came_never_counts(open_shop: OpenShop, kind: EventKind, on: bool) -> None:
    """Whatever the setting, which is about what is issued already."""
    shop = open_shop(**settings_of(kind, on))
    shop.map("101")

    post(shop, [PAID, RENEWAL.changed(status=RETURNED[kind], ipn_date="20261205100500"), RENEWAL])

    assert found(shop) == [("active", FIRST_END)]


def test_of_a_subscription_the_newest_message_counts(open_shop: OpenShop) -> None:
    """Whichever comes last, also about the end, the customer and the standing."""
    shop = open_shop()
    shop.map("101")
    newest = Subscription(updated="2026-01-12 12:00:00", expires="2026-09-01 00:00:00", email="b@example.com")
    older = Subscription(updated="2026-01-11 12:00:00", expires="2026-06-01 00:00:00", disabled="1")

    post(shop, [PAID, newest, older])

    assert found(shop) == [("active", "2026-08-31T21:00:00Z")]
    assert licenses(shop)[0]["customer"]["email"] == "b@example.com"


def test_a_purchase_placed_later_counts_beside_the_subscription(open_shop: OpenShop) -> None:
    """What was said of the subscription before does not stand in its way."""
    shop = open_shop()
    shop.map("101")

    post(shop, [PAID, Subscription(disabled="1", expires="2026-06-01 00:00:00"), RENEWAL])

    assert found(shop) == [("active", RENEWED_END)]
