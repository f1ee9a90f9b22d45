"""Rows 1 to 27 of the protocol notes' test matrix: transport and signature, over HTTP.

The test of a row has its number in its name, and there is one; the tests beside them have none. Rows 28 to 64 are in
test_matrix_orders.py and test_matrix_life.py.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from qlmhook.reports import listings
from tests.conftest import KEY, PASSWORD, QUERY, URL, USER, Clock, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import (
    Fields,
    digest,
    form_body,
    receipt_is_valid,
    signed,
    vector,
    without_signatures,
)

FORM = "application/x-www-form-urlencoded"
MIB = 1024 * 1024
MAX_VALUE = 64 * 1024
SHA2, SHA3, MD5 = "SIGNATURE_SHA2_256", "SIGNATURE_SHA3_256", "HASH"
ALL_ALGORITHMS = '["sha3-256", "sha256", "md5"]'

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is decided before the database is reached: one engine is enough."""

one_shop_for_all_examples = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Outcome = tuple[int, list[str], list[str]]


def outcome(shop: Shop, answer: TestResponse) -> Outcome:
    """The status of an answer, what it gives away, and the states of the notifications that are stored."""
    said = f"{answer.headers}\n{answer.text}"
    secrets = ["<sig", "EPAYMENT", "Traceback", KEY, PASSWORD, *re.findall(r"[0-9A-Fa-f]{32,}", said)]
    with shop.service.database.reading():
        stored = [row["state"] for row in listings.notifications()]
    return answer.status_code, [secret for secret in secrets if secret in said], stored


def refused(status: int) -> Outcome:
    """A refusal gives nothing away and leaves nothing behind."""
    return status, [], []


def replaced(fields: Fields, **values: str) -> list[tuple[str, str]]:
    """The fields with other values for some names."""
    return [(name, values.get(name, value)) for name, value in fields]


def order_of_size(size: int) -> bytes:
    """The body of a signed order, filled up with comments to so many bytes."""
    lengths = [0] * (size // MAX_VALUE + 1)

    def body() -> bytes:
        comments = [("IPN_INFO[]", "x" * length) for length in lengths]
        return form_body(signed(Order(extra=comments).fields(), KEY, ["sha256", "sha3_256"]))

    missing = size - len(body())
    for place in range(len(lengths)):
        lengths[place] = min(missing, MAX_VALUE)
        missing -= lengths[place]
    return body()


def order_of_fields(number: int) -> bytes:
    """The body of a signed order of so many fields, the signatures among them."""
    signatures = ["sha256", "sha3_256"]
    comments = number - len(Order().fields()) - len(signatures)
    return form_body(signed(Order(extra=[("IPN_INFO[]", "")] * comments).fields(), KEY, signatures))


class TestTransport:
    """What is a message at all."""

    @sqlite_only
    @pytest.mark.parametrize(("method", "says"), [("GET", True), ("HEAD", False)])
    def test_row_1_a_look_at_the_url_is_answered_and_processes_nothing(
        self, shop: Shop, method: str, says: bool
    ) -> None:
        """2Checkout probes a URL when it is saved; a signed order in query and body does nothing."""
        order = form_body(signed(Order().fields(), KEY, ["sha256"]))

        answer = shop.client.open(f"{URL}?{QUERY}&{order.decode()}", method=method, data=order, content_type=FORM)

        assert outcome(shop, answer) == (200, [], [])
        assert answer.content_type == "text/plain; charset=utf-8"
        assert (0 < len(answer.text) < 100) is says

    @sqlite_only
    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_row_2_other_methods_are_refused(self, shop: Shop, method: str) -> None:
        """The answer says which are possible."""
        order = form_body(signed(Order().fields(), KEY, ["sha256"]))

        answer = shop.client.open(f"{URL}?{QUERY}", method=method, data=order, content_type=FORM)

        assert outcome(shop, answer) == refused(405)
        assert answer.allow is not None
        assert set(answer.allow) == {"GET", "HEAD", "POST"}

    @sqlite_only
    @pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
    def test_row_3_what_is_not_called_a_form_is_refused(self, shop: Shop, content_type: str) -> None:
        """Even when the body is a signed order."""
        order = form_body(signed(Order().fields(), KEY, ["sha256"]))

        assert outcome(shop, shop.post_body(order, content_type=content_type)) == refused(415)

    @sqlite_only
    @pytest.mark.parametrize("content_type", [FORM.upper(), f"{FORM}; charset=utf-8", f"{FORM};charset=ISO-8859-1"])
    def test_a_form_may_be_called_so_in_several_ways(self, shop: Shop, content_type: str) -> None:
        """2Checkout sends UTF-8 whatever it might call it."""
        order = Order(lines=[Line(name="Größe")])

        answer = shop.post_body(form_body(signed(order.fields(), KEY, ["sha256"])), content_type=content_type)

        assert receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha256")

    @sqlite_only
    def test_row_4_an_empty_body_is_refused(self, shop: Shop) -> None:
        assert outcome(shop, shop.post_body(b"")) == refused(400)

    @sqlite_only
    @pytest.mark.parametrize(
        ("make", "most"), [(order_of_size, MIB), (order_of_fields, 5000)], ids=["1 MiB", "5,000 fields"]
    )
    def test_row_5_an_order_over_the_limits_is_refused(
        self, shop: Shop, make: Callable[[int], bytes], most: int
    ) -> None:
        """A byte or a field too many, or three times as many; one at the limits is handled."""
        for size in (most + 1, 3 * most):
            assert outcome(shop, shop.post_body(make(size))) == refused(413)

        answer = shop.post_body(make(most))

        assert receipt_is_valid(answer.text, KEY, Order().receipt_values(), "sha3_256")

    @sqlite_only
    def test_a_body_that_breaks_off_is_refused(self, shop: Shop) -> None:
        """The connection ends before as many bytes as announced have arrived."""
        order = form_body(signed(Order().fields(), KEY, ["sha256"]))

        answer = shop.client.post(
            f"{URL}?{QUERY}",
            input_stream=BytesIO(order),
            content_type=FORM,
            environ_overrides={"CONTENT_LENGTH": str(len(order) + 1)},
        )

        assert outcome(shop, answer) == refused(400)

    @sqlite_only
    @pytest.mark.parametrize("broken", [b"%", b"%4", b"%zz", b"%ff", b"\xff", b"%ED%A0%80", b"%00"])
    def test_row_6_a_body_that_cannot_be_decoded_is_refused(self, shop: Shop, broken: bytes) -> None:
        """An order with one broken field behind it."""
        order = form_body(signed(Order().fields(), KEY, ["sha256"]))

        assert outcome(shop, shop.post_body(order + b"&NOTE=" + broken)) == refused(400)

    @sqlite_only
    @given(body=st.binary() | st.lists(st.sampled_from([*b"aH=&+%0F\0\xc3\xa9"])).map(bytes))
    @one_shop_for_all_examples
    def test_any_bytes_are_refused_and_leave_nothing_behind(self, shop: Shop, body: bytes) -> None:
        """It is the sender's fault, never ours."""
        assert outcome(shop, shop.post_body(body)) in (refused(400), refused(403))

    @sqlite_only
    @pytest.mark.parametrize("brackets", [b"[]", b"%5B%5D", b"%5b%5d", b"[0]", b"%5B0%5D"])
    def test_row_7_brackets_may_be_written_in_several_ways(self, shop: Shop, brackets: bytes) -> None:
        order = form_body(signed(Order().fields(), KEY, ["sha256"])).replace(b"%5B%5D", brackets)

        assert receipt_is_valid(shop.post_body(order).text, KEY, Order().receipt_values(), "sha256")


class TestReceipts:
    """What is answered with which receipt."""

    @pytest.mark.parametrize(
        ("name", "kept", "algorithm"),
        [
            pytest.param("ipn-two-products", [MD5, SHA2, SHA3], "sha3_256", id="row 8"),
            pytest.param("ipn-two-products", [SHA2], "sha256", id="row 9"),
            pytest.param("ipn-two-products", [MD5], "md5", id="row 10"),
            pytest.param("ipn-utf8", [MD5, SHA2, SHA3], "sha3_256", id="row 21"),
            pytest.param("ipn-special-chars", [MD5, SHA2, SHA3], "sha3_256", id="row 22"),
            pytest.param("ipn-empty-array-elements", [MD5, SHA2, SHA3], "sha3_256", id="row 23"),
        ],
    )
    def test_rows_8_9_10_21_22_and_23_the_receipt_is_made_with_the_strongest_algorithm(
        self, open_shop: OpenShop, clock: Clock, name: str, kept: list[str], algorithm: str
    ) -> None:
        """Byte for byte what was computed independently for this time of day."""
        message = vector(f"synthetic/{name}")
        signatures = [pair for pair in message["fields"] if pair[0] in kept]
        [receipt] = [known["body"] for known in message["expected"]["responses"] if known["hash_algo"] == algorithm]
        clock.now = datetime(2026, 1, 1, tzinfo=UTC)
        shop = open_shop(vendors__avangate__algorithms=ALL_ALGORITHMS)

        answer = shop.post_body(form_body([*without_signatures(message["fields"]), *signatures]))

        assert (answer.status_code, answer.text) == (200, f"{receipt}\n")

    @sqlite_only
    def test_md5_is_not_allowed_unless_it_is_set(self, shop: Shop) -> None:
        """Its sunset is past."""
        assert outcome(shop, shop.post_body(form_body(signed(Order().fields(), KEY, ["md5"])))) == refused(403)

    @sqlite_only
    @pytest.mark.parametrize("weaker", ["sha256", "md5"])
    def test_row_11_a_weaker_signature_does_not_make_up_for_a_wrong_one(self, open_shop: OpenShop, weaker: str) -> None:
        """There is no downgrade."""
        shop = open_shop(vendors__avangate__algorithms=ALL_ALGORITHMS)
        fields = replaced(signed(Order().fields(), KEY, [weaker, "sha3_256"]), **{SHA3: "0" * 64})

        assert outcome(shop, shop.post_body(form_body(fields))) == refused(403)

    @sqlite_only
    def test_row_12_a_blank_signature_is_as_good_as_none(self, shop: Shop) -> None:
        """The strongest that is there counts."""
        fields = replaced(signed(Order().fields(), KEY, ["sha256", "sha3_256"]), **{SHA3: ""})

        answer = shop.post_body(form_body(fields))

        assert receipt_is_valid(answer.text, KEY, Order().receipt_values(), "sha256")

    @sqlite_only
    def test_row_13_a_signature_may_be_in_upper_case(self, shop: Shop) -> None:
        """The receipt is in lower case all the same."""
        signature = digest(KEY, [value for _, value in Order().fields()], "sha3_256").upper()

        answer = shop.post_body(form_body([*Order().fields(), (SHA3, signature)]))

        assert receipt_is_valid(answer.text, KEY, Order().receipt_values(), "sha3_256")

    def test_row_20_the_documented_order_gets_the_documented_receipt(self, open_shop: OpenShop, clock: Clock) -> None:
        """2Checkout's example order of 2016, answered at the time of its example receipt."""
        example = vector("ipn-doc-hash-example-2016")
        clock.now = datetime(2005, 3, 3, 12, 34, 34, tzinfo=UTC)
        shop = open_shop(
            vendors__avangate__shared_keys=example["secret_key"], vendors__avangate__algorithms=ALL_ALGORITHMS
        )

        answer = shop.post_body(form_body([*example["fields"], (MD5, example["expected"]["computed"]["md5"])]))

        assert answer.text == "<EPAYMENT>20050303123434|7bf97ed39681027d0c45aa45e3ea98f0</EPAYMENT>\n"

    @given(texts=st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"))] * 3))
    @settings(one_shop_for_all_examples, max_examples=25)
    def test_whatever_people_type_is_receipted(self, shop: Shop, texts: tuple[str, str, str]) -> None:
        """Any characters in the names of customers, companies and products."""
        shop.map("101")
        first_name, company, product = texts
        order = Order(first_name=first_name, lines=[Line(name=product)], extra=[("COMPANY", company)])

        answer = shop.post(order.fields())

        assert receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")

    @sqlite_only
    def test_row_24_a_plus_sign_arrives_as_one(self, shop: Shop) -> None:
        """Offsets and telephone numbers have them, and blanks are written as one."""
        order = Order(extra=[("TIMEZONE_OFFSET", "GMT+03:00"), ("PHONE", "+40 770 789")])
        body = form_body(signed(order.fields(), KEY, ["sha256"]))

        answer = shop.post_body(body)

        assert b"=GMT%2B03%3A00&PHONE=%2B40+770+789&" in body
        assert receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha256")


def with_a_character_changed(fields: Fields) -> Fields:
    return replaced(fields, CUSTOMEREMAIL="b@example.com")


def with_a_blank_at_the_end(fields: Fields) -> Fields:
    return replaced(fields, CUSTOMEREMAIL="a@example.com ")


def without_a_field(fields: Fields) -> Fields:
    return [pair for pair in fields if pair[0] != "REFNOEXT"]


def with_a_field_more(fields: Fields) -> Fields:
    return [("NOTE", ""), *fields]


def with_two_fields_swapped(fields: Fields) -> Fields:
    return [fields[1], fields[0], *fields[2:]]


@sqlite_only
class TestWrongSignatures:
    """What gets no receipt, nor anything from which one could be made."""

    def test_row_14_an_unsigned_message_is_refused(self, shop: Shop) -> None:
        """A receipt would be a signature that fits a forged message."""
        assert outcome(shop, shop.post_body(form_body(Order().fields()))) == refused(403)

    def test_the_signature_is_judged_before_the_message(self, shop: Shop) -> None:
        """Who is not 2Checkout does not learn what a message lacks, and nothing of it is kept."""
        answer = shop.post_body(form_body(Order(without=["REFNO", "IPN_PID[]"]).fields()))

        assert outcome(shop, answer) == refused(403)

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("0", id="one digit"),
            pytest.param("0" * 63, id="a digit too few"),
            pytest.param("0" * 65, id="a digit too many"),
            pytest.param("0" * MAX_VALUE, id="many digits too many"),
            pytest.param("g" * 64, id="not hexadecimal"),
            pytest.param("é" * 64, id="not ASCII"),
            pytest.param(" ", id="a blank"),
            pytest.param("\n", id="a newline"),
        ],
    )
    def test_row_15_a_signature_that_is_none_is_refused(self, shop: Shop, text: str) -> None:
        """Of a wrong length, not hexadecimal, not even ASCII."""
        assert outcome(shop, shop.post_body(form_body([*Order().fields(), (SHA3, text)]))) == refused(403)

    @pytest.mark.parametrize("place", [0, 31, 63])
    def test_row_16_one_wrong_digit_is_one_too_many(self, shop: Shop, place: int) -> None:
        right = digest(KEY, [value for _, value in Order().fields()], "sha3_256")
        wrong = f"{right[:place]}{int(right[place], 16) ^ 1:x}{right[place + 1 :]}"

        assert outcome(shop, shop.post_body(form_body([*Order().fields(), (SHA3, wrong)]))) == refused(403)

    @pytest.mark.parametrize(
        "edit",
        [
            with_a_character_changed,
            with_a_blank_at_the_end,
            without_a_field,
            with_a_field_more,
            with_two_fields_swapped,
        ],
    )
    def test_row_17_a_message_that_was_edited_is_refused(self, shop: Shop, edit: Callable[[Fields], Fields]) -> None:
        fields = edit(signed(Order().fields(), KEY, ["sha256", "sha3_256"]))

        assert outcome(shop, shop.post_body(form_body(fields))) == refused(403)

    def test_a_message_signed_with_another_key_is_refused(self, shop: Shop) -> None:
        assert outcome(shop, shop.post(Order().fields(), key="another-Secret2!")) == refused(403)

    @pytest.mark.parametrize("key", ["new-Secret2!", KEY, "schlüssel&<%00>"])
    def test_row_18_any_of_several_keys_verifies_and_signs_the_receipt(self, open_shop: OpenShop, key: str) -> None:
        """Both are in use while a key is changed; a key is taken as it is, in UTF-8."""
        shop = open_shop(vendors__avangate__shared_keys=f"new-Secret2!\n{KEY}\nschlüssel&<%00>")

        answer = shop.post(Order().fields(), key=key)

        assert receipt_is_valid(answer.text, key, Order().receipt_values(), "sha3_256")

    @pytest.mark.parametrize("keys", ["", "[]", '[""]', "\n"])
    def test_row_19_without_a_key_nothing_is_verified(self, open_shop: OpenShop, keys: str) -> None:
        """Not even what is signed with the empty key."""
        shop = open_shop(vendors__avangate__shared_keys=keys)

        assert outcome(shop, shop.post(Order().fields(), key="")) == refused(403)

    def test_a_blank_key_among_others_does_not_count(self, open_shop: OpenShop) -> None:
        shop = open_shop(vendors__avangate__shared_keys=f'["", "{KEY}"]')

        assert outcome(shop, shop.post(Order().fields(), key="")) == refused(403)

    def test_a_disabled_vendor_takes_nothing(self, open_shop: OpenShop) -> None:
        """Whatever the signature."""
        shop = open_shop(vendors__avangate__enabled="false")

        assert outcome(shop, shop.post(Order().fields())) == refused(403)

    def test_the_log_of_a_refusal_gives_nothing_away(self, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
        """Neither what is right nor what was sent, which may be nearly right."""
        shop.post(Order().fields(), query=f"is_user={USER}&is_pwd={PASSWORD}1")
        shop.post(Order().fields(), key="another-Secret2!")
        shop.post_body(form_body(Order().fields()))

        assert caplog.text.count("is refused") == 3
        assert [secret for secret in (KEY, PASSWORD, "a@example.com") if secret in caplog.text] == []
        assert re.findall(r"[0-9A-Fa-f]{32,}", caplog.text) == []


class TestWhatIsNotSigned:
    """The query string, the names, and where a message is sent."""

    @sqlite_only
    @pytest.mark.parametrize(
        "query",
        [
            f"is_pwd={PASSWORD}&is_user={USER}&is_vendor=avangate",
            f"IS_VENDOR=AVANGATE&IS_USER={USER}&IS_PWD={PASSWORD}",
            f"is_user={USER}&is_pwd={PASSWORD}",
            f"{QUERY}&REFNO=900000002&note=&HASH={'0' * 32}&{SHA3}={'0' * 64}",
        ],
    )
    def test_row_25_the_query_string_does_not_enter_the_signature(self, shop: Shop, query: str) -> None:
        """Whatever is added to the URL, and in whatever order."""
        answer = shop.post(Order().fields(), query=query)

        assert receipt_is_valid(answer.text, KEY, Order().receipt_values(), "sha3_256")

    @sqlite_only
    def test_a_signature_in_the_query_string_is_none(self, shop: Shop) -> None:
        """Only the body is 2Checkout's."""
        [signature] = signed(Order().fields(), KEY, ["sha3_256"])[-1:]

        answer = shop.post_body(form_body(Order().fields()), query=f"{QUERY}&{form_body([signature]).decode()}")

        assert outcome(shop, answer) == refused(403)

    def test_row_26_a_scalar_that_is_given_twice_is_held(self, shop: Shop) -> None:
        """Neither wins; without a receipt 2Checkout sends it again, and the operator is told once."""
        shop.map("101")
        fields = [*Order().fields(), ("REFNO", "900000002")]

        answers = [outcome(shop, shop.post(fields)) for _ in range(2)]

        assert answers == [(400, [], ["held"])] * 2
        with shop.service.database.reading():
            assert [(row["kind"], row["to"]) for row in listings.outbox_rows()] == [("alert", "operator@example.com")]
            assert listings.licenses(now=shop.clock()) == []

    @sqlite_only
    @pytest.mark.parametrize("name", [SHA2, SHA3])
    def test_a_signature_that_is_given_twice_is_refused(self, shop: Shop, name: str) -> None:
        """Even when both are right."""
        fields = signed(Order().fields(), KEY, ["sha256", "sha3_256"])
        again = [pair for pair in fields if pair[0] == name]

        answer = shop.post_body(form_body([*fields, *again]))

        assert answer.status_code == 400
        assert outcome(shop, answer)[1] == []

    @sqlite_only
    @pytest.mark.parametrize(
        ("url", "query", "status"),
        [
            (URL.replace("QlmWebHookHandler", "GetActivationKeyWithExpiryDate"), QUERY, 404),
            (f"{URL}/lcn", QUERY, 404),
            (URL, QUERY.replace("avangate", "fastspring"), 404),
        ],
    )
    def test_row_27_a_message_that_is_sent_elsewhere_is_refused(
        self, shop: Shop, url: str, query: str, status: int
    ) -> None:
        """A genuine message, at an address that is not its own."""
        assert outcome(shop, shop.post(Order().fields(), url=url, query=query)) == refused(status)

    def test_an_order_relabelled_as_another_message_is_refused(self, shop: Shop) -> None:
        """Names are not signed, so the signature still fits; what was signed once keeps its meaning."""
        shop.map("101")
        genuine = signed(Order().fields(), KEY, ["sha256", "sha3_256"])
        shop.post_body(form_body(genuine))
        with shop.service.database.reading():
            before = listings.licenses(now=shop.clock())

        answer = shop.post_body(
            form_body([(name.replace("IPN_PID[]", "LICENSE_CODE"), value) for name, value in genuine])
        )

        assert outcome(shop, answer) == (403, [], ["done"])
        with shop.service.database.reading():
            assert listings.licenses(now=shop.clock()) == before != []
