"""`qlmhook simulate idn-server`: a stand-in for 2Checkout's end."""

import http.client
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from unittest import mock

import pytest
from qlmhook_avangate.commands.idn_server import IdnServer
from qlmhook_avangate.commands.simulate import simulate

from qlmhook.reports import listings
from tests.conftest import KEY, MAPPING, MailServer, Shop
from tests.plugins.avangate.idn_peer import PATH, SIGNED
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import Fields, digest, form_body, receipt_is_valid, signed
from tests.support.server import NOTHING, PATIENCE, ask, environment, serving, wait_until

pytestmark = pytest.mark.slow

_numbers = count(900000001)


def new_order() -> str:
    """An order that no test has used yet."""
    return str(next(_numbers))


class StandIn:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """Where it says that it listens; empty before it does."""
        found = re.search(r"^Listening at (http://127\.0\.0\.1:\d+/order/idn\.php)\n", self.output)
        return found[1] if found else ""

    def tell(self, fields: Fields) -> str:
        """Send an IDN and return in a word how it is answered."""
        return tell(int(self.url.split(":")[2].partition("/")[0]), fields)


def tell(port: int, fields: Fields) -> str:
    """Send an IDN to a port; return how it is answered, as an independent reader of the protocol sees it."""
    try:
        answer = ask(port, "POST", PATH, body=form_body(fields))
    except (OSError, http.client.HTTPException):
        return "no answer"
    found = re.fullmatch(r"<EPAYMENT>(.*)\|([0-9a-f]+)</EPAYMENT>", answer.text)
    if answer.status != 200 or not found:
        return f"a page with {answer.status}"
    values = found[1].split("|")
    lengths = {32: ["md5"], 64: ["sha256", "sha3_256"]}[len(found[2])]
    algorithm = next((name for name in lengths if digest(KEY, values, name) == found[2]), "a wrong hash")
    return f"{values[1]} by {algorithm}" + (" about another" if values[0] != dict(fields).get("ORDER_REF") else "")


@contextmanager
def standing_in(folder: Path, *options: str) -> Iterator[StandIn]:
    """Run the command until the operator presses Ctrl-C, which is no failure."""
    log = folder / "stand-in.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "qlmhook",
                "simulate",
                "idn-server",
                "--bind",
                "127.0.0.1:0",
                "--key",
                KEY,
                *options,
            ],
            env=environment(folder / "none.toml", NOTHING),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    stand_in = StandIn(process, log)
    try:
        wait_until(lambda: stand_in.url, "the stand-in")
        yield stand_in
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in stand_in.output
    finally:
        process.kill()
        process.wait()


@contextmanager
def failing(*options: str) -> Iterator[int]:
    """Run the command in a thread of this process; yield its port."""
    servers: SimpleQueue[IdnServer] = SimpleQueue()

    class Told(IdnServer):
        """Tells that it is there; a thread gets no Ctrl-C, so it has to be told to end."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            servers.put(self)

    arguments = ["idn-server", "--bind", "127.0.0.1:0", "--key", KEY, *options]
    with mock.patch("qlmhook_avangate.commands.simulate.IdnServer", Told), ThreadPoolExecutor(1) as thread:
        running = thread.submit(simulate.main, arguments, standalone_mode=False)
        server = servers.get(timeout=PATIENCE)
        try:
            yield server.server_port
        finally:
            server.shutdown()
        running.result()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """One that does nothing wrong."""
    with standing_in(tmp_path_factory.mktemp("stand_in")) as running:
        yield running


def idn(order_ref: str, *, key: str = KEY, algorithm: str = "sha256", hash_field: str = "ORDER_HASH") -> Fields:
    """The documented fields."""
    values = ["EXAMPLE", order_ref, "29.00", "USD", "2026-01-01 12:00:00"]
    return [*zip(SIGNED, values, strict=True), (hash_field, digest(key, values, algorithm))]


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha3_256"])
def test_an_order_is_confirmed_once_by_the_algorithm_it_came_with(stand_in: StandIn, algorithm: str) -> None:
    fields = idn(new_order(), algorithm=algorithm)

    answers = [stand_in.tell(fields), stand_in.tell(fields)]

    assert answers == [f"1 by {algorithm}", f"7 by {algorithm}"]


def test_the_field_of_the_hash_may_have_any_name(stand_in: StandIn) -> None:
    """2Checkout's documentation leaves it open."""
    assert stand_in.tell(idn(new_order(), hash_field="ORDER_HASH_SHA256")) == "1 by sha256"


def _with_swapped_fields(order_ref: str) -> Fields:
    merchant, order, *rest = idn(order_ref)
    return [order, merchant, *rest]


def _without_hash(order_ref: str) -> Fields:
    return idn(order_ref)[:-1]


def _with_another_amount(order_ref: str) -> Fields:
    return [(name, "0.01" if name == "ORDER_AMOUNT" else value) for name, value in idn(order_ref)]


def _with_another_key(order_ref: str) -> Fields:
    return idn(order_ref, key="another key")


@pytest.mark.parametrize("wrong", [_with_swapped_fields, _without_hash, _with_another_amount, _with_another_key])
def test_a_wrong_idn_is_refused_and_confirms_nothing(stand_in: StandIn, wrong: Callable[[str], Fields]) -> None:
    order_ref = new_order()

    answers = [stand_in.tell(wrong(order_ref)), stand_in.tell(idn(order_ref))]

    assert answers == ["8 by sha256", "1 by sha256"]


def test_each_order_is_printed_with_what_was_answered(stand_in: StandIn) -> None:
    order_ref = new_order()

    stand_in.tell(idn(order_ref))

    [line] = [line for line in stand_in.output.splitlines() if line.startswith(order_ref)]
    assert line.startswith(f"{order_ref} 200 <EPAYMENT>{order_ref}|1|Confirmed|")


@pytest.mark.parametrize(
    ("failure", "options", "first", "then"),
    [
        ("code", ["--code", "6"], "6 by sha256", "1 by sha256"),
        ("wrong-hash", [], "1 by a wrong hash", "7 by sha256"),
        ("wrong-order", [], "1 by sha256 about another", "7 by sha256"),
        ("html", [], "a page with 200", "1 by sha256"),
        ("redirect", [], "a page with 302", "1 by sha256"),
        ("error", [], "a page with 500", "1 by sha256"),
        ("drop", [], "no answer", "7 by sha256"),
    ],
)
def test_it_fails_as_told_and_as_often_as_told(failure: str, options: list[str], first: str, then: str) -> None:
    """Where the order was confirmed all the same, a repeat is told that it is confirmed already."""
    fields = idn(new_order())

    with failing("--fail", failure, *options, "--times", "2") as port:
        answers = [tell(port, fields) for _ in range(3)]

    assert answers[0] == first
    assert answers[2] == then


def test_it_fails_for_ever_if_not_told_how_often_and_takes_its_time() -> None:
    with failing("--fail", "code", "--code", "11", "--delay", "0.2") as port:
        started = time.monotonic()
        answers = [tell(port, idn(new_order())) for _ in range(3)]
        elapsed = time.monotonic() - started

    assert answers == ["11 by sha256"] * 3
    assert elapsed >= 3 * 0.2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_real_service_confirms_an_order_to_it(shop: Shop, mail_server: MailServer, tmp_path: Path) -> None:
    shop.map("101", f"{MAPPING}&is_sendresponse=true")
    order = Order(refno=new_order())

    with standing_in(tmp_path) as stand_in:
        overrides = {
            "worker": "true",
            "mail__host": "127.0.0.1",
            "mail__port": str(mail_server.port),
            "vendors__avangate__idn__url": stand_in.url,
        }

        def outcome() -> list[tuple[str, str, str]]:
            with shop.service.database.reading():
                return [(row["kind"], row["state"], row["answer"]) for row in listings.outbox_rows()]

        with serving(tmp_path / "qlmhook.toml", overrides=overrides) as server:
            answer = server.post(form_body(signed(order.fields(), KEY, ["sha3_256"])))
            wait_until(
                lambda: outcome() == [("mail", "done", ""), ("confirmation", "done", "1 Confirmed")], "the confirmation"
            )

    assert receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")
    assert stand_in.output.count(f"{order.refno} 200 <EPAYMENT>{order.refno}|1|Confirmed|") == 1
