"""What an LCN says: how a subscription stands, in the core's words."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qlmhook_avangate import lcn
from qlmhook_avangate.vendor import Avangate

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message, Standing
from qlmhook.errors import MalformedNotification
from qlmhook.vendors import read_form
from qlmhook.vendors.api import Outcome
from qlmhook.vendors.testing import make_notification
from tests.plugins.avangate.signer import Fields, form_body, signed, vector, without_signatures
from tests.plugins.avangate.subscriptions import Subscription

BUCHAREST = ZoneInfo("Europe/Bucharest")
RECEIVED_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
WITHOUT_DATES = ("EXPIRATION_DATE_TIME", "EXPIRATION_DATE")
ALGORITHMS = ("md5", "sha256", "sha3_256")
ACTIVE = Standing()


def parse(fields: Fields) -> Message:
    """Parse fields for an account in Bucharest."""
    return lcn.parse(read_form(fields), BUCHAREST, RECEIVED_AT)


def event_of(subscription: Subscription) -> Event:
    [event] = parse(subscription.fields()).events
    return event


def item_of(subscription: Subscription) -> Item:
    [item] = event_of(subscription).items
    return item


def standing_of(subscription: Subscription) -> Standing | None:
    return event_of(subscription).standing


def with_fields(*fields: tuple[str, str]) -> Subscription:
    return Subscription(extra=fields)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def answer_to(fields: Fields, key: str, algorithm: str, now: str) -> str:
    """What the vendor answers to fields that are signed with one algorithm, at a time."""
    account = Avangate("shop", {"shared_keys": [key], "algorithms": ["sha3-256", "sha256", "md5"]})
    sent = make_notification(form_body(signed(fields, key, [algorithm])))
    at = datetime.strptime(now, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return account.receipt(sent, account.verify(sent), Outcome(at=at)).body


def test_a_real_message_is_understood() -> None:
    """A test subscription of 2019 that never ends, published by Workato; its times are two hours ahead."""
    message = parse(without_signatures(vector("lcn-workato-sample")["fields"]))

    assert message == Message(
        kind="lcn",
        order_ref="92402153",
        order_status="ACTIVE",
        subscription_ref="AD42B977BE",
        events=(
            Event(
                kind=EventKind.SUBSCRIPTION,
                order_ref="",
                at=utc("2019-03-21 05:57:13"),
                placed_at=utc("2019-03-21 05:57:13"),
                test=True,
                customer=Customer(
                    email="redacted@example.com",
                    first_name="Joe",
                    last_name="Flagster",
                    address1="123 Main Street",
                    city="Townsville",
                    state="Ohio",
                    zip="43206",
                    country="United States of America",
                ),
                items=(Item(line="AD42B977BE", product_id="19674915", subscription_ref="AD42B977BE", lifetime=True),),
                standing=ACTIVE,
            ),
        ),
    )


def test_the_example_of_the_documentation_has_the_names_of_old() -> None:
    """FIRSTNAME and LASTNAME in place of FIRST_NAME and LAST_NAME; a stopped subscription of 2005."""
    [event] = parse(vector("lcn-doc-read-receipt-example")["fields"]).events

    assert (event.customer.first_name, event.customer.last_name) == ("John", "Smith")
    assert event.standing == Standing(stopped=True)
    assert [item.expires_at for item in event.items] == [utc("2005-03-03 21:59:59")]


def test_the_reference_alone_is_enough() -> None:
    """Every field is a tick box: what is not said takes nothing away, and was told when it came."""
    [event] = parse([("LICENSE_CODE", "AAAAAAAAAA")]).events

    assert event == Event(
        kind=EventKind.SUBSCRIPTION,
        order_ref="",
        at=RECEIVED_AT,
        placed_at=RECEIVED_AT,
        items=(Item(line="AAAAAAAAAA", product_id="", subscription_ref="AAAAAAAAAA"),),
        standing=ACTIVE,
    )


class TestEnd:
    """EXPIRATION_DATE_TIME, or else EXPIRATION_DATE, says how long the license runs."""

    @pytest.mark.parametrize(
        ("fields", "end"),
        [
            pytest.param(
                [("EXPIRATION_DATE_TIME", "2027-01-01 00:00:00"), ("EXPIRATION_DATE", "2027-01-01")],
                "2026-12-31 22:00:00",
                id="the time counts before the day",
            ),
            pytest.param([("EXPIRATION_DATE", "2027-01-01")], "2027-01-01 21:59:59", id="a day lasts until its end"),
            pytest.param([("EXPIRATION_DATE", "2027-07-01")], "2027-07-01 20:59:59", id="in summer as well"),
            pytest.param(
                [("EXPIRATION_DATE_TIME", "0000-00-00 00:00:00"), ("EXPIRATION_DATE", "2027-01-01")],
                "2027-01-01 21:59:59",
                id="zeros are no time",
            ),
            pytest.param(
                [("EXPIRATION_DATE_TIME", ""), ("EXPIRATION_DATE", "2027-01-01")],
                "2027-01-01 21:59:59",
                id="nor is nothing",
            ),
            pytest.param(
                [("EXPIRATION_DATE_TIME", "2027-07-01 00:00:00"), ("TIMEZONE_OFFSET", "GMT+02:00")],
                "2027-06-30 22:00:00",
                id="TIMEZONE_OFFSET counts before the account's zone",
            ),
            pytest.param(
                [("EXPIRATION_DATE_TIME", "2027-01-01 00:00:00"), ("TIMEZONE_OFFSET", "")],
                "2026-12-31 22:00:00",
                id="an empty offset is none",
            ),
        ],
    )
    def test_the_end_is_a_time_of_the_account(self, fields: Fields, end: str) -> None:
        item = item_of(Subscription(without=WITHOUT_DATES, extra=fields))

        assert (item.expires_at, item.lifetime) == (utc(end), False)

    @pytest.mark.parametrize("dates", [[], [("EXPIRATION_DATE_TIME", ""), ("EXPIRATION_DATE", "0000-00-00")]])
    def test_an_end_that_is_not_said_is_no_lifetime(self, dates: Fields) -> None:
        item = item_of(Subscription(without=WITHOUT_DATES, extra=dates))

        assert (item.expires_at, item.lifetime) == (None, False)

    @pytest.mark.parametrize(
        "fields",
        [
            [("EXPIRATION_DATE_TIME", "9999-12-31 23:59:59")],
            [("EXPIRATION_DATE_TIME", "9999-12-31 23:59:59"), ("TIMEZONE_OFFSET", "GMT-05:00")],
            [("EXPIRATION_DATE_TIME", ""), ("EXPIRATION_DATE", "9999-12-31")],
            [("LICENSE_LIFETIME", "1")],
            [("LICENSE_LIFETIME", "YES")],
        ],
    )
    def test_lifetimes(self, fields: Fields) -> None:
        """Either the year 9999, in any zone, or the flag, whatever the date."""
        item = item_of(with_fields(*fields))

        assert (item.expires_at, item.lifetime) == (None, True)

    @pytest.mark.parametrize("value", ["", "0", "NO"])
    def test_a_subscription_with_a_date_is_no_lifetime(self, value: str) -> None:
        assert not item_of(with_fields(("LICENSE_LIFETIME", value))).lifetime


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ([("DATE_UPDATED", "2026-01-10 12:00:00")], "2026-01-10 10:00:00"),
        ([("DATE_UPDATED", "2026-07-10 12:00:00")], "2026-07-10 09:00:00"),
        ([("DATE_UPDATED", "2026-07-10 12:00:00"), ("TIMEZONE_OFFSET", "GMT-05:00")], "2026-07-10 17:00:00"),
        ([("DATE_UPDATED", "2026-01-10")], "2026-01-10 21:59:59"),
        ([("DATE_UPDATED", "")], "2026-01-01 12:00:00"),
    ],
)
def test_messages_are_ordered_by_when_the_subscription_was_updated(fields: Fields, at: str) -> None:
    """Without a date by when they came."""
    assert event_of(with_fields(*fields)).at == utc(at)


class TestStanding:
    """STATUS, DISABLED and EXPIRED say how the subscription stands."""

    @pytest.mark.parametrize(
        ("status", "standing"),
        [
            *((status, Standing(stopped=True)) for status in ("DISABLED", "CANCELED", "CANCELLED", "Disabled")),
            *((status, Standing(paused=True)) for status in ("PAUSED", "paused")),
            *((status, Standing(expired=True)) for status in ("EXPIRED", " EXPIRED ")),
            *((status, ACTIVE) for status in ("ACTIVE", "", "PENDING_ACTIVATION", "PAST DUE", "SOMETHING NEW")),
        ],
    )
    def test_statuses(self, status: str, standing: Standing) -> None:
        """The set is open: what is not known takes nothing away."""
        assert standing_of(Subscription(status=status)) == standing

    @pytest.mark.parametrize("status", ["PAST DUE", "PASTDUE", "PAST_DUE", "past due"])
    def test_past_due_with_a_grace_period(self, status: str) -> None:
        """It is spelled differently from page to page; its date is over, which is no expiry within the grace."""
        subscription = Subscription(status=status, expired="1", extra=[("LICENSE_GRACE_PERIOD", "7")])

        assert standing_of(subscription) == Standing(grace_days=7)

    @pytest.mark.parametrize("grace_period", ["", "0"])
    def test_past_due_without_a_grace_period_is_as_expired_as_it_is_said_to_be(self, grace_period: str) -> None:
        subscription = Subscription(status="PAST DUE", expired="1", extra=[("LICENSE_GRACE_PERIOD", grace_period)])

        assert standing_of(subscription) == Standing(expired=True)

    @pytest.mark.parametrize("status", ["ACTIVE", "EXPIRED", "PAUSED"])
    def test_a_grace_period_counts_when_the_payment_is_past_due(self, status: str) -> None:
        """2Checkout sends the period with every message."""
        standing = standing_of(Subscription(status=status, extra=[("LICENSE_GRACE_PERIOD", "7")]))

        assert standing is not None
        assert standing.grace_days == 0

    @pytest.mark.parametrize("status", ["ACTIVE", ""])
    def test_the_flags_count_whatever_the_status(self, status: str) -> None:
        """Also where STATUS is not ticked."""
        assert standing_of(Subscription(status=status, disabled="1")) == Standing(stopped=True)
        assert standing_of(Subscription(status=status, expired="1")) == Standing(expired=True)

    @pytest.mark.parametrize(
        "field",
        [
            ("RECURRING", "0"),
            ("DISPATCH_REASON", "LICENCE_EXPIRATION"),
            ("DISPATCH_REASON", "LICENCE_PASTDUE"),
            ("DISPATCH_REASON", "SCHEDULED_FOR_CANCELATION_ON_DEMAND"),
            ("DISPATCH_REASON", "REVERT_CANCELATION_ON_DEMAND"),
            ("PAUSE_START_DATE", ""),
            ("PAUSE_END_DATE", "0000-00-00"),
        ],
    )
    def test_what_does_not_decide(self, field: tuple[str, str]) -> None:
        """No renewal in future is no end today, and the reason of dispatch is spelled in too many ways."""
        assert standing_of(with_fields(field)) == ACTIVE

    @pytest.mark.parametrize(
        ("dates", "begin", "end"),
        [
            pytest.param(
                [("PAUSE_START_DATE", "2026-02-01"), ("PAUSE_END_DATE", "2026-03-01")],
                "2026-01-31 22:00:00",
                "2026-03-01 21:59:59",
                id="from the beginning of the first day to the end of the last",
            ),
            pytest.param(
                [("PAUSE_START_DATE", "2026-02-01 08:00:00"), ("PAUSE_END_DATE", "2026-03-01 08:00:00")],
                "2026-02-01 06:00:00",
                "2026-03-01 06:00:00",
                id="or from time to time",
            ),
            pytest.param(
                [("PAUSE_START_DATE", "2026-02-01"), ("TIMEZONE_OFFSET", "GMT-05:00")],
                "2026-02-01 05:00:00",
                None,
                id="an end may not be known",
            ),
            pytest.param([("PAUSE_END_DATE", "2026-07-01")], None, "2026-07-01 20:59:59", id="nor a beginning"),
            pytest.param([], None, None, id="nor either"),
        ],
    )
    def test_the_dates_of_a_pause(self, dates: Fields, begin: str | None, end: str | None) -> None:
        assert standing_of(Subscription(status="PAUSED", extra=dates)) == Standing(
            paused=True, paused_from=utc(begin) if begin else None, paused_until=utc(end) if end else None
        )

    def test_a_pause_that_ends_before_it_begins_is_none(self) -> None:
        dates = [("PAUSE_START_DATE", "2026-03-01"), ("PAUSE_END_DATE", "2026-02-01")]

        found = standing_of(Subscription(status="PAUSED", extra=dates))

        assert found is not None
        assert not found.paused


def test_the_customer_is_the_end_user() -> None:
    """The address is looked up and mailed to, so blanks around it are not part of it."""
    names = [("CITY", "Riga"), ("ZIP", "LV-1010"), ("STATE", "-"), ("ADDRESS", "Brivibas 1"), ("FAX", "+1 555 0101")]
    subscription = Subscription(email=" b@example.com ", first_name="Bob", last_name="Brown", extra=names)

    assert event_of(subscription).customer == Customer(
        email="b@example.com",
        first_name="Bob",
        last_name="Brown",
        phone="+1 555 0100",
        fax="+1 555 0101",
        address1="Brivibas 1",
        city="Riga",
        state="-",
        zip="LV-1010",
        country="United States of America",
    )


@pytest.mark.parametrize(("value", "test"), [("1", True), ("0", False), ("", False)])
def test_test_subscriptions_are_marked(value: str, test: bool) -> None:
    assert event_of(with_fields(("TEST", value))).test is test


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("LICENSE_CODE", value) for value in ("", "A B", "X" * 51, "Ä", "A\n")),
        *((name, "tomorrow") for name in ("EXPIRATION_DATE", "EXPIRATION_DATE_TIME", "DATE_UPDATED")),
        *((name, "2026-02-30") for name in ("EXPIRATION_DATE", "PAUSE_START_DATE", "PAUSE_END_DATE")),
        *((name, "yes") for name in ("DISABLED", "EXPIRED", "TEST")),
        ("LICENSE_LIFETIME", "perhaps"),
        ("STATUS", "AKTÍV"),
        ("LICENSE_GRACE_PERIOD", "-1"),
        ("LICENSE_GRACE_PERIOD", "a week"),
        ("TIMEZONE_OFFSET", "Europe/Bucharest"),
        ("ORIGINAL_ORDER_REFERENCE", "none"),
    ],
)
def test_a_field_that_decides_something_is_not_guessed_at(name: str, value: str) -> None:
    """The refusal names the field."""
    with pytest.raises(MalformedNotification, match=name):
        parse(with_fields((name, value)).fields())


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("IPN_PID[]", "101"), *Subscription().fields()], id="an IPN as well"),
        pytest.param([("LICENSE_CODE[]", "AAAAAAAAAA")], id="a reference that is an array"),
    ],
)
def test_what_is_not_clearly_an_lcn_is_malformed(fields: Fields) -> None:
    """The fields tell which kind a notification is of, and these tell two or none."""
    account = Avangate("shop", {"shared_keys": ["synthetic-Secret1!"]})

    with pytest.raises(MalformedNotification, match="or an LCN, with LICENSE_CODE"):
        account.parse(make_notification(form_body(fields)))


def receipts(name: str) -> Sequence[Any]:
    """The receipts of a vector, one parameter set each."""
    return [
        pytest.param(name, answer["hash_algo"], answer["date"], answer["body"], id=f"{name} {answer['hash_algo']}")
        for answer in vector(name)["expected"]["responses"]
    ]


class TestReceipt:
    """What stops 2Checkout's retries is signed over LICENSE_CODE, EXPIRATION_DATE and the date."""

    @pytest.mark.parametrize(
        ("name", "algorithm", "date", "body"),
        [*receipts("lcn-doc-read-receipt-example"), *receipts("synthetic/lcn-expired")],
    )
    def test_the_answer_to_a_vector(self, name: str, algorithm: str, date: str, body: str) -> None:
        """One is of 2Checkout's documentation; in the other the time of EXPIRATION_DATE_TIME does not count."""
        message = vector(name)

        assert answer_to(without_signatures(message["fields"]), message["secret_key"], algorithm, date) == f"{body}\n"

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_an_end_that_is_not_sent_is_signed_as_empty(self, algorithm: str) -> None:
        """As it would be if 2Checkout sent it empty."""
        without = Subscription(without=["EXPIRATION_DATE"]).fields()
        empty = with_fields(("EXPIRATION_DATE", "")).fields()

        answers = [answer_to(fields, "hush", algorithm, "20260101000000") for fields in (without, empty)]

        assert answers[0] == answers[1]


TEXTS = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?", fullmatch=True)
    | st.from_regex(r"(GMT|UTC)[+-][0-9]{1,2}:?[0-9]{2}", fullmatch=True)
    | st.from_regex(r"[0-9]{1,6}", fullmatch=True)
    | st.sampled_from(["", "0", "1", "YES", "0001-01-01", "9999-12-31", "0000-00-00", "PAUSED", "PAST DUE"])
)
NAMES = sorted(
    {name for name, _ in Subscription().fields()}
    | {"TIMEZONE_OFFSET", "LICENSE_GRACE_PERIOD", "LICENSE_LIFETIME", "PAUSE_START_DATE", "PAUSE_END_DATE"}
)


@given(changes=st.dictionaries(st.sampled_from(NAMES), TEXTS))
@settings(deadline=None)
def test_whatever_the_values_are_they_are_read_or_malformed(changes: dict[str, str]) -> None:
    """No other exception comes out of any values, and what is read can be receipted; times are aware."""
    form = read_form(with_fields(*changes.items()).fields())
    try:
        [event] = lcn.parse(form, BUCHAREST, RECEIVED_AT).events
    except MalformedNotification:
        return
    standing = event.standing
    assert standing is not None
    times = [event.at, event.items[0].expires_at, standing.paused_from, standing.paused_until]

    assert len(lcn.receipt_values(form)) == 2
    assert [time for time in times if time is not None and time.utcoffset() is None] == []
