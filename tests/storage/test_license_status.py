"""What the times of a license say of it, in Python and in the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlmhook.domain.events import EventKind, Item
from qlmhook.licensing import key_format
from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.storage.license_status import STATUSES
from tests.conftest import PlainShop
from tests.support.shop import event

pytestmark = pytest.mark.every_engine


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(days=1), NOW + timedelta(days=1)
TIMES = ("revoked_at", "suspended_at", "suspended_until", "ended_at", "expires_at", "grace_until")

Times = dict[str, datetime | None]
Columns = dict[str, Any]

AROUND = [None, NOW] + [
    NOW + sign * distance
    for sign in (-1, 1)
    for distance in (timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=1))
]
SOME_TIMES = st.tuples(*[st.sampled_from(AROUND) for _ in TIMES]).map(
    lambda times: dict(zip(TIMES, times, strict=True))
)


@pytest.fixture
def issued(plain_shop: PlainShop) -> Columns:
    """A license that was issued."""
    plain_shop.map("101")
    plain_shop.tell(event(EventKind.PAID, Item(line="1", product_id="101")))
    with plain_shop.service.database.reading():
        [license] = models.License.select()
    columns: Columns = license.__data__
    return {name: value for name, value in columns.items() if name != "id"}


def test_the_statuses_are_these() -> None:
    assert STATUSES == ("active", "expired", "suspended", "revoked")


@pytest.mark.parametrize(
    ("times", "status", "barred"),
    [
        pytest.param({}, "active", False, id="without an end"),
        pytest.param({"expires_at": AFTER}, "active", False, id="before its end"),
        pytest.param({"expires_at": NOW}, "expired", False, id="at its end"),
        pytest.param({"expires_at": BEFORE, "grace_until": AFTER}, "active", False, id="in its grace"),
        pytest.param({"expires_at": BEFORE, "grace_until": NOW}, "expired", False, id="after its grace"),
        pytest.param({"expires_at": AFTER, "grace_until": BEFORE}, "active", False, id="a grace that ends before it"),
        pytest.param({"ended_at": BEFORE, "expires_at": AFTER}, "expired", False, id="ended before its end"),
        pytest.param({"suspended_at": NOW}, "suspended", True, id="suspended from now"),
        pytest.param({"suspended_at": AFTER}, "active", False, id="suspended later"),
        pytest.param({"suspended_at": BEFORE, "suspended_until": AFTER}, "suspended", False, id="in a pause"),
        pytest.param({"suspended_at": BEFORE, "suspended_until": NOW}, "active", False, id="after a pause"),
        pytest.param({"suspended_at": BEFORE, "expires_at": BEFORE}, "suspended", True, id="suspended and over"),
        pytest.param({"revoked_at": BEFORE}, "revoked", True, id="revoked"),
        pytest.param({"revoked_at": BEFORE, "suspended_at": BEFORE, "ended_at": BEFORE}, "revoked", True, id="all"),
    ],
)
def test_the_first_rule_that_applies_is_the_status(times: Times, status: str, barred: bool) -> None:
    license = models.License(**times)

    assert (license.status(NOW), license.is_barred(NOW)) == (status, barred)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(every=st.lists(SOME_TIMES, min_size=10, max_size=20))
def test_the_database_finds_each_license_by_the_status_that_python_says(
    plain_shop: PlainShop, issued: Columns, every: list[Times]
) -> None:
    table = models.License
    rows = [{**issued, **times, "key": f"K{unit}", "unit": unit} for unit, times in enumerate(every, start=2)]
    with plain_shop.service.database.transaction():
        table.delete().where(table.unit > 1).execute()
        table.insert_many(rows).execute()

        told = {key_format.grouped(row.key): row.status(NOW) for row in table.select()}
        found = [(row["key"], status) for status in STATUSES for row in listings.licenses(now=NOW, status=status)]
    assert sorted(found) == sorted(told.items())
