"""What the signature does not protect: names and boundaries are changed so that it still fits, and nothing comes of it.

Source: 2Checkout, "Calculate the IPN HASH signature": values are signed, each behind its length, in the order sent.
So their names are not signed, and the same bytes can often be cut into other values.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from qlmhook_avangate.vendor import Avangate

from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.errors import Refused
from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.vendors.testing import make_notification
from tests.conftest import KEY, Clock, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import SIGNATURES, Fields, digest, form_body, signed, vector, without_signatures

Pairs = list[tuple[str, str]]
Mutate = Callable[[Fields], Pairs]

NAMES = st.sampled_from(
    [
        *("REFNO", "ORDERSTATUS", "IPN_DATE", "IPN_PID[]", "IPN_PNAME[]", "IPN_QTY[]", "IPN_PRICE[]", "IPN_TOTAL[]"),
        *("IPN_LICENSE_PROD[]", "IPN_LICENSE_REF[]", "IPN_LICENSE_EXP[]", "IPN_LICENSE_START[]"),
        *("IPN_LICENSE_LIFETIME[]", "SALEDATE", "TIMEZONE_OFFSET", "TEST_ORDER", "FRAUD_STATUS", "REFUND_TYPE"),
        *("CHARGEBACK_RESOLUTION", "VENDOR_CODE", "CUSTOMEREMAIL", "EMAIL_D", "FIRSTNAME", "LASTNAME", "COMPANY"),
        *("LICENSE_CODE", "EXPIRATION_DATE", "EXPIRATION_DATE_TIME", "DATE_UPDATED", "LICENSE_PRODUCT", "STATUS"),
        *("LICENSE_LIFETIME", "DISABLED", "EXPIRED", "TEST", "PAUSE_START_DATE", "PAUSE_END_DATE", "EMAIL"),
        *("FIRST_NAME", "LAST_NAME", "IPN_PID", "IPN_PID[0]", "IPN_QTY[1]", "refno", "X", "HASH", "SIGNATURE_SHA2_256"),
    ]
)
"""What decides something, in either kind of message, and what does not."""


@pytest.fixture
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a message may say is decided before anything is stored."""
    return f"sqlite:///{tmp_path_factory.mktemp('mutations') / 'test.db'}"


def lengths_and_values(values: Sequence[str]) -> bytes:
    """What is signed."""
    return b"".join(str(len(value.encode())).encode() + value.encode() for value in values)


def decodings(octets: bytes) -> dict[int, list[int]]:
    """For each place where a value may begin: where it may end, so that the rest can be cut into values as well."""
    ends: dict[int, list[int]] = {len(octets): []}
    for place in reversed(range(len(octets))):
        found = []
        for match in (re.match(rb"0|[1-9][0-9]{%d}" % more, octets[place : place + 4]) for more in range(3)):
            end = place + len(match[0]) + int(match[0]) if match else -1
            if match and end in ends and _is_text(octets[place + len(match[0]) : end]):
                found.append(end)
        if found:
            ends[place] = sorted(set(found))
    return ends


def _is_text(octets: bytes) -> bool:
    try:
        return "\0" not in octets.decode()
    except UnicodeDecodeError:
        return False


def value_at(octets: bytes, place: int, end: int) -> str:
    """The value between two places, without the length before it."""
    digits = next(n for n in range(1, 4) if octets[place : place + n] == str(end - place - n).encode())
    return octets[place + digits : end].decode()


FULL = Order(
    refno="900000001",
    email="a@example.com",
    lines=[Line(quantity="3")],
    extra=[
        ("COMPANY", "X19mallory@example.com410001x"),
        ("EMAIL_D", "b@example.com"),
        ("IPN_PCODE[]", "102"),
        ("IPN_LICENSE_START[]", "2026-01-01 10:00:00"),
        ("PAYMENTDATE", "2026-01-01 10:00:05"),
        ("MESSAGE_TYPE", "COMPLETE"),
        ("TEST_ORDER", "0"),
        ("FRAUD_STATUS", "APPROVED"),
        ("CHARGEBACK_RESOLUTION", "NONE"),
    ],
)
"""An order with most of what could be taken for something else; the customer typed lengths into the company."""

CHANGE: Fields = [
    ("FIRST_NAME", "Ann"),
    ("LAST_NAME", "Smith"),
    ("EMAIL", "a@example.com"),
    ("LICENSE_CODE", "AAAAAAAAAA"),
    ("EXPIRATION_DATE", "2028-01-01"),
    ("START_DATE", "2026-01-01"),
    ("DATE_UPDATED", "2026-01-01 11:00:00"),
    ("TEST", "0"),
    ("DISABLED", "0"),
    ("RECURRING", "1"),
    ("LICENSE_PRODUCT", "101"),
    ("STATUS", "ACTIVE"),
    ("EXPIRED", "0"),
    ("ORIGINAL_ORDER_REFERENCE", "900000001"),
]
"""A change of that order's subscription."""


def rename(**names: str) -> Mutate:
    """Give fields other names; `IPN_PID` stands for `IPN_PID[]` as well."""

    def mutate(fields: Fields) -> Pairs:
        assert any(name.removesuffix("[]") in names for name, _ in fields)
        return [(names.get(name.removesuffix("[]"), name), value) for name, value in fields]

    return mutate


def swap(first: str, second: str) -> Mutate:
    """Exchange the names of two fields."""

    def mutate(fields: Fields) -> Pairs:
        assert {first, second} <= {name for name, _ in fields}
        return [({first: second, second: first}.get(name, name), value) for name, value in fields]

    return mutate


def cut_the_company_into_fields(fields: Fields) -> Pairs:
    """29 bytes follow the digits 29: or two bytes follow the digit 2, then an address, a quantity and a rest."""
    instead = [("REST1", "9X"), ("CUSTOMEREMAIL", "mallory@example.com"), ("IPN_QTY[]", "1000"), ("REST2", "x")]
    moved = {"CUSTOMEREMAIL": "OLD1", "IPN_QTY[]": "OLD2"}
    place = next(index for index, (name, _) in enumerate(fields) if name == "COMPANY")
    before, after = ([(moved.get(name, name), value) for name, value in part] for part in _around(fields, place))
    return [*before, *instead, *after]


def _around(fields: Fields, place: int) -> tuple[Fields, Fields]:
    return fields[:place], fields[place + 1 :]


AS_LCN = rename(
    IPN_PID="X1", IPN_LICENSE_REF="LICENSE_CODE", IPN_LICENSE_START="EXPIRATION_DATE", SALEDATE="DATE_UPDATED"
)
AS_IPN = rename(
    LICENSE_CODE="IPN_LICENSE_REF[]",
    LICENSE_PRODUCT="IPN_PID[]",
    FIRST_NAME="IPN_PNAME[]",
    ORIGINAL_ORDER_REFERENCE="REFNO",
    STATUS="ORDERSTATUS",
    EXPIRATION_DATE="IPN_LICENSE_EXP[]",
    EMAIL="CUSTOMEREMAIL",
    DATE_UPDATED="IPN_DATE",
)

READABLE: dict[str, tuple[Fields, Mutate]] = {
    "another customer": (FULL.fields(), swap("CUSTOMEREMAIL", "EMAIL_D")),
    "another name": (FULL.fields(), swap("FIRSTNAME", "LASTNAME")),
    "no customer": (FULL.fields(), rename(CUSTOMEREMAIL="X")),
    "another quantity": (FULL.fields(), swap("IPN_QTY[]", "ORDERNO")),
    "no quantity": (FULL.fields(), rename(IPN_QTY="X[]")),
    "another product": (FULL.fields(), swap("IPN_PID[]", "IPN_PCODE[]")),
    "another end": (FULL.fields(), swap("IPN_LICENSE_EXP[]", "IPN_LICENSE_START[]")),
    "no end": (FULL.fields(), rename(IPN_LICENSE_EXP="X[]")),
    "no subscription": (FULL.fields(), rename(IPN_LICENSE_REF="X[]")),
    "another order": (FULL.fields(), swap("REFNO", "ORDERNO")),
    "another day of sale": (FULL.fields(), swap("SALEDATE", "PAYMENTDATE")),
    "a test": (
        FULL.changed(extra=[("TEST_ORDER", "0"), ("GIFT_ORDER", "1")]).fields(),
        swap("TEST_ORDER", "GIFT_ORDER"),
    ),
    "in a review": (FULL.fields(), rename(COUNTRY="FRAUD_STATUS", FRAUD_STATUS="COUNTRY")),
    "lost to a chargeback": (
        FULL.changed(extra=[("CHARGEBACK_RESOLUTION", "NONE"), ("REFUND_REASON", "LOST")]).fields(),
        swap("CHARGEBACK_RESOLUTION", "REFUND_REASON"),
    ),
    "a review dropped": (FULL.changed(extra=[("FRAUD_STATUS", "UNDER REVIEW")]).fields(), rename(FRAUD_STATUS="X")),
    "a chargeback dropped": (
        FULL.changed(extra=[("CHARGEBACK_RESOLUTION", "OPEN")]).fields(),
        rename(CHARGEBACK_RESOLUTION="X"),
    ),
    "other boundaries": (FULL.fields(), cut_the_company_into_fields),
    "numbered arrays": (FULL.fields(), rename(IPN_QTY="IPN_QTY[0]")),
    "an order as a change": (FULL.fields(), AS_LCN),
    "a change with another end": (CHANGE, swap("EXPIRATION_DATE", "START_DATE")),
    "a change with no end": (CHANGE, rename(EXPIRATION_DATE="X")),
    "a change that stops": (CHANGE, swap("DISABLED", "RECURRING")),
    "a change that expires": (CHANGE, swap("EXPIRED", "RECURRING")),
    "a change of another product": (CHANGE, swap("LICENSE_PRODUCT", "ORIGINAL_ORDER_REFERENCE")),
    "a change of another subscription": (CHANGE, swap("LICENSE_CODE", "LICENSE_PRODUCT")),
    "a change with another customer": (CHANGE, swap("FIRST_NAME", "LAST_NAME")),
}
"""Messages that say something else under the same signature, and that could be true."""

UNREADABLE: dict[str, tuple[Fields, Mutate]] = {
    "no order": (FULL.fields(), rename(REFNO="X")),
    "no status": (FULL.fields(), rename(ORDERSTATUS="X")),
    "no date": (FULL.fields(), rename(IPN_DATE="X")),
    "no product": (FULL.fields(), rename(IPN_PID="X")),
    "no product's name": (FULL.fields(), rename(IPN_PNAME="X[]")),
    "a product that is no array": (FULL.fields(), rename(IPN_PID="IPN_PID")),
    "a quantity that is no array": (FULL.fields(), rename(IPN_QTY="IPN_QTY")),
    "a customer that is an array": (FULL.fields(), rename(CUSTOMEREMAIL="CUSTOMEREMAIL[]")),
    "an array that begins with 1": (FULL.fields(), rename(IPN_QTY="IPN_QTY[1]")),
    "lower case": (FULL.fields(), rename(REFNO="refno")),
    "two orders": (FULL.fields(), rename(ORDERNO="REFNO")),
    "two customers": (FULL.fields(), rename(EMAIL_D="CUSTOMEREMAIL")),
    "two quantities": (FULL.fields(), rename(IPN_PCODE="IPN_QTY[]")),
    "a name with and without brackets": (FULL.fields(), rename(IPN_PCODE="REFNO[]")),
    "both kinds": (FULL.fields(), rename(IPN_LICENSE_REF="LICENSE_CODE")),
    "neither kind": (CHANGE, rename(LICENSE_CODE="X")),
    "an order that is a word": (FULL.fields(), swap("REFNO", "ORDERSTATUS")),
    "a product that is a date": (FULL.fields(), swap("IPN_PID[]", "IPN_LICENSE_EXP[]")),
    "a day of sale that is a name": (FULL.fields(), swap("SALEDATE", "FIRSTNAME")),
    "a message's date that is a day of sale": (FULL.fields(), swap("IPN_DATE", "SALEDATE")),
    "a test that is a word": (FULL.fields(), swap("TEST_ORDER", "FRAUD_STATUS")),
    "a change as an order": (CHANGE, AS_IPN),
    "a change without its end": (CHANGE, swap("EXPIRATION_DATE", "EMAIL")),
    "a change with a flag that is a number": (CHANGE, swap("DISABLED", "LICENSE_PRODUCT")),
    "a change with a status that is a date": (CHANGE, swap("STATUS", "DATE_UPDATED")),
}
"""Messages that no shop would send, under the signature of one that it did."""

HARMLESS: dict[str, tuple[Fields, Mutate]] = {
    "a quantity that is a price": (
        FULL.changed(extra=[("IPN_PRICE[]", "29.00")]).fields(),
        swap("IPN_QTY[]", "IPN_PRICE[]"),
    ),
    "a quantity beyond reason": (FULL.fields(), swap("IPN_QTY[]", "REFNO")),
    "an end that is a name": (FULL.fields(), swap("IPN_LICENSE_EXP[]", "IPN_PNAME[]")),
    "a subscription that is a date": (FULL.fields(), swap("IPN_LICENSE_REF[]", "IPN_LICENSE_START[]")),
    "a status that is a name": (FULL.fields(), swap("ORDERSTATUS", "FIRSTNAME")),
    "a fraud status that is a name": (FULL.fields(), swap("FRAUD_STATUS", "FIRSTNAME")),
    "a product nobody sells": (FULL.fields(), swap("IPN_PID[]", "ORDERNO")),
    "an order as a change": (FULL.fields(), AS_LCN),
}
"""Messages that could be a shop's, but that nothing can be made of."""


def mutated(fields: Fields, mutate: Mutate) -> bytes:
    """The body of the message under other names, with the signature of the genuine one, which still fits."""
    genuine = signed(fields, KEY, ["sha256", "sha3_256"])
    other = mutate(fields)
    assert lengths_and_values([value for _, value in other]) == lengths_and_values([value for _, value in fields])
    return form_body([*other, *genuine[len(fields) :]])


def everything(shop: Shop) -> dict[str, list[tuple[object, ...]]]:
    """All that is in the database, but the alerts and their number."""
    with shop.service.database.reading():
        tables = set(models.TABLES) - {models.OperatorTold, models.Tally}
        queries: dict[str, Any] = {table.__name__: table.select() for table in tables}
        queries["Outbox"] = models.Outbox.select().where(models.Outbox.kind != "alert")
        return {name: list(query.tuples()) for name, query in queries.items()}


def alerts(shop: Shop) -> list[str]:
    with shop.service.database.reading():
        return [row["subject"] for row in listings.outbox_rows() if row["kind"] == "alert"]


def mapped(shop: Shop) -> Shop:
    """Every product that a message of this module might name is for sale."""
    for product in ("101", "102"):
        shop.map(product)
    return shop


@pytest.fixture
def sold(shop: Shop) -> Shop:
    """A shop that has sold something already, so that there is something to change."""
    mapped(shop)
    assert shop.post(Order(refno="900000009", ipn_date="20260101090000").fields()).status_code == 200
    return shop


@pytest.mark.parametrize(
    ("fields", "mutate"), [*READABLE.values(), *UNREADABLE.values()], ids=[*READABLE.keys(), *UNREADABLE.keys()]
)
def test_after_the_genuine_message_nothing_else_counts(sold: Shop, fields: Fields, mutate: Mutate) -> None:
    """What was signed once has one meaning: any other is refused without a receipt, and nothing is changed."""
    assert sold.post(fields).status_code == 200
    before = everything(sold)

    answer = sold.post_body(mutated(fields, mutate))

    assert answer.status_code == 403
    assert "<sig" not in answer.text
    assert everything(sold) == before


def test_the_operator_is_alerted_once(sold: Shop) -> None:
    """However many forgeries come."""
    mutations = [mutate for fields, mutate in READABLE.values() if fields == FULL.fields()]
    sold.post(FULL.fields())

    for mutate in mutations * 2:
        sold.post_body(mutated(FULL.fields(), mutate))

    assert len(mutations) > 10
    [alert] = alerts(sold)
    assert alert.startswith("A notification of avangate is refused. The signature is that of notification")


def test_the_genuine_message_still_counts_as_a_copy(sold: Shop) -> None:
    """A forgery in between does not make it one."""
    sold.post(FULL.fields())
    sold.post_body(mutated(FULL.fields(), swap("CUSTOMEREMAIL", "EMAIL_D")))

    assert sold.post(FULL.fields()).status_code == 200
    with sold.service.database.reading():
        assert [row["copies"] for row in listings.notifications(order=FULL.refno)] == [2]


@pytest.mark.parametrize(("fields", "mutate"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_message_of_no_shop_is_refused_even_when_nobody_has_seen_the_genuine_one(
    sold: Shop, fields: Fields, mutate: Mutate
) -> None:
    """Without a receipt; it is kept for the operator, and nothing comes of it."""
    before = everything(sold)

    answer = sold.post_body(mutated(fields, mutate))

    after = everything(sold)
    kept = {"Notification", "Hold", "KeyUse"}
    assert answer.status_code == 400
    assert "<sig" not in answer.text
    assert {table for table in after if after[table] != before[table]} - kept == set()
    assert len(alerts(sold)) == 1


@pytest.mark.parametrize(("fields", "mutate"), HARMLESS.values(), ids=HARMLESS.keys())
def test_a_doubtful_message_makes_no_license(shop: Shop, fields: Fields, mutate: Mutate) -> None:
    """Even when nobody has seen the genuine one: it is held or ignored."""
    mapped(shop)

    answer = shop.post_body(mutated(fields, mutate))

    assert answer.status_code in (200, 400)
    with shop.service.database.reading():
        assert [row["state"] for row in listings.notifications()] in (["held"], ["ignored"])
        assert listings.licenses(now=shop.clock()) == []


@pytest.mark.parametrize(
    ("kind", "fields", "mutate"),
    [("ipn", FULL.fields(), AS_LCN), ("lcn", CHANGE, AS_IPN), ("ipn", FULL.fields(), rename(ORDERNO="LICENSE_CODE"))],
    ids=["an order as a change", "a change as an order", "an order as both"],
)
def test_at_an_endpoint_of_its_own_a_message_cannot_be_relabelled(
    open_shop: OpenShop, kind: str, fields: Fields, mutate: Mutate
) -> None:
    """The endpoint's key for the one kind proves nothing about the other, even when nobody has seen the message."""
    shop = open_shop(
        vendors__avangate__shared_keys="another-Secret2!", **{f"vendors__avangate__endpoints__beta__{kind}_keys": KEY}
    )
    mapped(shop)

    answer = shop.post_body(mutated(fields, mutate))

    assert answer.status_code == 403
    with shop.service.database.reading():
        assert listings.notifications() == []


REAL = [
    without_signatures(vector(name)["fields"])
    for name in (
        "ipn-sdk-99999999-complete-251610655414",
        "lcn-workato-sample",
        "synthetic/ipn-two-products",
        "synthetic/ipn-utf8",
        "synthetic/ipn-special-chars",
    )
]
GENUINE = [FULL.fields(), CHANGE, *REAL]


@st.composite
def mutations(draw: st.DrawFn) -> tuple[int, Pairs]:
    """The number of a genuine message, and it under other names and boundaries, with the same signed bytes."""
    number = draw(st.integers(0, len(GENUINE) - 1))
    genuine = GENUINE[number]
    names, values = ([pair[part] for pair in genuine] for part in (0, 1))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(values) - 1))
        until = draw(st.integers(place + 1, min(place + 12, len(values))))
        cut = _cut_anew(draw, lengths_and_values(values[place:until]))
        fitting = [*names[place:until], *(["X[]"] * len(cut))][: len(cut)]
        values[place:until], names[place:until] = cut, fitting
    for _ in range(draw(st.integers(0, 3))):
        first, second = (draw(st.integers(0, len(names) - 1)) for _ in range(2))
        names[first], names[second] = names[second], names[first]
    for _ in range(draw(st.integers(0, 4))):
        names[draw(st.integers(0, len(names) - 1))] = draw(NAMES)
    other = list(zip(names, values, strict=True))
    assume(other != list(genuine))
    return number, other


def _cut_anew(draw: st.DrawFn, octets: bytes) -> list[str]:
    ends = decodings(octets)
    place, values = 0, []
    while place < len(octets):
        end = draw(st.sampled_from(ends[place]))
        values.append(value_at(octets, place, end))
        place = end
    return values


@pytest.fixture(scope="module")
def sold_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for all examples, which has every genuine message."""
    path = tmp_path_factory.mktemp("sold_out") / "qlmhook.toml"
    path.write_text(f'worker = false\n[vendors.avangate]\nshared_keys = ["{KEY}"]\n', encoding="utf-8")
    shop = mapped(Shop(load_settings({CONFIG_VARIABLE: str(path)}), Clock()))
    shop.map("37179430")
    for fields in GENUINE:
        assert shop.post(fields, query="").status_code == 200
    yield shop
    shop.service.database.close()


@given(mutation=mutations())
@settings(max_examples=120, deadline=None)
def test_no_mutation_of_a_known_message_changes_anything(sold_out: Shop, mutation: tuple[int, Pairs]) -> None:
    """Of real messages and of others, with names changed, exchanged and dropped, and values cut in other places."""
    number, other = mutation
    signature = (SIGNATURES["sha3_256"], digest(KEY, [value for _, value in GENUINE[number]], "sha3_256"))
    before = everything(sold_out)

    answer = sold_out.post_body(form_body([*other, signature]), query="")

    assert answer.status_code in (400, 403)
    assert "<sig" not in answer.text
    assert everything(sold_out) == before


@given(mutation=mutations())
@settings(max_examples=200, deadline=None)
def test_nothing_is_believed_that_is_not_signed(mutation: tuple[int, Pairs]) -> None:
    """Whatever a mutated message says of customer, product, quantity and dates stands in the signed text."""
    number, other = mutation
    text = lengths_and_values([value for _, value in GENUINE[number]]).decode()
    try:
        message = Avangate("shop", {"shared_keys": [KEY]}).parse(make_notification(form_body(other)))
    except Refused:
        return
    told = [message.order_ref, message.subscription_ref, message.merchant]
    days: list[datetime] = []
    for event in message.events:
        told += vars(event.customer).values()
        for item in event.items:
            told += [item.product_id, item.product_name, item.subscription_ref, *item.options]
            told += [str(item.quantity)] if item.quantity != 1 else []
            days += [item.expires_at] if item.expires_at else []

    assert [part for part in told if part not in text] == []
    assert [day for day in days if not _stands_in(text, day)] == []


def _stands_in(text: str, when: datetime) -> bool:
    """Whether a text has the date of a time, in whatever zone that is meant."""
    found = re.findall(r"(?=([12]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])))", text)
    days = [date.fromisoformat(day) for day in found]
    return any(abs((when.date() - day).days) <= 1 for day in days)
