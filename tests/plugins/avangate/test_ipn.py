"""What an IPN says: orders, lines and customers in the core's words."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qlmhook_avangate import ipn

from qlmhook.domain.events import Customer, Event, EventKind, Item, Message
from qlmhook.errors import MalformedNotification
from qlmhook.vendors import read_form
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields, vector

BUCHAREST = ZoneInfo("Europe/Bucharest")
ALPHA = Line()
BETA = Line(pid="102", name="Beta", ref="BBBBBBBBBB")
OPTIONAL = (
    "SALEDATE",
    "REFNOEXT",
    "ORDERNO",
    "FIRSTNAME",
    "LASTNAME",
    "COMPANY",
    "COUNTRY",
    "PHONE",
    "CUSTOMEREMAIL",
    "CURRENCY",
    "IPN_TOTALGENERAL",
    "VENDOR_CODE",
    "IPN_QTY[]",
    "IPN_LICENSE_PROD[]",
    "IPN_LICENSE_REF[]",
    "IPN_LICENSE_EXP[]",
    "IPN_LICENSE_LIFETIME[]",
)


def parse(fields: Fields) -> Message:
    """Parse fields for an account in Bucharest."""
    return ipn.parse(read_form(fields), BUCHAREST)


def event_of(order: Order) -> Event:
    [event] = parse(order.fields()).events
    return event


def items_of(order: Order) -> tuple[Item, ...]:
    return event_of(order).items


def item_of(line: Line) -> Item:
    [item] = items_of(Order(lines=[line]))
    return item


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


class TestRealOrder:
    """An order as 2Checkout sent it, published by its Ruby SDK."""

    @pytest.fixture
    def message(self) -> Message:
        return parse(vector("ipn-sdk-99999999-complete-251610655414")["fields"])

    def test_the_order_is_paid(self, message: Message) -> None:
        """A completed test order, built an hour after the sale; times are three hours ahead of Greenwich."""
        [event] = message.events

        assert (message.kind, message.order_ref, message.order_status) == ("ipn", "99999999", "COMPLETE")
        assert (event.kind, event.order_ref, event.test) == (EventKind.PAID, "99999999", True)
        assert event.placed_at == utc("2021-09-27 10:04:29")
        assert event.at == utc("2021-09-27 11:16:45")

    def test_the_customer_is_who_is_billed(self, message: Message) -> None:
        """The delivery address, which differs, is left alone."""
        [event] = message.events

        assert event.customer == Customer(
            email="john.doe@test.com",
            first_name="John",
            last_name="Doe",
            address1="55 White Cowley Court",
            address2="tewtr 2",
            city="Brasov",
            state="-",
            zip="29636",
            country="Romania",
        )

    def test_the_line_is_a_lifetime_license(self, message: Message) -> None:
        """Its expiry in the year 9999 is no date."""
        [event] = message.events

        assert event.items == (
            Item(
                line="37179430#1",
                product_id="37179430",
                product_name="Cart_781cc275-243c-405b-b5f7-b35986fd9233",
                quantity=1,
                subscription_ref="JOCX9W18NM",
                lifetime=True,
                amount=Decimal("95.00"),
                currency="USD",
            ),
        )


def test_one_subscription_may_be_of_several_units() -> None:
    """Workato's sample of a real order: quantity five, one subscription reference."""
    [event] = parse([*vector("ipn-workato-sample")["fields"], ("IPN_DATE", "20190414125307")]).events

    assert [(item.quantity, item.subscription_ref) for item in event.items] == [(5, "BC9ADC1D4C")]


@pytest.mark.parametrize("status", ["PAYMENT_AUTHORIZED", "PAYMENT_RECEIVED", "COMPLETE", "complete"])
def test_statuses_that_fulfil(status: str) -> None:
    """A product that the vendor fulfils completes only after our confirmation, so authorization must do."""
    message = parse(Order(status=status).fields())

    assert [event.kind for event in message.events] == [EventKind.PAID]
    assert message.order_status == status.upper()


@pytest.mark.parametrize(
    "status",
    [
        "PENDING",
        "PURCHASE_PENDING",
        "PENDING_APPROVAL",
        "PENDING_ORDER_APPROVAL",
        "AUTHRECEIVED",
        "SUSPECT",
        "INVALID",
        "FOO_STATUS",
    ],
)
def test_other_statuses_ask_for_nothing(status: str) -> None:
    """The set is open: an unknown status is noted, and is no error."""
    message = parse(Order(status=status).fields())

    assert message.events == ()
    assert status in message.note


@pytest.mark.parametrize(
    ("status", "kind"),
    [("REFUND", EventKind.REFUNDED), ("REVERSED", EventKind.REVERSED), ("CANCELED", EventKind.CANCELED)],
)
@pytest.mark.parametrize("fraud_status", ["APPROVED", "UNDER REVIEW"])
def test_statuses_that_take_an_order_back(status: str, kind: EventKind, fraud_status: str) -> None:
    """All of its lines, whatever the review says."""
    event = event_of(Order(status=status, lines=[ALPHA, BETA], extra=[("FRAUD_STATUS", fraud_status)]))

    assert (event.kind, event.reason, [item.line for item in event.items]) == (kind, "", ["101#1", "102#1"])


@pytest.mark.parametrize(
    ("resolution", "kind"),
    [
        ("OPEN", EventKind.CHARGEBACK_OPENED),
        ("open", EventKind.CHARGEBACK_OPENED),
        ("WON", EventKind.CHARGEBACK_WON),
        ("LOST", EventKind.CHARGEBACK_LOST),
        ("ACCEPTED", EventKind.CHARGEBACK_LOST),
    ],
)
@pytest.mark.parametrize("status", ["COMPLETE", "REFUND"])
def test_a_chargeback_is_no_word_about_payment(resolution: str, kind: EventKind, status: str) -> None:
    """It rides on another status, which would fulfil the order a second time, and is about all of its lines."""
    event = event_of(Order(status=status, lines=[ALPHA, BETA], extra=[("CHARGEBACK_RESOLUTION", resolution)]))

    assert (event.kind, [item.line for item in event.items]) == (kind, ["101#1", "102#1"])


@pytest.mark.parametrize("resolution", ["PENDING", "SOMETHING NEW"])
def test_a_chargeback_of_an_unknown_kind_is_unclear(resolution: str) -> None:
    """It is neither a payment nor a dispute that is known to be open."""
    message = parse(Order(extra=[("CHARGEBACK_RESOLUTION", resolution)]).fields())

    assert message.events == ()
    assert message.unclear.startswith(f"CHARGEBACK_RESOLUTION is '{resolution}', which is not known.")


BACK, FREE, KEPT = "-29.00", "0.00", "29.00"


@pytest.mark.parametrize(
    ("refund_type", "amounts", "lines"),
    [
        pytest.param("", [], ["101#1", "102#1"], id="all, if it says nothing else"),
        pytest.param("", [BACK, BACK], ["101#1", "102#1"], id="all that are negative"),
        pytest.param("", [KEPT, BACK], ["102#1"], id="the one that is negative"),
        pytest.param("FOO", [KEPT, BACK], ["102#1"], id="in a type that is not known, too"),
        pytest.param("TOTAL", [BACK, FREE], ["101#1", "102#1"], id="in total, one that was free as well"),
        pytest.param("full", [], ["101#1", "102#1"], id="or in full"),
    ],
)
@pytest.mark.parametrize("name", ["IPN_TOTAL[]", "IPN_PRICE[]"])
def test_which_lines_are_refunded(name: str, refund_type: str, amounts: Sequence[str], lines: Sequence[str]) -> None:
    """A refund lists the others as well, and carries negative amounts."""
    told = [("REFUND_TYPE", refund_type), *((name, amount) for amount in amounts)]

    assert [item.line for item in items_of(Order(status="REFUND", lines=[ALPHA, BETA], extra=told))] == lines


@pytest.mark.parametrize("amounts", [[], [KEPT, KEPT], [BACK, BACK]])
def test_a_refund_in_part_that_marks_no_line_or_all_is_unclear(amounts: Sequence[str]) -> None:
    """It may be for a part of the price, which is no reason to take a license away."""
    told = [("REFUND_TYPE", "PARTIAL"), *(("IPN_TOTAL[]", amount) for amount in amounts)]
    message = parse(Order(status="REFUND", lines=[ALPHA, BETA], extra=told).fields())

    assert message.events == ()
    assert message.unclear.startswith("A refund of the type 'PARTIAL' does not say which lines it is for.")


@pytest.mark.parametrize(
    ("quantity", "refund_type", "units"),
    [("2", "", 2), ("-2", "", 2), ("2", "PARTIAL", 2), ("2", "TOTAL", None), ("many", "", None)],
)
def test_how_many_units_are_refunded(quantity: str, refund_type: str, units: int | None) -> None:
    """All of them where the refund is total, whatever its quantity, or says no number."""
    told = [("REFUND_TYPE", refund_type), ("IPN_TOTAL[]", BACK), ("IPN_TOTAL[]", FREE)]
    item, *_ = items_of(Order(status="REFUND", lines=[Line(quantity=quantity), BETA], extra=told))

    assert item.undone_quantity == units


def test_the_amounts_tell_one_refund_from_another() -> None:
    """A refund that is sent again says the same; what else is told of an order has no amounts."""
    amounts = [("IPN_TOTALGENERAL", "-29.00"), ("IPN_TOTAL[]", "-20.00"), ("IPN_TOTAL[]", "-9.00")]
    lines = [ALPHA, BETA]

    assert event_of(Order(status="REFUND", lines=lines, extra=amounts)).detail == "-29.00 -20.00 -9.00"
    assert event_of(Order(lines=lines, extra=amounts)).detail == ""


@pytest.mark.parametrize(
    ("status", "payment_date", "paid_at"),
    [
        ("COMPLETE", "", "2026-01-01 08:00:00"),
        ("PAYMENT_AUTHORIZED", "", "2026-01-01 08:00:00"),
        ("PAYMENT_RECEIVED", "", "2026-01-05 10:00:00"),
        ("PAYMENT_RECEIVED", "2026-01-03 10:00:00", "2026-01-03 08:00:00"),
        ("COMPLETE", "2026-01-03 10:00:00", "2026-01-03 08:00:00"),
    ],
)
def test_when_an_order_was_paid(status: str, payment_date: str, paid_at: str) -> None:
    """With the order, or when a transfer arrived; each re-send of a message has a date of its own."""
    order = Order(status=status, ipn_date="20260105120000", extra=[("PAYMENTDATE", payment_date)])

    assert event_of(order).paid_at == utc(paid_at)


@pytest.mark.parametrize(("number", "sequence"), [("250847481432", 250847481432), ("", 0), ("x1", 0), ("9" * 19, 0)])
def test_the_number_of_a_message_is_its_sequence(number: str, sequence: int) -> None:
    assert event_of(Order(extra=[("MESSAGE_ID", number)])).sequence == sequence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRAUD_STATUS", ""),
        ("FRAUD_STATUS", "APPROVED"),
        ("FRAUD_STATUS", " approved "),
        ("CHARGEBACK_RESOLUTION", ""),
        ("CHARGEBACK_RESOLUTION", " "),
        ("CHARGEBACK_RESOLUTION", "NONE"),
    ],
)
def test_an_order_without_fraud_and_chargeback_is_paid(name: str, value: str) -> None:
    """Every order of an account with these boxes ticked carries the fields."""
    assert event_of(Order(extra=[(name, value)])).kind is EventKind.PAID


@pytest.mark.parametrize("fraud_status", ["PENDING", "UNDER REVIEW", "DENIED", "denied", "SOMETHING ELSE"])
def test_what_the_fraud_review_has_not_approved_is_under_review(fraud_status: str) -> None:
    """The reason says what the review's state is."""
    event = event_of(Order(extra=[("FRAUD_STATUS", fraud_status)]))

    assert event.kind is EventKind.UNDER_REVIEW
    assert fraud_status.upper() in event.reason


def test_only_what_is_needed_to_act_is_required() -> None:
    """Without any optional field an order of one unit is paid, by an unknown customer, at the message's time."""
    event = event_of(Order(without=OPTIONAL))

    assert event.kind is EventKind.PAID
    assert not event.test
    assert event.placed_at == event.at == utc("2026-01-01 08:05:00")
    assert event.customer == Customer()
    assert event.items == (Item(line="101#1", product_id="101", product_name="Alpha"),)


def test_each_part_of_the_customer_has_its_field() -> None:
    """Blanks around an e-mail address are a typing error; other values are kept as they are."""
    values = {
        "CUSTOMEREMAIL": " a@example.com ",
        "FIRSTNAME": " Ann",
        "LASTNAME": "Smith",
        "COMPANY": "A&B",
        "PHONE": "+40 770",
        "FAX": "+40 771",
        "ADDRESS1": "Street 1",
        "ADDRESS2": "Floor 2",
        "CITY": "Iași",
        "STATE": "IS",
        "ZIPCODE": "700001",
        "COUNTRY": "Romania",
    }

    assert event_of(Order(extra=list(values.items()))).customer == Customer(
        email="a@example.com",
        first_name=" Ann",
        last_name="Smith",
        company="A&B",
        phone="+40 770",
        fax="+40 771",
        address1="Street 1",
        address2="Floor 2",
        city="Iași",
        state="IS",
        zip="700001",
        country="Romania",
    )


@pytest.mark.parametrize(("value", "test"), [("1", True), ("0", False), ("", False)])
def test_test_orders(value: str, test: bool) -> None:
    """Only a 1 marks a test order."""
    assert event_of(Order(extra=[("TEST_ORDER", value)])).test is test


@pytest.mark.parametrize(
    ("offset", "time"),
    [("GMT+03:00", "2026-01-01 07:00:00"), ("GMT-05:00", "2026-01-01 15:00:00"), ("", "2026-01-01 08:00:00")],
)
def test_every_date_of_a_message_has_its_offset(offset: str, time: str) -> None:
    """TIMEZONE_OFFSET goes before the account's zone, for sale, message and license alike."""
    order = Order(
        sale_date="2026-01-01 10:00:00",
        ipn_date="20260101100000",
        lines=[Line(expires="2026-01-01 10:00:00")],
        extra=[("TIMEZONE_OFFSET", offset)],
    )
    event = event_of(order)

    assert [event.placed_at, event.at, event.items[0].expires_at] == [utc(time)] * 3


@pytest.mark.parametrize("sale_date", ["", "0000-00-00 00:00:00"])
def test_a_sale_without_a_date_is_dated_by_its_message(sale_date: str) -> None:
    """Something must say which of two orders came first."""
    event = event_of(Order(sale_date=sale_date))

    assert event.placed_at == event.at


def test_each_line_is_an_item() -> None:
    """The i-th element of each array describes the i-th line."""
    [event] = parse(vector("synthetic/ipn-two-products")["fields"]).events

    assert event.items == (
        Item(line="101#1", product_id="101", product_name="Alpha", subscription_ref="AAAAAAAAAA", lifetime=True),
        Item(
            line="102#1",
            product_id="102",
            product_name="Beta",
            quantity=3,
            subscription_ref="BBBBBBBBBB",
            expires_at=utc("2026-12-31 22:00:00"),
        ),
    )


def test_lines_of_one_product_are_numbered() -> None:
    """A line is known by its product and its place among the lines of that product, wherever others stand."""
    again = Line(ref="CCCCCCCCCC")

    assert [item.line for item in items_of(Order(lines=[ALPHA, BETA, again]))] == ["101#1", "102#1", "101#2"]
    assert [item.line for item in items_of(Order(lines=[BETA, ALPHA, again]))] == ["102#1", "101#1", "101#2"]


@pytest.mark.parametrize(
    ("lines", "products", "refs"),
    [
        pytest.param(["101", "102"], ["101", "102"], ["A", "B"], id="in the lines' order"),
        pytest.param(["101", "102"], ["102", "101"], ["B", "A"], id="in another order"),
        pytest.param(["101", "102", "101"], ["101", "101", "102"], ["A", "C", "B"], id="ordered by product"),
        pytest.param(["101", "102"], ["102"], ["", "A"], id="fewer than lines"),
        pytest.param(["101", "102"], ["103", "101", "102"], ["B", "C"], id="more than lines"),
        pytest.param(["101", "102", "103"], ["555", "103", "102"], ["A", "C", "B"], id="a bundle's, at its place"),
        pytest.param(["101", "102"], ["", ""], ["A", "B"], id="blank, so the place decides"),
        pytest.param(["101", "102"], [], ["A", "B"], id="absent, so the place decides"),
    ],
)
def test_licenses_belong_to_the_product_they_name(lines: list[str], products: list[str], refs: list[str]) -> None:
    """IPN_LICENSE_PROD[] says whose license it is; nothing says that it has one element per line."""
    order = Order(
        lines=[Line(pid=pid) for pid in lines],
        without=["IPN_LICENSE_PROD[]", "IPN_LICENSE_EXP[]", "IPN_LICENSE_LIFETIME[]"],
        extra=[
            *(("IPN_LICENSE_PROD[]", product) for product in products),
            *(("IPN_LICENSE_REF[]", ref) for ref in "ABC"[: len(products or lines)]),
        ],
    )

    assert [item.subscription_ref for item in items_of(order)] == refs


@pytest.mark.parametrize("quantity", ["1", "2", "100", "999999999"])
def test_quantities(quantity: str) -> None:
    """A whole number from 1."""
    item = item_of(Line(quantity=quantity))

    assert (item.quantity, item.problem) == (int(quantity), "")


@pytest.mark.parametrize("quantity", ["", "0", "-1", "+1", "1.5", "1,000", "01", " 1", "1e3", "abc", "1000000000"])
def test_a_quantity_that_is_no_whole_number_is_a_problem_of_its_line(quantity: str) -> None:
    """The other line of the order is as good as ever."""
    broken, whole = items_of(Order(lines=[Line(quantity=quantity), BETA]))

    assert f"IPN_QTY is {quantity!r}" in broken.problem
    assert whole.problem == ""


@pytest.mark.parametrize("name", ["IPN_QTY[]", "IPN_PNAME[]", "IPN_LICENSE_REF[]", "IPN_LICENSE_EXP[]"])
def test_arrays_that_belong_together_have_one_length(name: str) -> None:
    """Every line has an element in each array: which one is missing cannot be guessed."""
    with pytest.raises(MalformedNotification, match="differ in length"):
        items_of(Order(lines=[ALPHA, BETA], without=[name], extra=[(name, "2")]))


@pytest.mark.parametrize(("ref", "kept"), [(" AAAAAAAAAA ", "AAAAAAAAAA"), ("", ""), ("X" * 50, "X" * 50)])
def test_subscription_references(ref: str, kept: str) -> None:
    """Blanks around a reference are not part of it, and before payment there is none."""
    item = item_of(Line(ref=ref))

    assert (item.subscription_ref, item.problem) == (kept, "")


@pytest.mark.parametrize("ref", ["X" * 51, "A B", "Ä", "<b>", "A\nB"])
def test_a_strange_subscription_reference_is_a_problem_of_its_line(ref: str) -> None:
    """It is not taken for the name of a subscription."""
    item = item_of(Line(ref=ref))

    assert item.subscription_ref == ""
    assert "IPN_LICENSE_REF" in item.problem


@pytest.mark.parametrize(
    ("expires", "time"),
    [
        ("2027-01-01 00:00:00", "2026-12-31 22:00:00"),
        ("2027-07-01 00:00:00", "2027-06-30 21:00:00"),
        ("2027-01-01", "2027-01-01 21:59:59"),
    ],
)
def test_expiries(expires: str, time: str) -> None:
    """A wall time of the account, in summer and in winter; a day lasts until its end."""
    assert item_of(Line(expires=expires)).expires_at == utc(time)


@pytest.mark.parametrize("expires", ["", "0000-00-00 00:00:00"])
def test_a_line_may_come_without_an_expiry(expires: str) -> None:
    """2Checkout sends none while it waits for our confirmation, which is neither a lifetime nor a problem."""
    item = item_of(Line(expires=expires))

    assert (item.expires_at, item.lifetime, item.problem) == (None, False, "")


@pytest.mark.parametrize(
    "line",
    [
        Line(expires="9999-12-31 23:59:59", lifetime="NO"),
        Line(expires="9999-12-31", lifetime=""),
        Line(expires="2027-01-01 00:00:00", lifetime="YES"),
        Line(expires="", lifetime="yes"),
    ],
)
def test_lifetimes(line: Line) -> None:
    """Either the year 9999 or YES means that the license does not expire."""
    item = item_of(line)

    assert (item.expires_at, item.lifetime, item.problem) == (None, True, "")


@pytest.mark.parametrize("lifetime", ["1", "TRUE", "2027-01-01", "YES "])
def test_a_line_that_is_neither_for_life_nor_not_is_a_problem(lifetime: str) -> None:
    """The other line of the order is as good as ever."""
    broken, whole = items_of(Order(lines=[Line(lifetime=lifetime), BETA]))

    assert broken.problem == f"IPN_LICENSE_LIFETIME is {lifetime!r}, neither YES nor NO."
    assert whole.problem == ""


def test_an_expiry_that_is_no_date_is_a_problem_of_its_line() -> None:
    """It is not taken for a license that never ends."""
    item = item_of(Line(expires="2027-02-30 00:00:00"))

    assert (item.expires_at, item.lifetime) == (None, False)
    assert "IPN_LICENSE_EXP: '2027-02-30 00:00:00' is no date" in item.problem


def test_a_line_may_have_several_problems() -> None:
    """All are told at once."""
    item = item_of(Line(quantity="0", ref="?", expires="?"))

    assert all(name in item.problem for name in ("IPN_QTY", "IPN_LICENSE_REF", "IPN_LICENSE_EXP"))


def test_options_are_those_of_the_lines_product() -> None:
    """The fields of a product's options have its id in their names; blank values are no choice."""
    options = [
        ("IPN_PRODUCT_OPTIONS_101_TEXT[]", "Seats"),
        ("IPN_PRODUCT_OPTIONS_101_VALUE[]", "10"),
        ("IPN_PRODUCT_OPTIONS_101_VALUE[]", ""),
        ("IPN_PRODUCT_OPTIONS_101_VALUE[]", "gold"),
        ("IPN_PRODUCT_OPTIONS_1_VALUE[]", "of another product"),
    ]

    assert [item.options for item in items_of(Order(lines=[ALPHA, BETA], extra=options))] == [("10", "gold"), ()]


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["gold", "blue"], [("gold",), ("blue",)]),
        (["gold", "phone", "blue", ""], [("gold", "phone"), ("blue",)]),
        ([], [(), ()]),
    ],
)
def test_lines_of_one_product_have_each_their_options(
    values: Sequence[str], options: Sequence[tuple[str, ...]]
) -> None:
    """2Checkout lists the options of a product one line after the other."""
    chosen = [("IPN_PRODUCT_OPTIONS_101_VALUE[]", value) for value in values]

    assert [item.options for item in items_of(Order(lines=[ALPHA, Line(ref="B")], extra=chosen))] == options


def test_options_that_cannot_be_shared_out_are_a_problem_of_their_lines() -> None:
    chosen = [("IPN_PRODUCT_OPTIONS_101_VALUE[]", value) for value in ("gold", "blue", "teal")]
    first, other, second = items_of(Order(lines=[ALPHA, BETA, Line(ref="B")], extra=chosen))

    assert [item.options for item in (first, second)] == [(), ()]
    assert all("its options do not tell which line they are for" in item.problem for item in (first, second))
    assert other.problem == ""


@pytest.mark.parametrize(
    ("without", "names"),
    [
        (["REFNO"], "REFNO"),
        (["ORDERSTATUS"], "ORDERSTATUS"),
        (["IPN_DATE"], "IPN_DATE"),
        (["IPN_PNAME[]"], "IPN_PNAME"),
        (["REFNO", "ORDERSTATUS"], "ORDERSTATUS, REFNO"),
    ],
)
def test_a_missing_field_is_named_with_what_to_do(without: Sequence[str], names: str) -> None:
    """Each field is a tick box of the merchant's account."""
    with pytest.raises(MalformedNotification, match=f"lacks {names}: tick it under Response Tags"):
        parse(Order(without=without).fields())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("REFNO", value) for value in ("", "abc", "-1", "1" * 21, "1\n", " 1")),
        *(("ORDERSTATUS", value) for value in ("", "X" * 65, "COMPLETE\n")),
        *(("IPN_DATE", value) for value in ("", "2026-01-01", "20261301000000", "202601010000000", "20260101000000\n")),
        *(("IPN_PID[]", value) for value in ("", "abc", "10 1", "101_gold", "101\n", "-1", "\u0661", "1" * 21)),
        *(("TEST_ORDER", value) for value in ("2", "YES")),
        ("TIMEZONE_OFFSET", "Europe/Bucharest"),
        ("SALEDATE", "yesterday"),
    ],
)
def test_a_field_that_decides_something_is_not_guessed_at(name: str, value: str) -> None:
    """The refusal names the field."""
    with pytest.raises(MalformedNotification, match=name.removesuffix("[]")):
        parse(Order(extra=[(name, value)]).fields())


@pytest.mark.parametrize("names", [("Alpha",), ("Alpha", "Beta", "Gamma")])
def test_each_product_has_its_name(names: Sequence[str]) -> None:
    """2Checkout always sends both arrays, so a message with more of one is not its own."""
    order = Order(lines=[ALPHA, BETA], extra=[("IPN_PNAME[]", name) for name in names])

    with pytest.raises(MalformedNotification, match="IPN_PNAME"):
        parse(order.fields())


def test_a_receipt_is_about_the_first_line_byte_for_byte() -> None:
    """Nothing is trimmed, and other lines do not count."""
    form = read_form(Order(lines=[Line(name=" Größe <1> "), BETA]).fields())

    assert ipn.receipt_values(form) == ("101", " Größe <1> ", "20260101100500")


TEXTS = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?", fullmatch=True)
    | st.from_regex(r"(GMT|UTC)[+-][0-9]{1,2}:?[0-9]{2}", fullmatch=True)
    | st.from_regex(r"[0-9]{1,22}", fullmatch=True)
    | st.sampled_from(["", "0", "1", "YES", "9999-12-31", "0000-00-00", "COMPLETE"])
)
REVIEWS = ("TEST_ORDER", "FRAUD_STATUS", "CHARGEBACK_RESOLUTION", "TIMEZONE_OFFSET")
NAMES = sorted({name for name, _ in Order().fields()}.union(REVIEWS))


@given(changes=st.dictionaries(st.sampled_from(NAMES), st.lists(TEXTS, max_size=3)))
@settings(deadline=None)
def test_whatever_the_values_are_they_are_read_or_malformed(changes: dict[str, list[str]]) -> None:
    """No other exception comes out of any values, and what is read can be receipted; times are aware."""
    values = [(name, value) for name, texts in changes.items() for value in (texts if "[" in name else texts[:1])]
    form = read_form(Order(lines=[ALPHA, BETA], without=list(changes), extra=values).fields())
    try:
        message = ipn.parse(form, BUCHAREST)
    except MalformedNotification:
        return
    times = [time for event in message.events for time in (event.at, event.placed_at)]

    assert len(ipn.receipt_values(form)) == 3
    assert [time for time in times if time.utcoffset() is None] == []
