"""The form parser: what is signed arrives untouched, and what is no form is refused."""

from collections.abc import Callable
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmhook.errors import MalformedNotification, TooLarge
from qlmhook.vendors import read_form
from qlmhook.vendors.form_body import MAX_FIELDS, MAX_VALUE, parse_form

Quote = Callable[[str], bytes]

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
FORMS = st.lists(st.tuples(st.text(CHARACTERS, min_size=1), st.text(CHARACTERS)), min_size=1)
PIECES = st.sampled_from([b"a", b"1", b"=", b"&", b"+", b"%", b"%C3", b"%a9", b"\xc3", b"\xa9", b"%00", b"\0", b"[]"])


def as_a_browser(text: str) -> bytes:
    return quote_plus(text).encode("ascii")


def every_byte_in_lower_case(text: str) -> bytes:
    return "".join(f"%{octet:02x}" for octet in text.encode()).encode("ascii")


def as_little_as_possible(text: str) -> bytes:
    return text.translate({ord(character): f"%{ord(character):02X}" for character in "%&=+"}).encode()


@pytest.mark.parametrize("quote", [as_a_browser, every_byte_in_lower_case, as_little_as_possible])
@given(fields=FORMS)
@settings(deadline=None)
def test_every_form_comes_back_as_it_was_sent(quote: Quote, fields: list[tuple[str, str]]) -> None:
    """Order, repeats, blanks and every character survive, however much of them is percent-encoded."""
    body = b"&".join(quote(name) + b"=" + quote(value) for name, value in fields)

    assert parse_form(body) == tuple(fields)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param(b"a&b=1", (("a", ""), ("b", "1")), id="a name alone has a blank value"),
        pytest.param(b"a=b=c", (("a", "b=c"),), id="only the first equals sign ends the name"),
        pytest.param(b"a=1;b=2", (("a", "1;b=2"),), id="a semicolon separates nothing"),
        pytest.param(b"&a=1&&b=2&", (("a", "1"), ("b", "2")), id="nothing between two separators is no field"),
    ],
)
def test_the_letter_of_the_form_encoding(body: bytes, fields: tuple[tuple[str, str], ...]) -> None:
    """What browsers do not send is read by the encoding's rules."""
    assert parse_form(body) == fields


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "empty"),
        (b"&&", "empty"),
        (b"a=1&=2", "Field 2 of the form has no name"),
        (b"a=1&b=%", "Field 2 of the form has broken percent-encoding"),
        (b"a=%4", "broken percent-encoding"),
        (b"a=%4g", "broken percent-encoding"),
        (b"%zz=1", "broken percent-encoding"),
        (b"a=%ff", "not UTF-8"),
        (b"a=\xff", "not UTF-8"),
        (b"%C3=%A9", "not UTF-8"),
        (b"a=%C0%80", "not UTF-8"),
        (b"a=%ED%A0%80", "not UTF-8"),
        (b"a=%00", "NUL"),
        (b"\0=1", "NUL"),
    ],
)
def test_what_is_no_form_is_malformed(body: bytes, complaint: str) -> None:
    """The refusal says what is the matter, and with which field."""
    with pytest.raises(MalformedNotification, match=complaint):
        parse_form(body)


@pytest.mark.parametrize("body", [b"planted=planted%", b"planted=planted%ff", b"planted=planted%00", b"=planted"])
def test_a_refusal_repeats_nothing_of_the_body(body: bytes) -> None:
    """Fields are named by their numbers, so that nothing of a customer gets into answers and logs."""
    with pytest.raises(MalformedNotification) as refusal:
        parse_form(body)

    assert "planted" not in str(refusal.value)


def test_as_many_fields_as_the_limit_are_read() -> None:
    """5,000 fields are read."""
    assert len(parse_form(b"&".join([b"a=1"] * MAX_FIELDS))) == MAX_FIELDS == 5000


def test_one_field_over_the_limit_is_too_large() -> None:
    """5,001 fields are refused."""
    with pytest.raises(TooLarge, match="5001 fields"):
        parse_form(b"&".join([b"a=1"] * (MAX_FIELDS + 1)))


@pytest.mark.parametrize("quoted", [b"x", b"%78", b"%20", b"+"])
def test_a_value_of_64_kib_is_read(quoted: bytes) -> None:
    """The limit is on the value as it is decoded, not on how it is written."""
    [(_, value)] = parse_form(b"a=" + quoted * MAX_VALUE)

    assert len(value) == MAX_VALUE == 64 * 1024


@pytest.mark.parametrize("value", ["x" * (MAX_VALUE + 1), "é" * (MAX_VALUE // 2) + "x"])
def test_a_value_of_a_byte_more_is_too_large(value: str) -> None:
    """Bytes are counted, not characters."""
    with pytest.raises(TooLarge, match="field 2"):
        parse_form(b"a=1&b=" + value.encode())


@given(st.binary() | st.lists(PIECES).map(b"".join))
@settings(deadline=None)
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    """Whatever the body is, no other exception comes out; what is read is read the same when it is sent again."""
    try:
        fields = parse_form(body)
    except MalformedNotification:
        return

    assert parse_form(b"&".join(as_a_browser(name) + b"=" + as_a_browser(value) for name, value in fields)) == fields


@given(fields=FORMS)
@settings(deadline=None)
def test_what_a_form_says_is_all_of_it_or_it_is_refused(fields: list[tuple[str, str]]) -> None:
    """No value is lost under a name that another one has, too."""
    try:
        form = read_form(fields)
    except MalformedNotification:
        return
    values = [*form.scalars.values(), *(value for elements in form.arrays.values() for value in elements)]

    assert sorted(values) == sorted(value for _, value in fields)
    assert form.scalars.keys() & form.arrays.keys() == set()


def test_a_key_in_brackets_that_is_no_number_is_a_part_of_the_name() -> None:
    """Shops write `fields[color]` for what is one value."""
    form = read_form([("fields[color]", "red"), ("fields[size]", "L"), ("fields[12345]", "x")])

    assert form.scalars == {"fields[color]": "red", "fields[size]": "L", "fields[12345]": "x"}
    assert form.arrays == {}
