"""The outbox: leases, delays, and the end of patience."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from qlmhook.errors import NotFound
from qlmhook.outbox import payloads, queue
from qlmhook.outbox.payloads import AlertPayload, MailPayload
from qlmhook.storage import models
from tests.conftest import Shop

pytestmark = pytest.mark.every_engine


def add(shop: Shop, *subjects: str) -> list[models.Outbox]:
    """Add a row for each subject."""
    with shop.service.database.transaction():
        return [queue.add(AlertPayload(text="x"), now=shop.clock(), subject=subject) for subject in subjects]


def claim(shop: Shop) -> models.Outbox | None:
    with shop.service.database.transaction():
        return queue.claim(shop.clock())


def claimed(shop: Shop) -> models.Outbox:
    row = claim(shop)
    assert row is not None
    return row


def fail(shop: Shop, row: models.Outbox, *, permanent: bool = False) -> bool:
    with shop.service.database.transaction():
        return queue.fail(row, "no reason", permanent=permanent, now=shop.clock())


def stored(shop: Shop, row: models.Outbox) -> models.Outbox:
    with shop.service.database.reading():
        return models.Outbox.get_by_id(row.id)


def test_a_new_row_is_due_at_once_with_what_it_carries(shop: Shop) -> None:
    with shop.service.database.transaction():
        payload = MailPayload(template="Größe")
        queue.add(payload, now=shop.clock(), vendor="v", order_ref="1", to="a@example.com", subject="s")

    row = claimed(shop)
    assert (row.kind, row.vendor, row.order_ref, row.to, row.subject) == ("mail", "v", "1", "a@example.com", "s")
    assert payloads.of(row, MailPayload) == payload
    assert row.begun_at == row.due_at == shop.clock()


def test_the_row_that_has_been_due_the_longest_comes_first(shop: Shop) -> None:
    add(shop, "first")
    shop.clock.now += timedelta(seconds=1)
    add(shop, "second", "third")

    assert [claimed(shop).subject for _ in range(3)] == ["first", "second", "third"]
    assert claim(shop) is None


def test_a_claim_leases_the_row_and_counts_the_attempt(shop: Shop) -> None:
    [row] = add(shop, "x")

    claim(shop)

    found = stored(shop, row)
    assert (found.state, found.attempts) == ("leased", 1)
    assert found.leased_until == shop.clock() + queue.LEASE


def test_a_row_whose_lease_ran_out_is_taken_over(shop: Shop) -> None:
    add(shop, "x")
    first = claimed(shop)
    shop.clock.now += queue.LEASE - timedelta(seconds=1)

    assert claim(shop) is None
    shop.clock.now += timedelta(seconds=1)
    second = claimed(shop)
    assert (second.id, second.attempts) == (first.id, 2)


@pytest.mark.parametrize("late", ["finish", "fail"])
def test_who_lost_the_lease_has_no_say_any_more(shop: Shop, late: str) -> None:
    add(shop, "x")
    first = claimed(shop)
    shop.clock.now += queue.LEASE
    second = claimed(shop)

    if late == "fail":
        fail(shop, first, permanent=True)
    else:
        with shop.service.database.transaction():
            queue.finish(first, shop.clock())

    found = stored(shop, first)
    assert (found.state, found.lease) == ("leased", second.lease)


def test_two_claims_never_give_the_same_row(shop: Shop) -> None:
    rows = add(shop, *map(str, range(40)))

    def work(_: int) -> list[int]:
        found = []
        while (row := claim(shop)) is not None:
            found.append(row.id)
        shop.service.database.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        taken = [row_id for found in pool.map(work, range(4)) for row_id in found]

    assert sorted(taken) == [row.id for row in rows]


def test_a_finished_row_is_done_and_never_claimed_again(shop: Shop) -> None:
    add(shop, "x")
    row = claimed(shop)
    fail(shop, row)
    shop.clock.now += timedelta(minutes=1)
    row = claimed(shop)

    with shop.service.database.transaction():
        queue.finish(row, shop.clock())

    found = stored(shop, row)
    assert (found.state, found.done_at, found.last_error) == ("done", shop.clock(), "")
    assert (found.lease, found.leased_until) == ("", None)
    shop.clock.now += timedelta(days=30)
    assert claim(shop) is None


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (100_000, 60)]
)
def test_the_delay_doubles_from_a_minute_to_an_hour(attempts: int, minutes: int) -> None:
    assert queue.delay_after(attempts) == timedelta(minutes=minutes)


def test_a_failed_row_waits_and_is_due_again(shop: Shop) -> None:
    add(shop, "x")
    row = claimed(shop)

    assert not fail(shop, row)

    found = stored(shop, row)
    assert (found.state, found.last_error, found.leased_until) == ("due", "no reason", None)
    assert found.due_at == shop.clock() + timedelta(minutes=1)
    assert claim(shop) is None
    shop.clock.now += timedelta(minutes=1)
    assert claimed(shop).attempts == 2


def test_whether_anything_is_due_is_told_without_claiming_it(shop: Shop) -> None:
    def due() -> bool:
        with shop.service.database.reading():
            return queue.is_any_due(shop.clock())

    assert not due()
    add(shop, "x")
    assert due()
    claim(shop)
    assert not due()
    shop.clock.now += queue.LEASE
    assert due()


@pytest.mark.parametrize(
    ("age", "dead"), [(timedelta(days=7) - timedelta(seconds=1), False), (timedelta(days=7), True)]
)
def test_a_row_is_given_up_a_week_after_it_was_written(shop: Shop, age: timedelta, dead: bool) -> None:
    add(shop, "x")
    shop.clock.now += age
    row = claimed(shop)

    assert fail(shop, row) is dead
    assert stored(shop, row).state == ("dead" if dead else "due")


def test_a_row_that_failed_for_good_is_given_up_at_once(shop: Shop) -> None:
    add(shop, "x")
    row = claimed(shop)

    assert fail(shop, row, permanent=True)
    assert stored(shop, row).state == "dead"
    shop.clock.now += timedelta(days=30)
    assert claim(shop) is None


def test_a_retried_row_begins_anew(shop: Shop) -> None:
    """It has another week, and waits a minute after its next failure, not an hour."""
    add(shop, "x")
    row = claimed(shop)
    fail(shop, row, permanent=True)
    shop.clock.now += timedelta(days=30)

    with shop.service.database.transaction():
        queue.retry(row.id, shop.clock())

    again = stored(shop, row)
    assert (again.state, again.attempts, again.last_error) == ("due", 0, "")
    assert not fail(shop, claimed(shop))


def test_retrying_a_row_that_is_not_there_is_an_error(shop: Shop) -> None:
    with shop.service.database.transaction(), pytest.raises(NotFound, match="no outbox row 7"):
        queue.retry(7, shop.clock())


def test_a_long_error_is_cut(shop: Shop) -> None:
    add(shop, "x")
    row = claimed(shop)

    with shop.service.database.transaction():
        queue.fail(row, "x" * 5000, permanent=False, now=shop.clock())

    assert len(stored(shop, row).last_error) == 2000


def test_what_a_delivery_found_out_is_written_to_its_row_alone(shop: Shop) -> None:
    first, second = add(shop, "one", "two")

    with shop.service.database.transaction():
        queue.describe(first, subject="rendered")

    assert [stored(shop, row).subject for row in (first, second)] == ["rendered", "two"]
