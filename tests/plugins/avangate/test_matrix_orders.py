"""What becomes of an order, from the HTTP request on; "row" is the row of the protocol notes' test matrix."""

import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from qlmhook.catalog import mappings
from qlmhook.inbox import fact_store, notification_store
from qlmhook.storage import models
from tests.conftest import KEY, MAPPING, Clock, Configure, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed, vector
from tests.support.looking import alerts, is_receipted, licenses, mails, notifications, states, text_of, waiting
from tests.support.server import command, serving

ALPHA = Line()
BETA = Line(pid="102", name="Beta", ref="BBBBBBBBBB", expires="2027-06-01 00:00:00")

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
    """Rows 28 to 36: which messages about an order fulfil it, and that they do it once."""

    def test_a_pending_order_is_receipted_and_nothing_is_issued(self, open_shop: OpenShop) -> None:
        """Row 28: 2Checkout's own PENDING message, with order number 0, dates of zeros and empty license arrays."""
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
            pytest.param([{"status": "PAYMENT_AUTHORIZED"}, {"ipn_date": "20260101100600"}], id="authorized, complete"),
            pytest.param([{"status": "PAYMENT_RECEIVED"}, {"ipn_date": "20260103100000"}], id="received, complete"),
            pytest.param([{}], id="complete"),
            pytest.param([{}, {"ipn_date": "20260101110000"}], id="complete again with the invoice"),
            pytest.param([{}, {"status": "PAYMENT_AUTHORIZED"}], id="authorized arrives after complete"),
            pytest.param(
                [
                    {"extra": [("MESSAGE_ID", f"25084748143{number}")], "ipn_date": f"2026010{number}100500"}
                    for number in range(1, 4)
                ],
                id="sent three times with new MESSAGE_ID, IPN_DATE and signature",
            ),
        ],
    )
    def test_an_order_is_fulfilled_once_and_each_message_receipted(
        self, shop: Shop, messages: Sequence[dict[str, object]]
    ) -> None:
        """Rows 29, 30 and 31."""
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
    def test_a_late_message_changes_nothing(self, shop: Shop, status: str) -> None:
        """Row 33: what is not a payment does not take back what was issued."""
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
    def test_a_status_that_is_no_payment_is_receipted_kept_and_issues_nothing(self, shop: Shop, status: str) -> None:
        """Row 34."""
        shop.map("101")
        order = Order(status=status)

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert [(row["order_status"], row["state"]) for row in notifications(shop)] == [(status, "ignored")]
        assert licenses(shop) == []

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("fraud_status", ["DENIED", "UNDER REVIEW", "PENDING"])
    def test_a_payment_under_review_is_held_until_the_approval_arrives(self, shop: Shop, fraud_status: str) -> None:
        """Row 35: the operator is told once, and the approval frees what was held."""
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
    def test_the_tags_of_qlms_page_are_enough(self, shop: Shop) -> None:
        """Row 36: an order without the tags that QLM's page has merchants leave out is fulfilled, and is no test."""
        shop.map("101")
        order = Order()
        names = {name for name, _ in order.fields()}

        answer = shop.post(order.fields())

        assert names.isdisjoint({"FRAUD_STATUS", "MESSAGE_TYPE", "MESSAGE_ID", "TEST_ORDER", "TIMEZONE_OFFSET"})
        assert is_receipted(answer, order)
        assert [row["test"] for row in licenses(shop)] == [False]


@ON_ONE_ENGINE
class TestMissingTags:
    """Row 37: what 2Checkout sends when the merchant has not ticked what is needed."""

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
    def test_the_operator_is_told_once_which_tag_to_tick(self, shop: Shop, body: bytes, missing: str) -> None:
        """Row 37: it gets no receipt, so that 2Checkout sends it until the tag is ticked; it is kept as held."""
        shop.map("101")

        answers = [shop.post_body(body) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [400, 400]
        assert not any("<sig" in answer.text for answer in answers)
        assert states(shop) == ["held"]
        assert licenses(shop) == []
        [alert] = alerts(shop)
        assert f"lacks {missing}: tick it " in alert


class TestLines:
    """Rows 38 to 43: what each line of an order becomes."""

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("more", "activations"),
        [
            pytest.param("", [1, 3], id="one key for the quantity"),
            pytest.param("&is_usemultipleactivationskey=false", [1, 1, 1, 1], id="one key for each unit"),
        ],
    )
    def test_two_products_become_the_keys_of_each(self, shop: Shop, more: str, activations: list[int]) -> None:
        """Row 38: quantities 1 and 3; each license carries its own line's subscription."""
        data = vector("synthetic/ipn-two-products")
        shop.map("101")
        shop.map("102", f"{MAPPING}{more}")

        answer = shop.post_body(form_body(data["fields"]))

        assert receipt_is_valid(answer.text, KEY, ["101", "Alpha", dict(data["fields"])["IPN_DATE"]], "sha3_256")
        found = licenses(shop)
        assert [row["activations"] for row in found] == activations
        assert [row["subscription_ref"] for row in found] == ["AAAAAAAAAA"] + ["BBBBBBBBBB"] * (len(found) - 1)
        assert len({row["key"] for row in found}) == len(activations)

    @ON_ONE_ENGINE
    def test_each_line_has_its_own_expiry(self, shop: Shop) -> None:
        """Row 38: the date of a line is found by its product, wherever it stands in the license arrays."""
        shop.map("101")
        shop.map("102")
        swapped = [
            ("IPN_LICENSE_PROD[]", "102"),
            ("IPN_LICENSE_PROD[]", "101"),
            ("IPN_LICENSE_EXP[]", "2028-02-02 12:00:00"),
            ("IPN_LICENSE_EXP[]", "2027-01-01 12:00:00"),
        ]

        shop.post(Order(lines=[ALPHA, BETA], extra=swapped).fields())

        assert [(row["vendor_product_id"], row["expires_at"]) for row in licenses(shop)] == [
            ("101", "2027-01-01T10:00:00Z"),
            ("102", "2028-02-02T10:00:00Z"),
        ]

    def test_a_line_without_a_mapping_is_held_and_the_others_fulfilled(self, shop: Shop) -> None:
        """Row 39."""
        shop.map("101")
        order = Order(lines=[ALPHA, BETA])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert [row["vendor_product_id"] for row in licenses(shop)] == ["101"]
        [row] = notifications(shop)
        assert row["state"] == "held"
        assert row["reason"] == "Product 102 ('Beta') has no mapping: set the property pid_102."

    @pytest.mark.parametrize("refs", [("AAAAAAAAAA", "BBBBBBBBBB"), ("", "")], ids=["subscriptions", "none"])
    def test_two_lines_of_one_product_are_both_fulfilled(self, shop: Shop, refs: tuple[str, str]) -> None:
        """Row 40: also when nothing but their place tells them apart, and also when the message is repeated."""
        shop.map("101")
        lines = [Line(ref=refs[0], quantity="1"), Line(ref=refs[1], quantity="2")]

        shop.post(Order(lines=lines).fields())
        shop.post(Order(lines=lines, ipn_date="20260101110000").fields())

        assert [(row["subscription_ref"], row["quantity"]) for row in licenses(shop)] == [(refs[0], 1), (refs[1], 2)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("quantity", ["0", "-1", "abc", "1.5", "", "1000000", "9" * 30])
    def test_a_quantity_that_makes_no_sense_is_held(self, shop: Shop, quantity: str) -> None:
        """Row 41: it is receipted and the operator told; the other line of the order is fulfilled."""
        shop.map("101")
        shop.map("102")
        order = Order(lines=[Line(quantity=quantity), BETA])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == ["held"]
        assert [row["vendor_product_id"] for row in licenses(shop)] == ["102"]
        assert len(alerts(shop)) == 1

    def test_a_later_message_with_a_usable_quantity_frees_the_line(self, shop: Shop) -> None:
        """Row 41: what was held for the first message is done with the second."""
        shop.map("101")
        shop.post(Order(lines=[Line(quantity="abc")]).fields())

        shop.post(Order(lines=[Line(quantity="2")], ipn_date="20260101110000").fields())

        assert states(shop) == ["done", "done"]
        assert [row["quantity"] for row in licenses(shop)] == [2]

    @ON_ONE_ENGINE
    def test_the_options_of_a_product_are_kept_with_its_line(self, shop: Shop) -> None:
        """Row 42: the chosen values are read by product id, and TIMEZONE_OFFSET counts for the license's end."""
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
            Line(expires="9999-12-31 23:59:59", lifetime="YES"),
            Line(expires="9999-12-31 23:59:59"),
            Line(expires="9999-12-31"),
            Line(expires="", lifetime="YES"),
            Line(expires="2027-01-01 00:00:00", lifetime="YES"),
        ],
        ids=lambda line: f"{line.expires or 'no date'}, lifetime {line.lifetime}",
    )
    def test_a_lifetime_license_does_not_expire(self, shop: Shop, line: Line) -> None:
        """Row 43: whatever the mapping's duration, and west of Greenwich too, where year 9999 would overflow."""
        shop.map("101", f"{MAPPING}&is_expduration=30")

        shop.post(Order(lines=[line], extra=[("TIMEZONE_OFFSET", "GMT-05:00")]).fields())

        assert [(row["license_model"], row["expires_at"]) for row in licenses(shop)] == [("permanent", None)]

    @ON_ONE_ENGINE
    def test_a_negative_payable_amount_is_no_refund(self, shop: Shop) -> None:
        """Row 54: a tiny sale may cost the vendor more than it brings."""
        shop.map("101")
        order = Order(extra=[("PAYABLE_AMOUNT", "-0.57")])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert [row["status"] for row in licenses(shop)] == ["active"]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("setting", "state", "marks"), [("ignore", "ignored", []), ("issue", "done", [True])], ids=["ignore", "issue"]
    )
    def test_the_setting_test_orders_decides_about_test_orders(
        self, open_shop: OpenShop, setting: str, state: str, marks: list[bool]
    ) -> None:
        """Row 55: ignored, or issued with a mark."""
        shop = open_shop(vendors__avangate__test_orders=setting)
        shop.map("101")
        order = Order(extra=[("TEST_ORDER", "1")])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == [state]
        assert [row["test"] for row in licenses(shop)] == marks


class TestFailures:
    """Rows 56 to 58: our own faults."""

    def test_what_cannot_be_applied_gets_no_receipt_and_is_fulfilled_when_sent_again(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Row 56: the key cannot be made because the system has no randomness; the operator is told."""
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

    def test_a_mail_server_that_is_down_delays_the_mail_alone(self, open_shop: OpenShop, clock: Clock) -> None:
        """Row 57: the order is receipted, and its mail goes out when the server is back."""
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
        """Row 57: the running worker waits for the mail server, the second order does not wait for the worker."""
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

    def test_a_crash_at_any_moment_leaves_one_key_and_one_mail(self, configure: Configure) -> None:
        """Row 58: wherever the process dies, also between issuing and answering, the retry gets the same key."""
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


Mend = Callable[[Shop, Path], None]


def replay_what_is_held(shop: Shop, _: Path) -> None:
    shop.map("102")
    with shop.service.database.reading():
        held = notification_store.held()
    for notification_id in held:
        shop.service.intake.replay(notification_id)


def set_the_property_on_the_command_line(_: Shop, config: Path) -> None:
    finished = command(config, "property", "set", "pid_102", MAPPING)

    assert finished.returncode == 0
    assert finished.stdout.endswith("Applied 2 of 2 held notifications.\n")


class TestHolds:
    """Lines that wait for a mapping which can be used."""

    def test_the_operator_is_told_once_for_each_product(self, shop: Shop) -> None:
        """However many orders wait for it."""
        shop.post(Order(lines=[ALPHA, BETA]).fields())
        shop.post(Order(refno="900000002", lines=[Line(ref="CCCCCCCCCC")]).fields())

        told = alerts(shop)

        assert sorted(text.partition(" (")[0] for text in told) == ["Product 101", "Product 102"]

    @pytest.mark.parametrize("mend", [replay_what_is_held, set_the_property_on_the_command_line])
    def test_what_is_held_is_applied_as_soon_as_the_mapping_is_there(
        self, shop: Shop, tmp_path: Path, mend: Mend
    ) -> None:
        """The line that was fulfilled at once keeps its key."""
        shop.map("101")
        shop.post(Order(lines=[ALPHA, BETA]).fields())
        shop.post(Order(refno="900000002", lines=[Line(pid="102", ref="CCCCCCCCCC")]).fields())
        [fulfilled] = licenses(shop)

        mend(shop, tmp_path / "qlmhook.toml")

        assert states(shop) == ["done", "done"]
        assert licenses(shop)[0] == fulfilled
        assert [row["subscription_ref"] for row in licenses(shop)] == ["AAAAAAAAAA", "BBBBBBBBBB", "CCCCCCCCCC"]

    def test_a_mapping_that_cannot_be_used_holds_its_lines_alone(self, shop: Shop) -> None:
        """It is the property which the mapping names that is gone."""
        shop.map("101")
        with shop.service.database.transaction():
            mappings.save("common", "&is_majorversion=1&is_minorversion=0", now=shop.clock())
        shop.map("102", "&is_productid=2&is_args=common")
        with shop.service.database.transaction():
            mappings.remove("common")
        order = Order(lines=[ALPHA, BETA])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == ["held"]
        assert [row["vendor_product_id"] for row in licenses(shop)] == ["101"]
        [alert] = alerts(shop)
        assert "The mapping of product 102 cannot be used: is_args names the property 'common'" in alert

    @pytest.mark.parametrize(
        ("lines", "state", "licensed"),
        [([BETA], "ignored", []), ([ALPHA, BETA], "done", ["101"])],
        ids=["alone", "two"],
    )
    def test_a_product_mapped_to_ignore_gets_no_license_and_no_alert(
        self, shop: Shop, lines: list[Line], state: str, licensed: list[str]
    ) -> None:
        """Nor does it hold the other lines."""
        shop.map("101")
        shop.map("102", "ignore")
        order = Order(lines=lines)

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == [state]
        assert [row["vendor_product_id"] for row in licenses(shop)] == licensed
        assert alerts(shop) == []


@ON_ONE_ENGINE
class TestTerms:
    """What the mapping and the order together make of a license."""

    @pytest.mark.parametrize(
        ("quantity", "more", "expected"),
        [
            pytest.param("3", "", [(3, 0)], id="one key has an activation for each unit"),
            pytest.param("3", "&is_numberofactivationsperkey=2", [(6, 0)], id="or several"),
            pytest.param("3", "&is_additionalactivations=5", [(8, 0)], id="and some on top"),
            pytest.param("2", "&is_usemultipleactivationskey=false", [(1, 0), (1, 0)], id="a key for each unit"),
            pytest.param(
                "2",
                "&is_usemultipleactivationskey=false&is_numberofactivationsperkey=4",
                [(4, 0), (4, 0)],
                id="each with several activations",
            ),
            pytest.param("2", "&is_floating=5", [(2, 10)], id="floating seats count for each unit"),
            pytest.param("2", "&is_floating=true", [(2, 2)], id="true means one seat"),
            pytest.param("2", "&is_licensemodel=subscription_floating", [(2, 2)], id="a floating model has seats"),
            pytest.param(
                "2", "&is_floating=5&is_usemultipleactivationskey=false", [(1, 5), (1, 5)], id="seats of each key"
            ),
        ],
    )
    def test_the_quantity_becomes_activations_seats_and_keys(
        self, shop: Shop, quantity: str, more: str, expected: list[tuple[int, int]]
    ) -> None:
        shop.map("101", f"{MAPPING}{more}")

        shop.post(Order(lines=[Line(quantity=quantity)]).fields())

        assert [(row["activations"], row["floating_seats"]) for row in licenses(shop)] == expected

    @pytest.mark.parametrize(
        ("expires", "more", "model", "expected"),
        [
            pytest.param(
                "2027-01-01 00:00:00",
                "&is_expdate=2026-06-30&is_expduration=10",
                "subscription",
                "2026-12-31T22:00:00Z",
                id="the vendor's date wins",
            ),
            pytest.param(
                "2027-01-01",
                "",
                "subscription",
                "2027-01-01T21:59:59Z",
                id="a date without a time is the end of that day",
            ),
            pytest.param(
                "", "&is_expdate=2026-06-30", "subscription", "2026-06-30T20:59:59Z", id="then the mapping's date"
            ),
            pytest.param(
                "0000-00-00 00:00:00",
                "&is_expduration=30",
                "subscription",
                "2026-01-31T21:59:59Z",
                id="then its duration, from the day of the sale",
            ),
            pytest.param(
                "",
                "&is_expdate=2026-06-30&is_expduration=30",
                "subscription",
                "2026-01-31T21:59:59Z",
                id="of date and duration the earlier",
            ),
            pytest.param("", "", "permanent", None, id="with neither it never ends"),
            pytest.param(
                "",
                "&is_licensemodel=trial&is_expduration=14",
                "trial",
                "2026-01-15T21:59:59Z",
                id="a trial lasts as long as its mapping says",
            ),
        ],
    )
    def test_the_end_of_a_license(self, shop: Shop, expires: str, more: str, model: str, expected: str | None) -> None:
        shop.map("101", f"{MAPPING}{more}")

        shop.post(Order(lines=[Line(expires=expires)]).fields())

        assert [(row["license_model"], row["expires_at"]) for row in licenses(shop)] == [(model, expected)]

    @pytest.mark.parametrize("model", ["subscription", "trial", "subscription_floating"])
    def test_a_subscription_without_any_end_is_held(self, shop: Shop, model: str) -> None:
        """It would be a permanent license otherwise; the date in a later message frees it."""
        shop.map("101", f"{MAPPING}&is_licensemodel={model}")
        order = Order(lines=[Line(expires="")])

        answer = shop.post(order.fields())

        assert is_receipted(answer, order)
        assert states(shop) == ["held"]
        assert licenses(shop) == []

        shop.post(Order(ipn_date="20260101110000").fields())

        assert states(shop) == ["done", "done"]
        assert [row["expires_at"] for row in licenses(shop)] == ["2026-12-31T22:00:00Z"]


class TestCustomers:
    """Who bought."""

    def test_one_address_is_one_customer(self, shop: Shop) -> None:
        """In any letter case; the newest message counts, and what it leaves empty is kept."""
        shop.map("101")
        first = Order(email="Ann@Example.com", extra=[("COMPANY", "Example Ltd"), ("CITY", "Riga")])
        second = Order(
            refno="900000002",
            email="ann@example.com",
            last_name="Jones",
            lines=[Line(ref="CCCCCCCCCC")],
            ipn_date="20260201000000",
            extra=[("CITY", "Oslo")],
        )

        shop.post(first.fields())
        shop.post(second.fields())
        shop.post(first.changed(ipn_date="20260101110000").fields())

        assert [row["customer"]["full_name"] for row in licenses(shop)] == ["Ann Jones", "Ann Jones"]
        with shop.service.database.reading():
            [customer] = models.Customer.select()
        assert (customer.company, customer.city) == ("Example Ltd", "Oslo")

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("email", ["", "nobody", "a@b@example.com", "a@example.com, b@example.com"])
    def test_an_order_without_a_usable_address_is_licensed_and_the_operator_told(self, shop: Shop, email: str) -> None:
        """Once, however often the order is sent again."""
        shop.map("101")
        order = Order(email=email)

        answer = shop.post(order.fields())
        shop.post(order.changed(ipn_date="20260101110000").fields())

        assert is_receipted(answer, order)
        assert [row["customer"]["email"] for row in licenses(shop)] == [""]
        assert waiting(shop, "mail") == []
        [alert] = alerts(shop)
        assert "Order 900000001 came without an e-mail address" in alert


class TestMails:
    """What the customer gets for an order."""

    def test_one_mail_lists_all_keys_of_an_order(self, open_shop: OpenShop, mail_server: MailServer) -> None:
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101")
        shop.map("102", f"{MAPPING}&is_usemultipleactivationskey=false")

        shop.post(Order(lines=[ALPHA, replace(BETA, quantity="2")]).fields())
        shop.service.delivery.work_off()

        [mail] = mails(mail_server)
        assert mail["To"] == "a@example.com"
        keys = [row["key"] for row in licenses(shop)]
        assert len(keys) == 3
        assert all(key in text_of(mail) for key in keys)

    def test_each_template_is_a_mail_of_its_own(self, open_shop: OpenShop, mail_server: MailServer) -> None:
        """A product without a template is not mailed."""
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101")
        shop.map("102", MAPPING.replace("NewOrder", "Renewal"))
        shop.map("103", MAPPING.partition("&is_emailtemplate")[0])

        shop.post(Order(lines=[ALPHA, BETA, Line(pid="103", ref="CCCCCCCCCC")]).fields())
        shop.service.delivery.work_off()

        keys = [row["key"] for row in licenses(shop)]
        found = [[key in text_of(mail) for key in keys] for mail in mails(mail_server)]
        assert sorted(found, reverse=True) == [[True, False, False], [False, True, False]]

    def test_a_line_that_was_held_is_mailed_when_it_is_fulfilled(
        self, open_shop: OpenShop, mail_server: MailServer, tmp_path: Path
    ) -> None:
        """The mail that went out before is not repeated."""
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101")
        shop.post(Order(lines=[ALPHA, BETA]).fields())
        shop.service.delivery.work_off()

        replay_what_is_held(shop, tmp_path)
        shop.service.delivery.work_off()

        keys = [row["key"] for row in licenses(shop)]
        to_customer = [mail for mail in mails(mail_server) if mail["To"] == "a@example.com"]
        assert [[key in text_of(mail) for key in keys] for mail in to_customer] == [[True, False], [False, True]]
