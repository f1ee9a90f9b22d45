"""Many at once, and the end of the power: against real server processes, on each engine."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.storage import models
from tests.conftest import KEY, QUERY, URL, MailServer, Shop, free_port
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.support.effort import EFFORT
from tests.support.server import Answer, Server, ask, serving, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.every_engine]

CUSTOMERS = 8
AT_ONCE = 10 * EFFORT
KILLS = EFFORT
ORDERS_FOR_A_KILL = 20


def body_of(order: Order) -> bytes:
    return form_body(signed(order.fields(), KEY, ["sha3_256"]))


def is_receipted(answer: Answer, order: Order) -> bool:
    return answer.status == 200 and receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")


def numbered(count: int) -> list[Order]:
    """Orders of one customer, each of its own subscription."""
    return [Order(refno=f"{900000000 + number}", lines=[Line(ref=f"REF{number}")]) for number in range(count)]


def at_once(orders: Sequence[Order], post: Callable[[bytes], Answer]) -> list[bool]:
    """Post orders, each from a thread of its own, all starting together; tell which are receipted."""
    start = threading.Barrier(len(orders))

    def customer(order: Order) -> bool:
        body = body_of(order)
        start.wait()
        return is_receipted(post(body), order)

    with ThreadPoolExecutor(len(orders)) as threads:
        return list(threads.map(customer, orders))


def licensed(shop: Shop) -> Counter[str]:
    """How many licenses each order has."""
    with shop.service.database.reading():
        return Counter(row["order_ref"] for row in listings.licenses(now=shop.clock()))


def mails(shop: Shop) -> list[Row]:
    """The mails to customers in the outbox."""
    with shop.service.database.reading():
        return [row for row in listings.outbox_rows() if row["kind"] == "mail"]


def states_of_mails(shop: Shop) -> list[str]:
    return [row["state"] for row in mails(shop)]


@pytest.fixture
def server(shop: Shop, tmp_path: Path, mail_server: MailServer) -> Iterator[Server]:
    """Two processes that share the work, each with its outbox worker, once both are there."""
    settings = {"worker": "true", "mail__host": "127.0.0.1", "mail__port": str(mail_server.port)}

    def workers() -> int:
        with shop.service.database.reading():
            return models.Heartbeat.select().count()

    shop.map("101")
    with serving(tmp_path / "qlmhook.toml", workers=2, overrides=settings) as running:
        wait_until(lambda: workers() == 2, "the second worker")
        yield running


def test_copies_and_orders_at_once_become_one_license_and_one_mail_for_each_order(
    shop: Shop, server: Server, mail_server: MailServer
) -> None:
    """Row 32 of the test matrix: each copy is receipted, and each mail goes out once, though two workers send.

    The orders are of one customer, whose row is made once.
    """
    orders = numbered(AT_ONCE)
    copies = [orders[0]] * AT_ONCE

    receipted = at_once([*copies, *orders], server.post)
    wait_until(lambda: states_of_mails(shop) == ["done"] * AT_ONCE, "the last mail")

    assert receipted == [True] * 2 * AT_ONCE
    assert licensed(shop) == {order.refno: 1 for order in orders}
    assert len(mail_server.envelopes) == AT_ONCE
    with shop.service.database.reading():
        assert Counter(row["copies"] for row in listings.notifications()) == {AT_ONCE + 1: 1, 1: AT_ONCE - 1}
        assert models.Customer.select().count() == 1


def test_a_killed_server_loses_no_receipted_order(shop: Shop, tmp_path: Path) -> None:
    """What was receipted before SIGKILL is licensed, and the retries of the rest end in one license and mail each."""
    shop.map("101")
    orders = numbered(ORDERS_FOR_A_KILL * (KILLS + 1))
    receipted: set[str] = set()
    stopping = threading.Event()
    port = free_port()

    def post_until_receipted(order: Order) -> None:
        """As 2Checkout does, but more impatient."""
        while not stopping.is_set() and order.refno not in receipted:
            try:
                if is_receipted(ask(port, "POST", f"{URL}?{QUERY}", body=body_of(order)), order):
                    receipted.add(order.refno)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)

    def serve_until_killed(enough: int) -> None:
        with serving(tmp_path / "qlmhook.toml", port=port) as server:
            wait_until(lambda: len(receipted) >= enough, f"receipt number {enough}")
            server.kill()

    with ThreadPoolExecutor(CUSTOMERS) as threads:
        posts = [threads.submit(post_until_receipted, order) for order in orders]
        try:
            for kill in range(KILLS):
                serve_until_killed(ORDERS_FOR_A_KILL * kill + ORDERS_FOR_A_KILL // 2)

                assert len(receipted) < len(orders)
                assert receipted <= licensed(shop).keys()
            with serving(tmp_path / "qlmhook.toml", port=port):
                wait_until(lambda: all(post.done() for post in posts), "the last receipt")
        finally:
            stopping.set()

    assert licensed(shop) == {order.refno: 1 for order in orders}
    assert Counter(row["order_ref"] for row in mails(shop)) == licensed(shop)
