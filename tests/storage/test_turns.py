"""The writer's turn: who shares a transaction, and what a part that fails leaves of the others."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from qlmhook.errors import Unavailable
from qlmhook.storage import turns
from qlmhook.storage.turns import Gone, Turns
from tests.support.server import wait_until

PATIENCE = 20.0


class Notebook:
    """A writer that writes down what it is asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.faults: dict[str, Unavailable] = {}

    def _say(self, word: str) -> None:
        self.said.append(word)
        if word in self.faults:
            raise self.faults[word]

    def lock(self, deadline: float) -> None:
        self._say("lock")

    def unlock(self) -> None:
        self._say("unlock")

    def begin(self, deadline: float) -> None:
        self._say("begin")

    def commit(self) -> None:
        self._say("commit")

    def roll_back(self) -> None:
        self._say("roll back")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._say("savepoint")
        try:
            yield
        except BaseException:
            self._say("take back")
            raise
        self._say("release")


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def queue(notebook: Notebook) -> Turns:
    return Turns(notebook)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(turns.MOST + 2) as threads:
        yield threads


def waiting(queue: Turns, count: int) -> Callable[[], bool]:
    return lambda: len(queue._waiting) == count


def together(queue: Turns, threads: ThreadPoolExecutor, *blocks: Callable[[], object]) -> list[Future[None]]:
    """Run blocks in parts that wait, in this order, until the part before them is over."""
    done = []
    with queue.part(PATIENCE):
        for number, block in enumerate(blocks, start=1):
            done.append(threads.submit(part, queue, block))
            wait_until(waiting(queue, number), "a thread that waits")
    return done


def part(queue: Turns, block: Callable[[], object]) -> None:
    with queue.part(PATIENCE):
        block()


def nothing() -> None:
    """A block that does nothing."""


def fail() -> None:
    raise ValueError("this part alone")


def test_who_comes_alone_has_a_transaction_alone(queue: Turns, notebook: Notebook) -> None:
    part(queue, nothing)
    part(queue, nothing)

    assert notebook.said == ["lock", "begin", "commit", "unlock"] * 2


def test_who_waits_shares_the_commit_with_a_savepoint_of_its_own(
    queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor
) -> None:
    for one in together(queue, threads, nothing, nothing):
        one.result()

    assert notebook.said == ["lock", "begin", *["savepoint", "release"] * 2, "commit", "unlock"]


def test_a_transaction_ends_for_other_processes_after_so_many_parts(
    queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor
) -> None:
    for one in together(queue, threads, *[nothing] * turns.MOST):
        one.result()

    assert notebook.said.count("commit") == notebook.said.count("unlock") == 2
    assert notebook.said.index("commit") == 2 + 2 * (turns.MOST - 1)


def test_nobody_goes_on_before_the_commit(queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor) -> None:
    seen: list[list[str]] = []

    def first() -> None:
        part(queue, lambda: wait_until(waiting(queue, 1), "another one"))
        seen.append(list(notebook.said))

    done = threads.submit(first)
    wait_until(lambda: queue._is_taken, "the first one")
    part(queue, nothing)
    done.result()

    assert seen == [["lock", "begin", "savepoint", "release", "commit", "unlock"]]


def test_what_a_part_takes_back_is_its_own(queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor) -> None:
    failed, kept = together(queue, threads, fail, nothing)

    with pytest.raises(ValueError, match="this part alone"):
        failed.result()
    kept.result()
    assert notebook.said[2:] == ["savepoint", "take back", "savepoint", "release", "commit", "unlock"]


def test_where_the_first_part_fails_all_of_it_is_taken_back_and_the_next_begins_anew(
    queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor
) -> None:
    done: list[Future[None]] = []

    def block() -> None:
        done.append(threads.submit(part, queue, nothing))
        wait_until(waiting(queue, 1), "another one")
        fail()

    with pytest.raises(ValueError, match="this part alone"):
        part(queue, block)
    done[0].result()

    assert notebook.said == ["lock", "begin", "roll back", "unlock", "lock", "begin", "commit", "unlock"]


def test_a_commit_that_fails_fails_for_all(queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor) -> None:
    notebook.faults["commit"] = Unavailable("The disk is full.")
    done: list[Future[None]] = []

    def first() -> None:
        done.append(threads.submit(part, queue, nothing))
        wait_until(waiting(queue, 1), "another one")

    with pytest.raises(Unavailable, match=r"The disk is full\."):
        part(queue, first)
    with pytest.raises(Unavailable, match=r"The disk is full\."):
        done[0].result()
    assert notebook.said[-2:] == ["commit", "unlock"]


@pytest.mark.parametrize("where", ["savepoint", "take back", "release"])
def test_a_transaction_that_is_gone_is_gone_for_all(
    where: str, queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor
) -> None:
    notebook.faults[where] = Gone("The connection is lost.")
    done: list[Future[None]] = []

    def first() -> None:
        done.append(threads.submit(part, queue, fail if where == "take back" else nothing))
        wait_until(waiting(queue, 1), "another one")

    with pytest.raises(Unavailable, match=r"The connection is lost\."):
        part(queue, first)
    with pytest.raises(Gone, match=r"The connection is lost\."):
        done[0].result()
    assert notebook.said[-2:] == ["roll back", "unlock"]


@pytest.mark.parametrize(("where", "last"), [("lock", ["lock"]), ("begin", ["begin", "unlock"])])
def test_a_turn_that_cannot_begin_goes_to_the_next(
    where: str, last: list[str], queue: Turns, notebook: Notebook
) -> None:
    notebook.faults[where] = Unavailable("The database is away.")
    with pytest.raises(Unavailable, match=r"The database is away\."):
        part(queue, nothing)
    assert notebook.said[-len(last) :] == last

    notebook.faults.clear()
    part(queue, nothing)
    assert notebook.said[-1] == "unlock"


def test_who_has_waited_for_too_long_is_told_so(queue: Turns, threads: ThreadPoolExecutor) -> None:
    def impatient() -> None:
        with queue.part(0.01):
            pass

    with queue.part(PATIENCE), pytest.raises(Unavailable, match="The database is busy"):
        threads.submit(impatient).result()

    part(queue, nothing)


def test_nobody_has_a_part_beside_who_is_alone(queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor) -> None:
    with queue.alone(PATIENCE):
        done = threads.submit(part, queue, nothing)
        wait_until(waiting(queue, 1), "a thread that waits")
        part(queue, nothing)
        with queue.alone(PATIENCE):
            pass
    done.result()

    assert notebook.said == ["lock", "begin", "commit", "unlock", "lock", "begin", "commit", "unlock"]


def test_who_will_be_alone_waits_for_the_end_of_a_transaction(
    queue: Turns, notebook: Notebook, threads: ThreadPoolExecutor
) -> None:
    def alone() -> None:
        with queue.alone(PATIENCE):
            notebook.said.append("alone")

    with queue.part(PATIENCE):
        done = threads.submit(alone)
        wait_until(waiting(queue, 1), "a thread that waits")
    done.result()

    assert notebook.said == ["lock", "begin", "commit", "unlock", "lock", "alone", "unlock"]


def test_a_part_within_a_part_is_taken_back_with_it(queue: Turns, notebook: Notebook) -> None:
    with queue.part(PATIENCE), pytest.raises(ValueError, match="this part alone"):
        part(queue, fail)

    assert notebook.said == ["lock", "begin", "savepoint", "take back", "commit", "unlock"]


def test_a_forked_process_does_not_wait_for_threads_that_it_has_not(queue: Turns, notebook: Notebook) -> None:
    queue.hold()
    queue._waiting.append(turns._Waiting(shares=True))
    queue._mutex.acquire()  # as a thread does that asks at the moment of the fork
    queue.forget_others()

    part(queue, nothing)

    assert notebook.said == ["lock", "begin", "commit", "unlock"]


def test_whoever_holds_the_turn_keeps_all_others_out(queue: Turns, threads: ThreadPoolExecutor) -> None:
    queue.hold()
    done = threads.submit(part, queue, nothing)
    wait_until(waiting(queue, 1), "a thread that waits")

    assert not done.done()
    queue.let_go()
    done.result()
