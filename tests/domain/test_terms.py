"""What a property says of a license, and where its days end."""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from qlmhook.domain.terms import FOREVER, Terms, days_after, end_of_day
from tests.support.made import TERMS, day, end_of

BERLIN = ZoneInfo("Europe/Berlin")


def test_what_a_property_leaves_out() -> None:
    """One key with one activation for each unit, no end, no maintenance, mails if there is a template."""
    assert asdict(TERMS) == {
        "product_id": 1,
        "major_version": 1,
        "minor_version": 0,
        "product_name": "",
        "license_model": "",
        "engine_version": "6.0.00",
        "duration_days": None,
        "end_date": None,
        "features": "",
        "product_properties": "",
        "one_key": True,
        "activations_per_unit": 1,
        "additional_activations": 0,
        "seats_per_unit": 0,
        "maintenance": False,
        "maintenance_days": 365,
        "maintenance_date": None,
        "affiliate": "",
        "user_data": "",
        "computer_type": 0,
        "legacy_key": "",
        "key_maker": "random",
        "order_template": "",
        "renewal_template": "",
        "send_mail": True,
        "send_renewal_mail": True,
        "mail_from": "",
        "mail_subject": "",
        "mail_cc": (),
        "mail_bcc": (),
        "confirm": False,
        "source": "",
    }


def test_terms_that_are_written_in_two_ways_are_the_same() -> None:
    assert replace(TERMS, source="&is_productid=1") == TERMS


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, True),
        ({"license_model": "permanent"}, True),
        ({"license_model": "subscription"}, False),
        ({"license_model": "trial_floating"}, False),
        ({"license_model": "trial", "duration_days": 0}, True),
        ({"license_model": "subscription", "end_date": date(2027, 1, 1)}, True),
    ],
)
def test_only_a_subscription_or_trial_needs_an_end_from_the_shop(changes: dict[str, object], known: bool) -> None:
    """Unless the property says it."""
    assert Terms(**{**asdict(TERMS), **changes}).knows_its_end is known


@pytest.mark.parametrize(
    ("terms", "order", "renewal"),
    [
        (TERMS, "", ""),
        (replace(TERMS, order_template="O"), "O", "O"),
        (replace(TERMS, order_template="O", renewal_template="R"), "O", "R"),
        (replace(TERMS, order_template="O", renewal_template="R", send_mail=False), "", "R"),
        (replace(TERMS, order_template="O", renewal_template="R", send_renewal_mail=False), "O", ""),
    ],
)
def test_the_template_of_an_order_and_of_a_renewal(terms: Terms, order: str, renewal: str) -> None:
    assert (terms.mail_template(renewal=False), terms.mail_template(renewal=True)) == (order, renewal)


@pytest.mark.parametrize(
    ("terms", "end"),
    [
        (TERMS, None),
        (replace(TERMS, duration_days=0), end_of(0)),
        (replace(TERMS, duration_days=30), end_of(30)),
        (replace(TERMS, end_date=day(10).date()), end_of(10)),
        (replace(TERMS, duration_days=30, end_date=day(10).date()), end_of(10)),
        (replace(TERMS, duration_days=5, end_date=day(10).date()), end_of(5)),
    ],
)
def test_a_license_ends_at_the_earlier_of_date_and_duration(terms: Terms, end: datetime | None) -> None:
    assert terms.end(day(0), UTC) == end


@pytest.mark.parametrize(
    ("terms", "end"),
    [
        (TERMS, None),
        (replace(TERMS, maintenance=True), end_of(365)),
        (replace(TERMS, maintenance=True, maintenance_days=30), end_of(30)),
        (replace(TERMS, maintenance=True, maintenance_date=day(7).date()), end_of(7)),
        (replace(TERMS, maintenance=True, maintenance_days=5, maintenance_date=day(7).date()), end_of(7)),
        (replace(TERMS, maintenance_date=day(7).date()), None),
    ],
)
def test_maintenance_ends_at_its_date_or_after_its_days(terms: Terms, end: datetime | None) -> None:
    assert terms.maintenance_end(day(0), UTC) == end


def test_a_day_ends_where_the_shop_is() -> None:
    """23:59:59 in Berlin is an hour earlier in UTC, in summer two."""
    ends = [end_of_day(date(2026, month, 1), BERLIN) for month in (1, 7)]

    assert ends == [datetime(2026, 1, 1, 22, 59, 59, tzinfo=UTC), datetime(2026, 7, 1, 21, 59, 59, tzinfo=UTC)]
    assert {end.utcoffset() for end in ends} == {timedelta(0)}


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        pytest.param(
            datetime(2026, 1, 1, 23, 30, tzinfo=UTC),
            1,
            datetime(2026, 1, 3, 22, 59, 59, tzinfo=UTC),
            id="half past eleven in the evening in UTC is the next day in Berlin",
        ),
        pytest.param(
            datetime(2026, 3, 20, 12, tzinfo=UTC),
            30,
            datetime(2026, 4, 19, 21, 59, 59, tzinfo=UTC),
            id="days are calendar days, although summer time begins between",
        ),
    ],
)
def test_days_are_counted_where_the_shop_is(start: datetime, days: int, end: datetime) -> None:
    assert days_after(start, days, BERLIN) == end


def test_the_year_9999_and_what_comes_after_it_is_never() -> None:
    assert datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) == FOREVER
    assert FOREVER.tzinfo is UTC
    assert end_of_day(date(9999, 1, 1), UTC) == FOREVER
    assert end_of_day(date(9998, 12, 31), UTC) == datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert days_after(day(0), 4_000_000, UTC) == FOREVER
