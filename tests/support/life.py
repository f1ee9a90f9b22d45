"""The life of one license as its shop tells it: a first order, renewals, refunds, and what became of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from qlmhook.inbox import notification_store
from qlmhook.licensing import licenses
from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.storage import models
from tests.conftest import MAPPING, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.looking import licenses as licenses_of

Message = Order | Subscription


REVOKING = {"vendors__avangate__revoke_on_refund": "true", "vendors__avangate__revoke_on_cancel": "true"}


FIRST = Order()


FIRST_END = "2026-12-31T22:00:00Z"


RENEWAL = Order(
    refno="900000002",
    sale_date="2026-12-01 10:00:00",
    ipn_date="20261201100500",
    lines=[Line(expires="2028-01-01 00:00:00")],
)


RENEWED_END = "2027-12-31T22:00:00Z"


ONE_KEY_PER_UNIT = f"{MAPPING}&is_usemultipleactivationskey=false"


def renewed(**changes: str) -> Line:
    return Line(**{"expires": "2028-01-01 00:00:00", **changes})


def post(shop: Shop, *messages: Message) -> None:
    """Post messages one after the other; each is accepted."""
    statuses = [shop.post(message.fields()).status_code for message in messages]

    assert statuses == [200] * len(messages)


def pick(shop: Shop, *names: str) -> list[tuple[Any, ...]]:
    """Some fields of all licenses."""
    return [tuple(row[name] for name in names) for row in licenses_of(shop)]


def the_license(shop: Shop) -> Row:
    [license] = licenses_of(shop)
    return license


def status_at(shop: Shop, *times: str) -> list[str]:
    """The only license's status as time goes by, in UTC."""
    statuses = []
    for time in times:
        shop.clock.now = datetime.fromisoformat(time).replace(tzinfo=UTC)
        statuses.append(the_license(shop)["status"])
    return statuses


def chargeback(resolution: str, day: int = 2, order: Order = FIRST) -> Order:
    return order.changed(ipn_date=f"202612{day:02}100500", extra=[("CHARGEBACK_RESOLUTION", resolution)])


def refund_of(order: Order, **changes: object) -> Order:
    return order.changed(**{"status": "REFUND", "ipn_date": "20261220100500", **changes})


def post_hourly(shop: Shop, *messages: Message) -> None:
    """Post messages, one each hour; each is accepted."""
    for message in messages:
        shop.clock.now += timedelta(hours=1)
        assert shop.post(message.fields()).status_code == 200


def decide(shop: Shop, action: str, *, why: str = "asked for", until: date | None = None) -> tuple[str, str]:
    """Decide about the first license an hour later; return its status before and after."""
    shop.clock.now += timedelta(hours=1)
    key = licenses_of(shop)[0]["key"]
    before, after = shop.service.decisions.decide(key, action, why=why, operator="bob", until=until)
    return before.status(shop.clock()), after.status(shop.clock())


def decisions(shop: Shop) -> int:
    with shop.service.database.reading():
        return models.Decision.select().count()


def replay_what_is_held(shop: Shop) -> None:
    with shop.service.database.reading():
        held = [row["id"] for row in listings.notifications(state="held")]
    for notification_id in held:
        shop.service.intake.replay(notification_id)


def dismiss(shop: Shop, notification_id: int) -> None:
    with shop.service.database.transaction():
        notification_store.dismiss(notification_store.get(notification_id), "a person has looked", shop.clock())


def history_of(shop: Shop, key: str) -> list[Row]:
    """Every change to a license."""
    with shop.service.database.reading():
        return listings.license_history(licenses.find(key))
