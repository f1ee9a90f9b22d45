"""A message that only names what happened: the worker asks the shop, a real one on loopback, and it is applied then."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qlmhook.domain.events import EventKind, Message
from qlmhook.inbox import notification_store
from qlmhook.reports import listings
from tests.conftest import OpenPlainShop, PlainShop
from tests.support.made import line
from tests.support.shop import body_of, event, message

WHOLE = message(event(EventKind.PAID, line()))
NAMED = message(order_ref="1", order_status="PAID", incomplete="The order is asked for.")


class Api(ThreadingHTTPServer):
    """What the shop answers to questions: a status and a message, or nothing yet."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answerer)
        self.answers: list[tuple[int, Message]] = []
        self.asked: list[tuple[str, str]] = []


class _Answerer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Api)
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status, told = self.server.answers.pop(0)
        body = body_of(told)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is written beside the tests' own output."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def shop(open_plain_shop: OpenPlainShop, api: Api) -> PlainShop:
    shop = open_plain_shop(vendors__plain__api=f"http://127.0.0.1:{api.server_port}/orders")
    shop.map("101")
    return shop


def state(shop: PlainShop) -> tuple[str, str]:
    with shop.service.database.reading():
        [row] = listings.notifications()
    return row["state"], row["reason"]


def ordered(shop: PlainShop) -> list[str]:
    with shop.service.database.reading():
        return [row["order_ref"] for row in listings.licenses(now=shop.clock())]


def outbox(shop: PlainShop) -> list[tuple[str, str]]:
    with shop.service.database.reading():
        return [(row["kind"], row["state"]) for row in listings.outbox_rows()]


def test_until_the_shop_is_asked_the_order_waits_visibly(shop: PlainShop) -> None:
    """It is acknowledged, held with its reason, and nobody is alerted."""
    answer = shop.send(NAMED)

    assert answer.status_code == 200
    assert state(shop) == ("held", "The order is asked for.")
    assert outbox(shop) == [("enrichment", "due")]


def test_the_worker_asks_and_the_order_is_applied(shop: PlainShop, api: Api) -> None:
    """With the credentials of the plugin; what the shop answers is kept beside the notification."""
    api.answers = [(200, WHOLE)]
    shop.send(NAMED)

    shop.service.delivery.work_off(lambda: False)

    assert api.asked == [("/orders/1", "Bearer planted")]
    assert state(shop) == ("done", "")
    assert ordered(shop) == ["1"]
    assert ("mail", "due") in outbox(shop)


def test_what_was_asked_once_is_not_asked_when_it_is_applied_again(shop: PlainShop, api: Api) -> None:
    api.answers = [(200, WHOLE)]
    shop.send(NAMED)
    shop.service.delivery.work_off(lambda: False)

    shop.service.intake.replay(1)
    shop.send(NAMED)

    assert len(api.asked) == 1
    assert state(shop) == ("done", "")
    assert [kind for kind, _ in outbox(shop)] == ["enrichment", "mail"]


def test_a_repeat_leaves_what_the_answer_told_in_the_listing(shop: PlainShop, api: Api) -> None:
    """The message itself need not name the order; what the shop answered does."""
    nameless = message(order_ref="", order_status="PAID", subscription_ref="1", incomplete="The order is asked for.")
    api.answers = [(200, WHOLE)]
    shop.send(nameless)
    shop.service.delivery.work_off(lambda: False)

    shop.send(nameless)

    with shop.service.database.reading():
        assert [row["order_ref"] for row in listings.notifications()] == ["1"]


def test_a_message_that_is_sent_again_meanwhile_is_asked_about_once(shop: PlainShop) -> None:
    shop.send(NAMED)
    shop.send(NAMED)

    assert outbox(shop) == [("enrichment", "due")]


def test_a_shop_that_does_not_answer_is_asked_again(shop: PlainShop, api: Api) -> None:
    api.answers = [(503, WHOLE), (200, WHOLE)]
    shop.send(NAMED)
    shop.service.delivery.work_off(lambda: False)
    waiting = state(shop), outbox(shop)

    shop.clock.now = shop.clock.now.replace(hour=18)
    shop.service.delivery.work_off(lambda: False)

    assert waiting == (("held", "The order is asked for."), [("enrichment", "due")])
    assert ordered(shop) == ["1"]


def test_a_shop_that_knows_nothing_of_it_is_a_matter_for_a_person(shop: PlainShop, api: Api) -> None:
    """The row is dead, the operator is told, and a retry asks again."""
    api.answers = [(404, WHOLE)]
    shop.send(NAMED)

    shop.service.delivery.work_off(lambda: False)

    assert outbox(shop) == [("enrichment", "dead"), ("alert", "due")]
    assert state(shop) == ("held", "The order is asked for.")


def test_what_was_given_up_is_asked_about_again_when_it_is_replayed(shop: PlainShop, api: Api) -> None:
    api.answers = [(404, WHOLE), (200, WHOLE)]
    shop.send(NAMED)
    shop.service.delivery.work_off(lambda: False)

    shop.service.intake.replay(1)
    shop.service.delivery.work_off()

    assert ordered(shop) == ["1"]


def test_an_answer_that_is_not_enough_is_held_for_a_person(shop: PlainShop, api: Api) -> None:
    api.answers = [(200, NAMED)]
    shop.send(NAMED)

    shop.service.delivery.work_off(lambda: False)

    assert state(shop) == ("held", "The shop was asked, and its answer is not enough: The order is asked for.")
    assert outbox(shop) == [("enrichment", "done"), ("alert", "due")]


def test_what_was_dismissed_meanwhile_stays_so(shop: PlainShop, api: Api) -> None:
    api.answers = [(200, WHOLE)]
    shop.send(NAMED)
    with shop.service.database.transaction():
        notification_store.dismiss(notification_store.get(1), "by hand", shop.clock())

    shop.service.delivery.work_off(lambda: False)

    assert ordered(shop) == []
