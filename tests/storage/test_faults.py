"""Faults of the database: who is told what, how soon, and that nothing is lost by them."""

import contextlib
import fcntl
import resource
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from qlmhook.errors import Unavailable
from qlmhook.storage import engines
from qlmhook.storage.filelock import FileLock
from tests.conftest import KEY, PASSWORD, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.engines import engine_of, execute, mysql_connection
from tests.support.looking import alerts, licenses, waiting

pytestmark = pytest.mark.every_engine

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ORDER = Order(lines=[Line(ref="REF1")])
ANOTHER = Order(refno="900000002", lines=[Line(ref="REF2")])


@pytest.mark.own_database
class TestWhatCannotBeStored:
    """A genuine message that the database does not take, here for want of the table."""

    @pytest.fixture
    def broken(self, shop: Shop, database_url: str) -> Shop:
        shop.map("101")
        execute(database_url, "ALTER TABLE notification RENAME TO elsewhere")
        return shop

    def test_the_operator_is_told_once_for_each_order(self, broken: Shop) -> None:
        """And the shop is asked to send it again, as often as it does."""
        answers = [
            broken.post(order.fields()) for order in (ORDER, ORDER, ORDER.changed(ipn_date="20260101120500"), ANOTHER)
        ]

        subjects = [row["subject"] for row in waiting(broken, "alert")]
        assert [answer.status_code for answer in answers] == [503] * 4
        assert [subject.partition(" cannot")[0] for subject in subjects] == [
            "A verified notification of avangate (order 900000001)",
            "A verified notification of avangate (order 900000002)",
        ]

    def test_nothing_of_a_message_that_cannot_be_read_is_told_but_its_account(self, broken: Shop) -> None:
        assert broken.post(Order(without=["REFNO"]).fields()).status_code == 503

        [alert] = waiting(broken, "alert")
        assert alert["subject"].startswith("A verified notification of avangate (unreadable) cannot be stored")

    def test_neither_alert_nor_answer_has_a_secret(self, broken: Shop) -> None:
        answer = broken.post(ORDER.fields())

        [alert] = waiting(broken, "alert")
        told = answer.text + alert["subject"] + alerts(broken)[0]
        assert not any(secret in told for secret in (KEY, PASSWORD, "a@example.com", "Traceback"))

    def test_once_it_is_mended_the_next_copy_is_licensed(self, broken: Shop, database_url: str) -> None:
        broken.post(ORDER.fields())
        execute(database_url, "ALTER TABLE elsewhere RENAME TO notification")

        assert broken.post(ORDER.fields()).status_code == 200
        assert [row["order_ref"] for row in licenses(broken)] == [ORDER.refno]

    def test_when_the_operator_cannot_be_told_either_the_log_says_so(
        self, broken: Shop, database_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        execute(database_url, "ALTER TABLE outbox RENAME TO nowhere")

        assert broken.post(ORDER.fields()).status_code == 503
        assert "A verified notification of avangate (order 900000001) could not be stored" in caplog.messages
        assert "The operator could not be told of it" in caplog.messages

    @on_sqlite
    def test_when_the_database_is_away_the_log_says_what_was_lost(
        self, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.service.database.close()
        (tmp_path / "test.db").rename(tmp_path / "elsewhere")
        (tmp_path / "test.db").mkdir()

        assert shop.post(ORDER.fields()).status_code == 503
        [said] = [text for text in caplog.messages if text.startswith("A verified notification of avangate")]
        assert said.startswith(
            "A verified notification of avangate (order 900000001) could not be stored: The database "
        )
        assert "is a directory" in said


@contextmanager
def kept(url: str) -> Iterator[None]:
    """Another writer has the database, in whatever way its engine knows."""
    with contextlib.ExitStack() as held:
        if engine_of(url) == "sqlite":
            other = held.enter_context(
                contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None))
            )
            other.execute("BEGIN IMMEDIATE")
        elif engine_of(url) == "postgresql":
            held.enter_context(psycopg.connect(url)).execute("SELECT * FROM writer_lock FOR UPDATE")
        else:
            cursor = held.enter_context(contextlib.closing(mysql_connection(url))).cursor()
            cursor.execute("BEGIN")
            cursor.execute("SELECT * FROM writer_lock FOR UPDATE")
        yield


@contextmanager
def flocked(url: str) -> Iterator[None]:
    """Another process has the lock file of SQLite."""
    with Path(f"{url.removeprefix('sqlite:///')}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class TestBusy:
    """A writer that does not let go: the shop is told to send again, in every thread after the same time."""

    LIMIT = 1
    THREADS = 4

    @pytest.fixture(autouse=True)
    def hurried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engines, "BUSY_SECONDS", self.LIMIT)

    def check(
        self, shop: Shop, keep: Callable[[], contextlib.AbstractContextManager[None]], caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.map("101")
        orders = [Order(refno=f"90000000{number}", lines=[Line(ref=f"REF{number}")]) for number in range(self.THREADS)]

        def post(order: Order) -> tuple[int, float]:
            began = time.monotonic()
            status = shop.post(order.fields()).status_code
            shop.service.database.close()
            return status, time.monotonic() - began

        with keep(), ThreadPoolExecutor(self.THREADS) as threads:
            answers = list(threads.map(post, orders))
        afterwards = [shop.post(order.fields()).status_code for order in orders]

        assert [status for status, _ in answers] == [503] * self.THREADS
        assert all(seconds < 2.5 * self.LIMIT for _, seconds in answers), answers
        assert f"The database is busy: another writer has kept it for more than {self.LIMIT} seconds." in caplog.text
        assert afterwards == [200] * self.THREADS
        assert waiting(shop, "alert") == []

    def test_on_every_engine(self, shop: Shop, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
        self.check(shop, lambda: kept(database_url), caplog)

    @on_sqlite
    def test_of_the_lock_file(self, shop: Shop, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
        self.check(shop, lambda: flocked(database_url), caplog)

    @on_sqlite
    def test_readiness_tells_of_it(self, shop: Shop, database_url: str) -> None:
        shop.service.delivery.beat("here")
        with flocked(database_url):
            assert shop.client.get("/readyz").status_code == 503

        assert shop.client.get("/readyz").status_code == 200


@contextmanager
def taken(lock: FileLock, patience: float) -> Iterator[None]:
    """Have a lock, or raise Unavailable when it does not come within so many seconds."""
    lock.acquire(time.monotonic() + patience)
    try:
        yield
    finally:
        lock.release()


class TestLockFile:
    """SQLite's writers wait for a file, each process in a thread beside the one that asks."""

    def test_a_lock_that_was_given_up_is_not_kept_when_it_comes(self, tmp_path: Path) -> None:
        """Else a process that nobody asks for anything would stop all others."""
        idle, busy = FileLock(tmp_path / "test.db"), FileLock(tmp_path / "test.db")
        (tmp_path / "test.db").touch()
        with taken(busy, 1), pytest.raises(Unavailable), taken(idle, 0.05):
            pass

        for _ in range(20):
            with taken(busy, 5):
                pass
            with taken(idle, 5):
                pass

    def test_waiting_again_and_again_takes_no_more_than_one_thread(self, tmp_path: Path) -> None:
        idle, busy = FileLock(tmp_path / "test.db"), FileLock(tmp_path / "test.db")
        (tmp_path / "test.db").touch()
        before = set(threading.enumerate())
        with taken(busy, 1):
            for _ in range(5):
                with pytest.raises(Unavailable), taken(idle, 0.01):
                    pass
            assert len(set(threading.enumerate()) - before) == 1

        with taken(idle, 5):
            pass

    def test_it_comes_to_who_waits(self, tmp_path: Path) -> None:
        first, second = FileLock(tmp_path / "test.db"), FileLock(tmp_path / "test.db")
        (tmp_path / "test.db").touch()
        entered: list[str] = []
        waits = threading.Event()

        def wait() -> None:
            waits.set()
            with taken(second, 10):
                entered.append("second")

        thread = threading.Thread(target=wait)
        with taken(first, 10):
            thread.start()
            waits.wait()
            entered.append("first")
        thread.join()

        assert entered == ["first", "second"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on a disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return filler


class TestDiskFull:
    def check(self, shop: Shop, what: str, caplog: pytest.LogCaptureFixture) -> None:
        answers = [shop.post(ORDER.fields()) for _ in range(2)]
        ready = shop.client.get("/readyz")

        assert [answer.status_code for answer in answers] == [503, 503]
        assert ready.status_code == 503
        assert what in caplog.text
        assert "cannot rollback" not in caplog.text

    @on_sqlite
    def test_the_shop_is_told_and_readiness_too(
        self, open_shop: OpenShop, small_disk: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And when there is room again the same message is licensed."""
        shop = open_shop(database=f"sqlite:///{small_disk / 'test.db'}")
        shop.map("101")
        shop.service.delivery.beat("here")
        filler = fill(small_disk)

        self.check(shop, f"The database {small_disk / 'test.db'} cannot be written: the disk is full.", caplog)
        filler.unlink()

        assert waiting(shop, "alert") == []
        assert shop.client.get("/readyz").status_code == 200
        assert shop.post(ORDER.fields()).status_code == 200
        shop.service.database.close()

    @on_sqlite
    def test_a_limit_on_the_size_of_files_is_like_a_full_disk(
        self, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """This one any user can set."""
        shop.map("101")
        shop.service.delivery.beat("here")
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "test.db-wal").stat().st_size, hard))
        try:
            self.check(shop, "The database is not available: OperationalError: disk I/O error.", caplog)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

        assert waiting(shop, "alert") == []
        assert shop.client.get("/readyz").status_code == 200
        assert shop.post(ORDER.fields()).status_code == 200


def test_readiness_leaves_nothing_behind(shop: Shop, database_url: str) -> None:
    shop.service.delivery.beat("here")

    assert shop.client.get("/readyz").status_code == 200
    assert list(execute(database_url, "SELECT id FROM writer_lock")) == [(1,)]
