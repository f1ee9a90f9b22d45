"""Confirmations while workers die: each order ends confirmed once, and none whose license or mail is missing."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from qlmhook.outbox import queue
from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.storage import models
from tests.conftest import KEY, MAPPING, Clock, MailServer, OpenShop, Shop
from tests.plugins.avangate.idn_peer import (
    IdnPeer,
    Received,
    answers,
    as_documented,
    fails_after_taking,
    hangs_up_after_taking,
    hangs_up_before_taking,
    signs_with_another_key,
)
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.support.effort import EFFORT
from tests.support.server import Server, environment, serving, wait_until

CONFIRM = f"{MAPPING}&is_sendresponse=true"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def numbered(numbers: Sequence[int]) -> list[Order]:
    """Orders of customers who can be told apart."""
    return [
        Order(
            refno=f"{900000000 + number}", email=f"{900000000 + number}@example.com", lines=[Line(ref=f"REF{number}")]
        )
        for number in numbers
    ]


class Moments(MailServer):
    """A mail server that does something when a mail has arrived, before it says so; some it refuses at first."""

    def __init__(self) -> None:
        super().__init__()
        self.on_mail: Callable[[], None] = lambda: None
        self.refused_at_first: set[str] = set()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refused_at_first & set(envelope.rcpt_tos):
            self.refused_at_first -= set(envelope.rcpt_tos)
            return "451 later"
        answer = await super().handle_DATA(server, session, envelope)
        self.on_mail()
        return answer

    def mailed(self) -> set[str]:
        """The orders whose mails were taken, by the customers' addresses."""
        return {address.partition("@")[0] for envelope in self.envelopes for address in envelope.rcpt_tos}

    def texts(self) -> list[str]:
        return [message_from_bytes(envelope.content, policy=default).as_string() for envelope in self.envelopes]


@pytest.fixture
def mail_server() -> Iterator[Moments]:
    server = Moments()
    server.controller.start()
    yield server
    server.controller.stop()


@pytest.fixture
def too_early() -> list[str]:
    """Orders that were confirmed although no mail had been taken: always none."""
    return []


@pytest.fixture
def peer(mail_server: Moments, too_early: list[str]) -> Iterator[IdnPeer]:
    with IdnPeer(KEY) as peer:
        peer.on_taking = lambda order_ref: too_early.extend({order_ref} - mail_server.mailed())
        yield peer
    assert peer.faults == []


@pytest.fixture
def overrides(mail_server: Moments, peer: IdnPeer) -> dict[str, str]:
    return {
        "mail__host": "127.0.0.1",
        "mail__port": str(mail_server.port),
        "vendors__avangate__idn__url": peer.url,
    }


def licenses(shop: Shop) -> list[Row]:
    with shop.service.database.reading():
        return listings.licenses(now=shop.clock())


def states(shop: Shop, kind: str) -> Counter[str]:
    """How many rows of one kind are in each state."""
    with shop.service.database.reading():
        return Counter(row["state"] for row in listings.outbox_rows() if row["kind"] == kind)


def hurry(shop: Shop) -> None:
    """Make due what waits for a better moment."""
    waits = (models.Outbox.state == "due") & (models.Outbox.due_at > LONG_AGO)
    with shop.service.database.reading():
        is_any_waiting = models.Outbox.select().where(waits).exists()
    if is_any_waiting:
        with shop.service.database.transaction():
            models.Outbox.update(due_at=LONG_AGO).where(waits).execute()


def bury(shop: Shop) -> None:
    """Let the leases of the dead run out; nobody may be alive."""
    with shop.service.database.transaction():
        models.Outbox.update(leased_until=LONG_AGO).where(models.Outbox.state == "leased").execute()


class Victim:
    """A `qlmhook worker` that is killed at a moment."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)

    def is_dead(self) -> bool:
        return self._process.poll() is not None


@contextmanager
def working(config: Path, overrides: dict[str, str]) -> Iterator[Victim]:
    with config.with_name("worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "qlmhook", "worker"],
            env=environment(config, overrides),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Victim(process)
    finally:
        process.kill()
        process.wait()


def before_taking(victim: Victim, peer: IdnPeer, mail_server: Moments) -> None:
    def treatment(peer: IdnPeer, received: Received) -> Iterator[bytes]:
        victim.kill()
        yield b""

    peer.will(treatment)


def after_taking(victim: Victim, peer: IdnPeer, mail_server: Moments) -> None:
    def treatment(peer: IdnPeer, received: Received) -> Iterator[bytes]:
        peer.take(received)
        victim.kill()
        yield b""

    peer.will(treatment)


def after_the_answer(victim: Victim, peer: IdnPeer, mail_server: Moments) -> None:
    def treatment(peer: IdnPeer, received: Received) -> Iterator[bytes]:
        yield from as_documented(peer, received)
        victim.kill()

    peer.will(treatment)


def at_a_mail(victim: Victim, peer: IdnPeer, mail_server: Moments) -> None:
    mail_server.on_mail = victim.kill


def some_time_after_a_confirmation(victim: Victim, peer: IdnPeer, mail_server: Moments) -> None:
    """Nobody knows what the worker does then."""

    def treatment(peer: IdnPeer, received: Received) -> Iterator[bytes]:
        threading.Timer(random.uniform(0, 0.02), victim.kill).start()
        return as_documented(peer, received)

    peer.will(treatment)


MOMENTS = (before_taking, after_taking, after_the_answer, at_a_mail, some_time_after_a_confirmation)
MISHAPS = (hangs_up_before_taking, hangs_up_after_taking, fails_after_taking, signs_with_another_key, answers(6))
ROUNDS = len(MOMENTS) * EFFORT
ORDERS_A_ROUND = 4


@pytest.mark.slow
def test_workers_that_are_killed_at_random_moments_confirm_each_order_once(
    open_shop: OpenShop,
    overrides: dict[str, str],
    peer: IdnPeer,
    mail_server: Moments,
    too_early: list[str],
    tmp_path: Path,
) -> None:
    """2Checkout's end has mishaps of its own, and in the end two workers share what is left."""
    dice = random.Random(4)
    config = tmp_path / "qlmhook.toml"
    shop = open_shop()
    shop.map("101", CONFIRM)
    orders = numbered(range(1, ORDERS_A_ROUND * (ROUNDS + 1) + 1))
    coming = iter(orders)
    mail_server.refused_at_first = {order.email for order in orders[::ORDERS_A_ROUND]}

    def order_some(server: Server) -> None:
        for _ in range(ORDERS_A_ROUND):
            order = next(coming)
            answer = server.post(form_body(signed(order.fields(), KEY, ["sha3_256"])))
            assert answer.status == 200
            assert receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")

    def is_done() -> bool:
        hurry(shop)
        return all(states(shop, kind) == {"done": len(orders)} for kind in ("mail", "confirmation"))

    with serving(config, overrides=overrides) as server:
        for moment in dice.sample(MOMENTS * EFFORT, ROUNDS):
            order_some(server)
            peer.will(dice.choice(MISHAPS), *[as_documented] * dice.randrange(2))
            with working(config, overrides) as victim:
                moment(victim, peer, mail_server)
                wait_until(victim.is_dead, f"the worker's death {moment.__name__}")
            mail_server.on_mail = lambda: None
            hurry(shop)
            bury(shop)
        order_some(server)
        with working(config, overrides), working(config, overrides):
            wait_until(is_done, "the last confirmation")

    assert sorted(peer.confirmed) == [order.refno for order in orders]
    assert too_early == []
    assert sorted(row["order_ref"] for row in licenses(shop)) == [order.refno for order in orders]
    assert all(any(row["key"] in text for text in mail_server.texts()) for row in licenses(shop))


class DyingClock(Clock):
    """Ends the worker, as far as that can be done within a process, when it is looked at for the nth time."""

    looks_left = 0

    def __call__(self) -> datetime:
        self.looks_left -= 1
        if self.looks_left == 0:
            raise SystemExit
        return super().__call__()


@pytest.fixture
def clock() -> DyingClock:
    return DyingClock()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_that_dies_at_any_step_leaves_a_lease_that_another_takes_up(
    open_shop: OpenShop,
    overrides: dict[str, str],
    peer: IdnPeer,
    mail_server: Moments,
    too_early: list[str],
    clock: DyingClock,
) -> None:
    """Between two steps it looks at the clock. A mail may go out twice, a confirmation counts once."""
    shop = open_shop(**overrides)
    shop.map("101", CONFIRM)
    deaths = 0
    for steps in count(1):
        [order] = numbered([steps])
        assert shop.post(order.fields()).status_code == 200
        clock.looks_left = steps
        try:
            shop.service.delivery.work_off()
            break
        except SystemExit:
            deaths += 1
        clock.now += queue.LEASE
        shop.service.delivery.work_off()

    assert deaths > 8
    assert sorted(peer.confirmed) == [order.refno for order in numbered(range(1, deaths + 2))]
    assert states(shop, "confirmation") == {"done": deaths + 1}
    assert too_early == []
