"""The years of many licenses in a few seconds: shuffled histories against a real server, seen through its commands."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qlmhook.reports.listings import Row
from tests.conftest import KEY, MAPPING, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.effort import EFFORT
from tests.support.life import Message
from tests.support.server import Server, command, serving

pytestmark = pytest.mark.slow


POSTERS = 8
REVOKING = {"vendors__avangate__revoke_on_refund": "true"}
ORDERS: Mapping[str, str] = {"first": "1", "renewal": "2", "upgrade": "3"}

FIRST_END = "2095-12-31T22:00:00Z"
RENEWED_END = "2096-12-31T22:00:00Z"
UPGRADED_END = "2097-12-31T22:00:00Z"


def messages_of(number: int) -> dict[str, Message]:
    """Everything that the shop says about one subscription, by name."""
    ref = f"SUB{number}"
    alpha = Line(ref=ref, expires="2096-01-01 00:00:00")
    first = Order(refno=order_ref(number, "first"), lines=[alpha])
    renewal = Order(
        refno=order_ref(number, "renewal"),
        sale_date="2026-03-01 10:00:00",
        ipn_date="20260301100500",
        lines=[replace(alpha, expires="2097-01-01 00:00:00")],
    )
    upgrade = Order(
        refno=order_ref(number, "upgrade"),
        sale_date="2026-08-01 10:00:00",
        ipn_date="20260801100500",
        lines=[Line(pid="102", name="Beta", ref=ref, expires="2098-01-01 00:00:00")],
    )
    return {
        "first": first,
        "renewal": renewal,
        "upgrade": upgrade,
        "refund": first.changed(status="REFUND", ipn_date="20260120100500"),
        "refund of the renewal": renewal.changed(status="REFUND", ipn_date="20260320100500"),
        "opened": first.changed(ipn_date="20260401100500", extra=[("CHARGEBACK_RESOLUTION", "OPEN")]),
        "won": first.changed(ipn_date="20260501100500", extra=[("CHARGEBACK_RESOLUTION", "WON")]),
        "paused": Subscription(ref=ref, status="PAUSED", updated="2026-06-01 12:00:00", expires="2097-01-01 00:00:00"),
        "resumed": Subscription(ref=ref, updated="2026-07-01 12:00:00", expires="2097-01-01 00:00:00"),
    }


def order_ref(number: int, order: str) -> str:
    return f"{910000000 + 10 * number}{ORDERS[order]}"


@dataclass(frozen=True, kw_only=True)
class Story:
    """What happens to a subscription, and what its license is in the end; no status means that it may not be used."""

    messages: Sequence[str]
    status: str = "active"
    end: str = ""
    product: str = "101"


STORIES = [
    Story(messages=["first", "renewal"], end=RENEWED_END),
    Story(messages=["first", "refund"], status=""),
    Story(messages=["first", "renewal", "refund of the renewal"], end=FIRST_END),
    Story(messages=["first", "renewal", "refund"], end=RENEWED_END),
    Story(messages=["first", "opened"], status="suspended", end=FIRST_END),
    Story(messages=["first", "opened", "won"], end=FIRST_END),
    Story(messages=["first", "renewal", "paused"], status="suspended", end=RENEWED_END),
    Story(messages=["first", "renewal", "paused", "resumed"], end=RENEWED_END),
    Story(messages=["first", "upgrade"], end=UPGRADED_END, product="102"),
    Story(messages=["first", "paused", "upgrade"], end=UPGRADED_END, product="102"),
    Story(
        messages=["first", "renewal", "refund of the renewal", "opened", "won", "paused", "resumed", "upgrade"],
        end=UPGRADED_END,
        product="102",
    ),
]
SUBSCRIPTIONS = dict(enumerate(STORIES * EFFORT))


def told(number: int) -> list[Message]:
    messages = messages_of(number)
    return [messages[name] for name in SUBSCRIPTIONS[number].messages]


def is_receipted(server: Server, message: Message) -> bool:
    answer = server.post(form_body(signed(message.fields(), KEY, ["sha3_256"])))
    return answer.status == 200 and receipt_is_valid(answer.text, KEY, message.receipt_values(), "sha3_256")


def rows(config: Path, *arguments: str) -> list[Row]:
    """What a command of the running installation lists."""
    listed: list[Row] = json.loads(command(config, *arguments, "--json").stdout)
    return listed


def test_shuffled_histories_end_as_the_table_says(shop: Shop, tmp_path: Path) -> None:
    """Each message comes twice, all of them at once and in any order, and two processes share the work."""
    config = tmp_path / "qlmhook.toml"
    shop.map("101")
    shop.map("102", MAPPING.replace("is_productid=1", "is_productid=2"))
    arriving = [message for number in SUBSCRIPTIONS for message in told(number)] * 2
    random.Random(48).shuffle(arriving)

    with serving(config, workers=2, overrides=REVOKING) as server, ThreadPoolExecutor(POSTERS) as posters:
        receipted = list(posters.map(lambda message: is_receipted(server, message), arriving))
        licenses = rows(config, "license", "list")
        notifications = rows(config, "notification", "list")
        mails = [row for row in rows(config, "outbox", "list") if row["kind"] == "mail"]

    assert receipted == [True] * len(arriving)
    assert Counter(row["copies"] for row in notifications) == {2: len(arriving) // 2}
    assert {row["state"] for row in notifications} <= {"done", "ignored"}
    usable = [row for row in licenses if row["status"] != "revoked"]
    assert {
        row["subscription_ref"]: (row["status"], row["expires_at"], row["vendor_product_id"]) for row in usable
    } == {
        f"SUB{number}": (story.status, story.end, story.product)
        for number, story in SUBSCRIPTIONS.items()
        if story.status
    }
    assert max(Counter(row["subscription_ref"] for row in licenses).values()) == 1
    assert max(Counter(row["order_ref"] for row in mails).values()) == 1
