"""The IDN that the plugin makes, and which answers it believes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from qlmhook_avangate.vendor import Avangate

from qlmhook.channels.http import post_form
from qlmhook.errors import ConfigurationError, DeliveryFailed
from qlmhook.vendors.api import Answer
from qlmhook.vendors.testing import NOON, make_notification
from tests.plugins.avangate.idn_peer import SIGNED, signed_answer
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import digest, form_body, vector

SECRET = "synthetic-Secret1!"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = Order()
RIGHT = signed_answer(ORDER.refno, 1, key=SECRET)
VECTOR = vector("synthetic/idn-request")
PUBLISHED = vector("idn-payu-response-vector")


class Post:
    """Keeps what the plugin posts, and answers what a test says."""

    def __init__(self, answer: str = RIGHT, *, status: int = 200) -> None:
        self.answer = Answer(status=status, body=answer)
        self.calls: list[tuple[str, bool]] = []
        self.fields: dict[str, str] = {}

    def __call__(self, url: str, fields: Mapping[str, str], *, allow_private: bool = False) -> Answer:
        self.calls.append((url, allow_private))
        self.fields = dict(fields)
        return self.answer


def confirm(
    post: Post, *, order: Order = ORDER, now: datetime = NOW, idn: Mapping[str, Any] | None = None, **settings: Any
) -> str:
    account = Avangate("shop", {"shared_keys": [SECRET], "idn": idn or {}, **settings})
    return account.confirm(make_notification(form_body(order.fields())), post, now)


def is_signed(fields: Mapping[str, str], key: str) -> bool:
    return fields["ORDER_HASH"] == digest(key, [fields[name] for name in SIGNED], "sha256")


def refusal(post: Post, **options: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        confirm(post, **options)
    return caught.value


class TestRequest:
    @pytest.mark.parametrize(
        ("settings", "algorithm"),
        [({}, "sha256"), ({"algorithm": "sha3-256"}, "sha3_256"), ({"algorithm": "md5"}, "md5")],
        ids=["default", "sha3-256", "md5"],
    )
    def test_the_documented_fields_come_in_their_order_with_the_hash_behind_them(
        self, settings: dict[str, str], algorithm: str
    ) -> None:
        post = Post()

        confirm(post, idn={"timezone": "UTC", **settings})

        expected = [*VECTOR["fields"], ("ORDER_HASH", VECTOR["expected"]["order_hash"][algorithm])]
        assert list(post.fields.items()) == expected

    @pytest.mark.parametrize("amount", ["29", "29.0", "29.90", "0.00", "1234567.891", "1,234.50", "29.00 "])
    def test_the_amount_is_the_notifications_letter_by_letter(self, amount: str) -> None:
        post = Post()

        confirm(post, order=ORDER.changed(extra=[("IPN_TOTALGENERAL", amount)]))

        assert post.fields["ORDER_AMOUNT"] == amount
        assert is_signed(post.fields, SECRET)

    def test_a_configured_merchant_counts_before_the_notifications(self) -> None:
        post = Post()

        confirm(post, order=ORDER.changed(without=["VENDOR_CODE"]), idn={"merchant": "OTHER"})

        assert post.fields["MERCHANT"] == "OTHER"
        assert is_signed(post.fields, SECRET)

    def test_the_field_of_the_hash_can_be_named_otherwise(self) -> None:
        post = Post()

        confirm(post, idn={"hash_field": "ORDER_HASH_SHA256"})

        assert list(post.fields) == [*SIGNED, "ORDER_HASH_SHA256"]

    @pytest.mark.parametrize(
        ("settings", "now", "date"),
        [
            pytest.param({}, NOW, "2026-01-01 02:00:00", id="2checkout's winter"),
            pytest.param({}, datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01 15:00:00", id="2checkout's summer"),
            pytest.param({"timezone": "America/New_York"}, NOW, "2025-12-31 19:00:00", id="the account's"),
            pytest.param(
                {"timezone": "America/New_York", "idn": {"timezone": "Asia/Tokyo"}},
                NOW,
                "2026-01-01 09:00:00",
                id="the idn's own",
            ),
        ],
    )
    def test_the_date_is_the_wall_time_of_a_zone(self, settings: dict[str, Any], now: datetime, date: str) -> None:
        post = Post()

        confirm(post, now=now, **settings)

        assert post.fields["IDN_DATE"] == date

    @pytest.mark.parametrize(
        ("settings", "call"),
        [
            ({}, ("https://secure.2checkout.com/order/idn.php", False)),
            ({"url": "https://10.0.0.1/idn", "allow_private": True}, ("https://10.0.0.1/idn", True)),
        ],
    )
    def test_it_is_posted_once_to_2checkout_or_the_configured_url(
        self, settings: dict[str, Any], call: tuple[str, bool]
    ) -> None:
        post = Post()

        confirm(post, idn=settings)

        assert post.calls == [call]

    @pytest.mark.parametrize(
        ("settings", "key"),
        [
            ({"shared_keys": ["new", SECRET]}, "new"),
            ({"shared_keys": ["new", SECRET], "idn": {"key": "its own"}}, "its own"),
        ],
        ids=["the newest shared key", "its own key"],
    )
    def test_one_key_signs_the_request_and_the_answer(self, settings: dict[str, Any], key: str) -> None:
        post = Post(signed_answer(ORDER.refno, 1, key=key))

        answer = confirm(post, **settings)

        assert is_signed(post.fields, key)
        assert answer == "1 Confirmed"

    @pytest.mark.parametrize(
        ("without", "named"),
        [
            (["VENDOR_CODE"], "VENDOR_CODE"),
            (["IPN_TOTALGENERAL"], "IPN_TOTALGENERAL"),
            (["CURRENCY"], "CURRENCY"),
            (["CURRENCY", "IPN_TOTALGENERAL"], "IPN_TOTALGENERAL, CURRENCY"),
        ],
    )
    def test_what_the_notification_lacks_is_named_and_nothing_is_sent(self, without: list[str], named: str) -> None:
        """Trying again is no use: the stored notification will not change."""
        post = Post()

        error = refusal(post, order=ORDER.changed(without=without))

        assert str(error).startswith(f"The order's notification lacks {named}: tick it in 2Checkout's IPN settings")
        assert error.permanent
        assert post.calls == []

    def test_an_empty_field_is_a_missing_one(self) -> None:
        error = refusal(Post(), order=ORDER.changed(extra=[("IPN_TOTALGENERAL", "")]))

        assert "lacks IPN_TOTALGENERAL" in str(error)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"url": "secure.2checkout.com"}, "url"),
            ({"url": ""}, "url"),
            ({"algorithm": "sha1"}, "algorithm"),
            ({"hash_field": "order hash"}, "hash_field"),
            ({"hash_field": ""}, "hash_field"),
            ({"timezone": "Mars/Olympus"}, "timezone"),
            ({"allow_private": "perhaps"}, "allow_private"),
            ({"merchants": "EXAMPLE"}, "merchants"),
        ],
    )
    def test_a_wrong_setting_is_named(self, settings: dict[str, str], named: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"vendors\.shop\.idn\.{named}: "):
            Avangate("shop", {"shared_keys": [SECRET], "idn": settings})


class TestAnswer:
    """What the shop's answer to an IDN means; what comes of it is in journeys/test_confirmations.py."""

    @pytest.mark.parametrize(("code", "meaning"), [(1, "1 Confirmed"), (7, "7 Order already confirmed")])
    def test_1_and_7_mean_that_the_order_is_confirmed(self, code: int, meaning: str) -> None:
        assert confirm(Post(signed_answer(ORDER.refno, code, key=SECRET))) == meaning

    @pytest.mark.parametrize(
        ("code", "meaning", "permanent"),
        [
            (2, "ORDER_REF missing or incorrect", True),
            (3, "ORDER_AMOUNT missing or incorrect", True),
            (4, "ORDER_CURRENCY missing or incorrect", True),
            (5, "IDN_DATE is not in the correct format", True),
            (6, "Error confirming the order", False),
            (8, "Unknown error", False),
            (9, "Invalid ORDER_REF", True),
            (10, "Invalid ORDER_AMOUNT", True),
            (11, "Invalid ORDER_CURRENCY", True),
            (0, "Unknown code", False),
            (12, "Unknown code", False),
        ],
    )
    def test_every_other_code_is_a_refusal_with_a_meaning(self, code: int, meaning: str, permanent: bool) -> None:
        """Only a documented refusal of what was sent is final; what nobody documented may pass."""
        error = refusal(Post(signed_answer(ORDER.refno, code, key=SECRET)))

        assert (str(error), error.permanent) == (f"2Checkout answers {code} {meaning}.", permanent)

    def test_the_published_answer_is_believed(self) -> None:
        """Of PayU, the sibling platform; the only IDN answer that was ever published with its key."""
        post = Post(PUBLISHED["expected"]["wire"])

        answer = confirm(post, order=ORDER.changed(refno="537"), shared_keys=[PUBLISHED["secret_key"]])

        assert answer == "1 Confirmed"

    @pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha3_256"])
    def test_any_of_the_algorithms_may_sign_the_answer(self, algorithm: str) -> None:
        """Which one does is not documented, and each needs the key."""
        post = Post(signed_answer(ORDER.refno, 1, key=SECRET, algorithm=algorithm))

        assert confirm(post) == "1 Confirmed"

    @pytest.mark.parametrize(
        ("post", "complaint"),
        [
            pytest.param(Post(signed_answer(ORDER.refno, 1, key="wrong")), "signature does not match", id="other key"),
            pytest.param(Post(RIGHT.replace("|1|", "|7|")), "signature does not match", id="changed code"),
            pytest.param(Post(RIGHT.replace("Confirmed", "Fine")), "signature does not match", id="changed message"),
            pytest.param(
                Post(signed_answer(ORDER.refno, 6, key=SECRET).replace("|6|", "|1|")),
                "signature does not match",
                id="refusal made a success",
            ),
            pytest.param(Post(RIGHT[:-20] + "</EPAYMENT>"), "signature does not match", id="shortened hash"),
            pytest.param(Post(signed_answer("900000002", 1, key=SECRET)), "about another order", id="other order"),
            pytest.param(Post(signed_answer("", 1, key=SECRET)), "about another order", id="no order"),
            pytest.param(Post(RIGHT[:-20]), "HTTP status 200, is no answer to an IDN", id="broken off"),
            pytest.param(
                Post("<EPAYMENT>900000001|1|Confirmed|2026-01-01 12:00:00|</EPAYMENT>"), "no answer", id="no hash"
            ),
            pytest.param(Post("<html>Confirmed</html>"), "HTTP status 200, is no answer to an IDN", id="html"),
            pytest.param(Post(""), "HTTP status 200, is no answer to an IDN", id="nothing"),
            *(
                pytest.param(Post(status=status), f"HTTP status {status}, is no answer to an IDN", id=str(status))
                for status in (201, 301, 302, 403, 404, 500, 503)
            ),
        ],
    )
    def test_nothing_else_is_believed(self, post: Post, complaint: str) -> None:
        """It says nothing about the order, so it is asked again."""
        error = refusal(post)

        assert complaint in str(error)
        assert not error.permanent


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/order/idn.php",
        "http://example.com/",
        "ftp://example.com/",
        "https://example.com:99999/",
        "https://user:password@example.com/",
        "https://",
        "",
    ],
)
def test_an_address_that_cannot_be_used_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"idn\.url"):
        Avangate("avangate", {"shared_keys": ["a key"], "idn": {"url": url}})


def test_without_a_key_nothing_is_signed() -> None:
    """An account whose keys all belong to endpoints has none of its own."""
    account = Avangate("avangate", {"endpoints": {"SHOP": {"ipn_keys": ["a key"]}}})
    order = make_notification(form_body(Order().fields()))

    with pytest.raises(DeliveryFailed, match=r"set idn\.key") as caught:
        account.confirm(order, post_form, NOON)

    assert caught.value.permanent
