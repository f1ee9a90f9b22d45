"""The load: client processes, each with one keep-alive connection, that all send until the same moment."""

import itertools
import math
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from bench import orders
from bench.orders import SignedOrder

PATIENCE = 120
PATH = "/qlmlicenseserver/qlmservice.asmx/QlmWebHookHandler?is_vendor=avangate&is_user=bench&is_pwd=bench"
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
SAMPLES = 50


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for an order; a connection that broke has status 0."""

    order: SignedOrder
    status: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one client saw in one round.

    `latencies` are seconds, `cpu` the client's own processor time in seconds, `ended` a monotonic time,
    `receipted` the references of the orders with a valid receipt, `problems` what was wrong with the other
    answers, `late` how many messages had to be signed while the clock ran.
    """

    latencies: list[float]
    cpu: float
    ended: float
    receipted: list[str]
    problems: list[str]
    late: int


class Client:
    """One client, in a process of its own."""

    def __init__(self, *, numbers: Iterator[int], first_at: datetime) -> None:
        self._numbers = numbers
        self._first_at = first_at
        self._ready: deque[SignedOrder] = deque()
        self._late = 0
        self._samples = [self._sign() for _ in range(SAMPLES)]

    def top_up(self, count: int) -> None:
        """Sign messages until so many are ready."""
        while len(self._ready) < count:
            self._ready.append(self._sign())

    def run(self, pipe: Connection, *, port: int, seconds: float, checked: bool) -> None:
        """Connect, wait for the word, send until the time is over, then check the receipts and tell."""
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        self._late = 0
        pipe.send("connected")
        start: float = pipe.recv()
        time.sleep(max(0.0, start - time.monotonic()))
        cpu = time.process_time()
        latencies, answers = _send(connection, self._fresh() if checked else self._repeated(), start + seconds)
        ended, cpu = time.monotonic(), time.process_time() - cpu
        connection.close()
        problems = [self._problem(answer, checked=checked) for answer in answers]
        receipted = [
            orders.order_ref(a.order.number) for a, problem in zip(answers, problems, strict=True) if not problem
        ]
        pipe.send(
            Sample(
                latencies=latencies,
                cpu=cpu,
                ended=ended,
                receipted=receipted if checked else [],
                problems=[problem for problem in problems if problem],
                late=self._late,
            )
        )

    def _sign(self) -> SignedOrder:
        return orders.signed(next(self._numbers), self._first_at)

    def _fresh(self) -> Iterator[SignedOrder]:
        while True:
            if self._ready:
                yield self._ready.popleft()
            else:
                self._late += 1
                yield self._sign()

    def _repeated(self) -> Iterator[SignedOrder]:
        return itertools.cycle(self._samples)

    def _problem(self, answer: Answer, *, checked: bool) -> str:
        if answer.status != 200:
            return f"Order {orders.order_ref(answer.order.number)}: {answer.status} {answer.text[:200]!r}."
        return orders.receipt_problem(answer.text, answer.order.number, self._first_at) if checked else ""


def _send(
    connection: HTTPConnection, messages: Iterator[SignedOrder], until: float
) -> tuple[list[float], list[Answer]]:
    latencies, answers = [], []
    for order in messages:
        begun = time.monotonic()
        if begun >= until:
            break
        try:
            connection.request("POST", PATH, order.body, HEADERS)
            response = connection.getresponse()
            status, text = response.status, response.read().decode("utf-8", "replace")
        except (OSError, HTTPException) as error:
            connection.close()
            status, text = 0, f"{type(error).__name__}: {error}"
        latencies.append(time.monotonic() - begun)
        answers.append(Answer(order=order, status=status, text=text))
    return latencies, answers


def _work(pipe: Connection, index: int, clients: int, first_at: datetime) -> None:
    """Do what the pipe says until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client = Client(numbers=itertools.count(index, clients), first_at=first_at)
    with suppress(EOFError, BrokenPipeError):
        while True:
            order = pipe.recv()
            if isinstance(order, int):
                client.top_up(order)
                pipe.send("ready")
            else:
                client.run(pipe, **order)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What all clients saw in one round; `seconds` is from the first request to the last answer."""

    seconds: float
    samples: list[Sample]

    @property
    def requests(self) -> int:
        """How many answers came."""
        return sum(len(sample.latencies) for sample in self.samples)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


class Clients:
    """The client processes; they end when this object is closed, or with the process that made it."""

    def __init__(self, count: int, *, first_at: datetime) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for index in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, index, count, first_at), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def top_up(self, count: int) -> None:
        """Have so many messages signed and ready, over all clients."""
        self._tell_all(math.ceil(count / len(self._pipes)))
        self._hear_all(PATIENCE)

    def run(self, port: int, *, seconds: float, checked: bool) -> Round:
        """Send for so long: each message a new order whose receipt is checked, or the same ones over and over."""
        self._tell_all({"port": port, "seconds": seconds, "checked": checked})
        self._hear_all(PATIENCE)
        start = time.monotonic() + 0.05
        self._tell_all(start)
        samples: list[Sample] = self._hear_all(seconds + PATIENCE)
        return Round(seconds=max(sample.ended for sample in samples) - start, samples=samples)

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()

    def _tell_all(self, order: object) -> None:
        for pipe in self._pipes:
            pipe.send(order)

    def _hear_all(self, patience: float) -> list[Any]:
        deadline = time.monotonic() + patience
        return [self._hear(pipe, deadline) for pipe in self._pipes]

    def _hear(self, pipe: Connection, deadline: float) -> Any:
        if not pipe.poll(max(0.0, deadline - time.monotonic())):
            raise TimeoutError("A client process does not answer.")
        try:
            return pipe.recv()
        except EOFError:
            raise RuntimeError("A client process ended early.") from None
