"""Rows 28 to 43 and 54 to 58 of the protocol notes' test matrix: what becomes of an order, from the HTTP request on.

The test of a row has its number in its name, and there is one, here also where the row is a fact of the core: the
core's own tests do not tell it again. Elsewhere are row 32, in storage/test_concurrency.py, because it needs a server
with several workers; the database that is away of row 56, in web/test_web.py; rows 44 to 53 and 59 to 64, in
test_matrix_life.py; and rows 65 to 68, in journeys/test_confirmations.py. Rows 69 to 71 are about code lists, which are
not served.
"""

import secrets
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from qlmhook.inbox import fact_store
from tests.conftest import KEY, MAPPING, Clock, Configure, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import ALPHA, BETA, Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed, vector
from tests.support.life import FIRST_END
from tests.support.looking import alerts, is_receipted, licenses, notifications, states, waiting
from tests.support.server import serving

ON_ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is decided before the database is asked."""


class DyingClock(Clock):
    """Ends the process, as far as that can be done in a test, when it is looked at for the nth time."""

    looks_left = 0

    def __call__(self) -> datetime:
        self.looks_left -= 1
        if self.looks_left == 0:
            raise SystemExit
        return super().__call__()


class TestOneOrderSeveralMessages:
    """Which messages about an order fulfil it, and that they do it once."""

    def test_row_28_a_pending_order_is_receipted_and_nothing_is_issued(self, open_shop: OpenShop) -> None:
        """2Checkout's own PENDING message, with order number 0, dates of zeros and empty license arrays."""
        data = vector("ipn-sdk-149279389-pending-250847481432")
        shop = open_shop(
            vendors__avangate__shared_keys=data["secret_key"], vendors__avangate__algorithms='["sha256", "md5"]'
        )
        shop.map("35269746")

        answer = shop.post_body(form_body(data["fields"]))

        values = [dict(data["fields"])[name] for name in ("IPN_PID[]", "IPN_PNAME[]", "IPN_DATE")]
        assert answer.status_code == 200
        assert receipt_is_valid(answer.text, data["secret_key"], values, "md5")
        assert [(row["order_ref"], row["order_status"], row["state"]) for row in notifications(shop)] == [
            ("149279389", "PENDING", "ignored")
        ]
        assert licenses(shop) == []
        assert waiting(shop, "mail") == []

    @pytest.mark.parametrize(
        "messages",
        [
            pytest.param([{"status": "PAYMENT_AUTHORIZED"}, {"ipn_date": "20260101100600"}], id="row 29: authorized"),
            pytest.param([{"status": "PAYMENT_RECEIVED"}, {"ipn_date": "20260103100000"}], id="received, complete"),
            pytest.param([{}], id="row 30: complete"),
            pytest.param([{}, {"ipn_date": "20260101110000"}], id="row 30: complete again with the invoice"),
            pytest.param([{}, {"status": "PAYMENT_AUTHORIZED"}], id="authorized arrives after complete"),
            pytest.param(
                [
                    {"extra": [("MESSAGE_ID", f"25084748143{number}")], "ipn_date": f"2026010{number}100500"}
                    for number in range(1, 4)
                ],
                id="row 31: sent three times with new MESSAGE_ID, IPN_DATE and signature",
            ),
        ],
    )
    def test_rows_29_30_and_31_an_order_is_fulfilled_once_and_each_message_receipted(
        self, shop: Shop, messages: Sequence[dict[str, object]]
    ) -> None:
        shop.map("101")
        orders = [Order().changed(**changes) for changes in messages]

        answers = [shop.post(order.fields()) for order in orders]

        assert [is_receipted(answer, order) for answer, order in zip(answers, orders, strict=True)] == [True] * len(
            orders
        )
        assert states(shop) == ["done"] * len(orders)
        assert len(licenses(shop)) == 1
        assert len(waiting(shop, "mail")) == 1

    @pytest.mark.parametrize("status", ["PENDING", "CANCELED"])
    def test_row_33_a_late_message_changes_nothing(self, shop: Shop, status: str) -> None:
        """What is not a payment does not take back what was issued."""
        shop.map("101")
        shop.post(Order().fields())
        before = licenses(shop)
        late = Order(status=status, lines=[Line(ref="", expires="")], ipn_date="20260101100900")

        answer = shop.post(late.fields())

        assert is_receipted(answer, late)
        assert licenses(shop) == before

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        "status", ["AUTHRECEIVED", "SUSPECT", "PENDING_APPROVAL", "PURCHASE_PENDING", "INVALID", "FOO_STATUS"]
    )
    def test_row_34_a_status_that_is_no_payment_is_kept_and_issues_nothing(self, shop: Shop, status: str) -> None:
        shop.map("101")
        order = Order(status=status)

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert [(row["order_status"], row["state"]) for row in notifications(shop)] == [(status, "ignored")]
        assert licenses(shop) == []

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("fraud_status", ["DENIED", "UNDER REVIEW", "PENDING"])
    def test_row_35_a_payment_under_review_is_held_until_it_is_approved(self, shop: Shop, fraud_status: str) -> None:
        """The operator is told once, and the approval frees what was held."""
        shop.map("101")
        held = Order(status="PAYMENT_AUTHORIZED", extra=[("FRAUD_STATUS", fraud_status)])
        again = held.changed(ipn_date="20260101100600")
        approved = held.changed(extra=[("FRAUD_STATUS", "APPROVED")], ipn_date="20260101120000")

        answers = [shop.post(order.fields()) for order in (held, again)]

        assert [is_receipted(answer, order) for answer, order in zip(answers, (held, again), strict=True)] == [True] * 2
        assert states(shop) == ["held", "held"]
        assert licenses(shop) == []
        [alert] = alerts(shop)
        assert f"FRAUD_STATUS is {fraud_status}" in alert

        answer = shop.post(approved.fields())

        assert is_receipted(answer, approved)
        assert states(shop) == ["done", "done", "done"]
        assert len(licenses(shop)) == 1

    @ON_ONE_ENGINE
    def test_row_36_the_tags_of_qlms_page_are_enough(self, shop: Shop) -> None:
        """An order without the tags that QLM's page has merchants leave out is fulfilled, and is no test."""
        shop.map("101")
        order = Order()
        names = {name for name, _ in order.fields()}

        answer = shop.post(order.fields())

        assert names.isdisjoint({"FRAUD_STATUS", "MESSAGE_TYPE", "MESSAGE_ID", "TEST_ORDER", "TIMEZONE_OFFSET"})
        assert is_receipted(answer, order)
        assert [row["test"] for row in licenses(shop)] == [False]


@ON_ONE_ENGINE
class TestMissingTags:
    """What 2Checkout sends when the merchant has not ticked what is needed."""

    @pytest.mark.parametrize(
        ("body", "missing"),
        [
            pytest.param(
                form_body(vector("synthetic/ipn-minimal-tags")["fields"]), "ORDERSTATUS, REFNO", id="the forced tags"
            ),
            pytest.param(
                form_body(signed(Order(without=["REFNO"]).fields(), KEY, ["sha256"])), "REFNO", id="without REFNO"
            ),
            pytest.param(
                form_body(signed(Order(without=["ORDERSTATUS"]).fields(), KEY, ["sha256"])),
                "ORDERSTATUS",
                id="without ORDERSTATUS",
            ),
        ],
    )
    def test_row_37_the_operator_is_told_once_which_tag_to_tick(self, shop: Shop, body: bytes, missing: str) -> None:
        """It gets no receipt, so that 2Checkout sends it until the tag is ticked; it is kept as held."""
        shop.map("101")

        answers = [shop.post_body(body) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [400, 400]
        assert not any("<sig" in answer.text for answer in answers)
        assert states(shop) == ["held"]
        assert licenses(shop) == []
        [alert] = alerts(shop)
        assert f"lacks {missing}: tick it " in alert


class TestLines:
    """What each line of an order becomes."""

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("more", "activations"),
        [
            pytest.param("", [1, 3], id="one key for the quantity"),
            pytest.param("&is_usemultipleactivationskey=false", [1, 1, 1, 1], id="one key for each unit"),
        ],
    )
    def test_row_38_two_products_become_the_keys_of_each(self, shop: Shop, more: str, activations: list[int]) -> None:
        """Quantities 1 and 3; each license carries its own line's subscription and end."""
        data = vector("synthetic/ipn-two-products")
        shop.map("101")
        shop.map("102", f"{MAPPING}{more}")

        answer = shop.post_body(form_body(data["fields"]))

        assert receipt_is_valid(answer.text, KEY, ["101", "Alpha", dict(data["fields"])["IPN_DATE"]], "sha3_256")
        found = licenses(shop)
        assert [row["activations"] for row in found] == activations
        assert [row["subscription_ref"] for row in found] == ["AAAAAAAAAA"] + ["BBBBBBBBBB"] * (len(found) - 1)
        assert [row["expires_at"] for row in found] == [None] + [FIRST_END] * (len(found) - 1)
        assert len({row["key"] for row in found}) == len(activations)

    def test_row_39_a_line_without_a_mapping_is_held_and_the_others_fulfilled(self, shop: Shop) -> None:
        shop.map("101")
        order = Order(lines=[ALPHA, BETA])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert [row["vendor_product_id"] for row in licenses(shop)] == ["101"]
        [row] = notifications(shop)
        assert row["state"] == "held"
        assert row["reason"] == "Product 102 ('Beta') has no mapping: set the property pid_102."

    @pytest.mark.parametrize("refs", [("AAAAAAAAAA", "BBBBBBBBBB"), ("", "")], ids=["subscriptions", "none"])
    def test_row_40_two_lines_of_one_product_are_both_fulfilled(self, shop: Shop, refs: tuple[str, str]) -> None:
        """Also when nothing but their place tells them apart, and also when the message is repeated."""
        shop.map("101")
        lines = [Line(ref=refs[0], quantity="1"), Line(ref=refs[1], quantity="2")]

        shop.post(Order(lines=lines).fields())
        shop.post(Order(lines=lines, ipn_date="20260101110000").fields())

        assert [(row["subscription_ref"], row["quantity"]) for row in licenses(shop)] == [(refs[0], 1), (refs[1], 2)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("quantity", ["0", "-1", "abc", "1000000"])
    def test_row_41_a_quantity_that_makes_no_sense_is_held(self, shop: Shop, quantity: str) -> None:
        """It is receipted and the operator told; the other line of the order is fulfilled."""
        shop.map("101")
        shop.map("102")
        order = Order(lines=[Line(quantity=quantity), BETA])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == ["held"]
        assert [row["vendor_product_id"] for row in licenses(shop)] == ["102"]
        assert len(alerts(shop)) == 1

    @ON_ONE_ENGINE
    def test_row_42_the_options_of_a_product_are_kept_with_its_line(self, shop: Shop) -> None:
        """The chosen values are read by product id, and TIMEZONE_OFFSET counts for the license's end."""
        shop.map("101")
        shop.map("102")
        options = [
            ("TIMEZONE_OFFSET", "GMT+03:00"),
            ("IPN_PRODUCT_OPTIONS_101_TEXT[]", "Seats"),
            ("IPN_PRODUCT_OPTIONS_101_VALUE[]", "seats-5"),
            ("IPN_PRODUCT_OPTIONS_102_TEXT[]", "Support"),
            ("IPN_PRODUCT_OPTIONS_102_VALUE[]", "gold"),
            ("IPN_PRODUCT_OPTIONS_102_VALUE[]", "phone"),
        ]
        lines = [Line(expires="2021-04-10 16:29:42"), BETA]

        shop.post(Order(lines=lines, extra=options).fields())

        with shop.service.database.reading():
            items = [fact.item for fact in fact_store.of_order("avangate", "900000001")]
        assert [item.options for item in items if item] == [("seats-5",), ("gold", "phone")]
        assert licenses(shop)[0]["expires_at"] == "2021-04-10T13:29:42Z"

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        "line",
        [
            Line(expires="9999-12-31 23:59:59"),
            Line(expires="2027-01-01 00:00:00", lifetime="YES"),
        ],
        ids=lambda line: f"{line.expires or 'no date'}, lifetime {line.lifetime}",
    )
    def test_row_43_a_lifetime_license_does_not_expire(self, shop: Shop, line: Line) -> None:
        """Whatever the mapping's duration, and west of Greenwich too, where year 9999 would overflow."""
        shop.map("101", f"{MAPPING}&is_expduration=30")

        shop.post(Order(lines=[line], extra=[("TIMEZONE_OFFSET", "GMT-05:00")]).fields())

        assert [(row["license_model"], row["expires_at"]) for row in licenses(shop)] == [("permanent", None)]

    @ON_ONE_ENGINE
    def test_row_54_a_negative_payable_amount_is_no_refund(self, shop: Shop) -> None:
        """A tiny sale may cost the vendor more than it brings."""
        shop.map("101")
        order = Order(extra=[("PAYABLE_AMOUNT", "-0.57")])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert [row["status"] for row in licenses(shop)] == ["active"]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("setting", "state", "marks"), [("ignore", "ignored", []), ("issue", "done", [True])], ids=["ignore", "issue"]
    )
    def test_row_55_the_setting_test_orders_decides_about_test_orders(
        self, open_shop: OpenShop, setting: str, state: str, marks: list[bool]
    ) -> None:
        """Ignored, or issued with a mark."""
        shop = open_shop(vendors__avangate__test_orders=setting)
        shop.map("101")
        order = Order(extra=[("TEST_ORDER", "1")])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == [state]
        assert [row["test"] for row in licenses(shop)] == marks


class TestFailures:
    """Our own faults."""

    def test_row_56_what_cannot_be_applied_gets_no_receipt_and_is_fulfilled_when_sent_again(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The key cannot be made because the system has no randomness; the operator is told."""
        shop.map("101")

        def fail(_: object) -> str:
            raise OSError("no entropy")

        with monkeypatch.context() as broken:
            broken.setattr(secrets, "randbits", fail)
            refused = shop.post(Order().fields())

        assert refused.status_code == 503
        assert "Retry-After" in refused.headers
        assert "<sig" not in refused.text
        assert states(shop) == ["held"]
        assert licenses(shop) == []
        [alert] = alerts(shop)
        assert "An internal error: OSError." in alert

        answer = shop.post(Order().fields())

        assert is_receipted(answer, Order())
        assert states(shop) == ["done"]
        assert len(licenses(shop)) == 1

    def test_row_57_a_mail_server_that_is_down_delays_the_mail_alone(self, open_shop: OpenShop, clock: Clock) -> None:
        """The order is receipted, and its mail goes out when the server is back."""
        mail_server = MailServer()
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101")

        answer = shop.post(Order().fields())
        shop.service.delivery.work_off()

        assert is_receipted(answer, Order())
        [row] = waiting(shop, "mail")
        assert (row["state"], row["attempts"], row["due_at"]) == ("due", 1, "2026-01-01T12:01:00Z")
        assert f"127.0.0.1:{mail_server.port} cannot be used" in row["last_error"]

        clock.now = clock.now.replace(minute=1)
        mail_server.controller.start()
        shop.service.delivery.work_off()
        mail_server.controller.stop()

        assert [row["state"] for row in waiting(shop, "mail")] == ["done"]
        assert len(mail_server.envelopes) == 1

    @ON_ONE_ENGINE
    @pytest.mark.slow
    def test_a_silent_mail_server_does_not_delay_the_receipt(self, shop: Shop, tmp_path: Path) -> None:
        """The running worker waits for the mail server, the second order does not wait for the worker."""
        shop.map("101")
        first, second = Order(), Order(refno="900000002", lines=[Line(ref="CCCCCCCCCC")])
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(20)
            settings = {"worker": "true", "mail__host": "127.0.0.1", "mail__port": str(silent.getsockname()[1])}
            with serving(tmp_path / "qlmhook.toml", overrides=settings) as server:
                server.post(form_body(signed(first.fields(), KEY, ["sha3_256"])))
                connection, _ = silent.accept()
                started = time.monotonic()

                answer = server.post(form_body(signed(second.fields(), KEY, ["sha3_256"])))

                took = time.monotonic() - started
                connection.close()
                silent.close()

        assert receipt_is_valid(answer.text, KEY, second.receipt_values(), "sha3_256")
        assert took < 5

    def test_row_58_a_crash_at_any_moment_leaves_one_key_and_one_mail(self, configure: Configure) -> None:
        """Wherever the process dies, also between issuing and answering, the retry gets the same key."""
        clock = DyingClock()
        shop = Shop(configure(), clock)
        shop.map("101")
        keys_before_the_retry = []

        for nth in count(1):
            order = Order(refno=f"{900000000 + nth}", lines=[Line(ref=f"REF{nth}")])
            try:
                clock.looks_left = nth
                shop.post(order.fields())
                break
            except SystemExit:
                clock.looks_left = 0
            keys = [row["key"] for row in licenses(shop) if row["order_ref"] == order.refno]
            keys_before_the_retry.append(len(keys))

            answer = shop.post(order.fields())

            assert is_receipted(answer, order)
            [license] = [row for row in licenses(shop) if row["order_ref"] == order.refno]
            assert keys in ([], [license["key"]])
            assert [row["order_ref"] for row in waiting(shop, "mail")].count(order.refno) == 1
        shop.service.database.close()

        assert set(keys_before_the_retry) == {0, 1}
