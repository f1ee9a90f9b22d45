"""What becomes of a license, from the HTTP request on; "row" is the row of the protocol notes' test matrix.

Rows 54 to 58 are in test_matrix_orders.py: they are about the order itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.test import TestResponse

from qlmhook.reports.listings import Row
from tests.conftest import KEY, MAPPING, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields, form_body, receipt_is_valid, vector
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import REVOKING
from tests.support.looking import alerts, is_receipted, licenses, notifications, states, waiting

ON_ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is decided before the database is asked."""


ALPHA = Line()
BETA = Line(pid="102", name="Beta", ref="BBBBBBBBBB", expires="2027-06-01 00:00:00")
FIRST_END = "2026-12-31T22:00:00Z"
RENEWAL = Order(
    refno="900000002",
    sale_date="2026-12-01 10:00:00",
    ipn_date="20261201100500",
    lines=[Line(expires="2028-01-01 00:00:00")],
)
RENEWED_END = "2027-12-31T22:00:00Z"


def post_vector(shop: Shop, name: str) -> TestResponse:
    return shop.post_body(form_body(vector(name)["fields"]))


def is_receipted_as_lcn(answer: TestResponse, subscription: Subscription) -> bool:
    return answer.status_code == 200 and receipt_is_valid(answer.text, KEY, subscription.receipt_values(), "sha3_256")


def pick(rows: Sequence[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def chargeback(resolution: str, day: int = 2) -> Order:
    return Order(ipn_date=f"202601{day:02}100500", extra=[("CHARGEBACK_RESOLUTION", resolution)])


def at(shop: Shop, text: str) -> None:
    """Let it be another time, in UTC."""
    shop.clock.now = datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestDates:
    """Rows 44 and 45: when a license ends."""

    AUTHORIZED = Order(status="PAYMENT_AUTHORIZED", lines=[Line(expires="")])

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        "bringing",
        [
            pytest.param(Order(ipn_date="20260101110000"), id="COMPLETE"),
            pytest.param(Subscription(), id="an LCN"),
        ],
    )
    def test_the_mappings_term_counts_until_the_date_arrives(self, shop: Shop, bringing: Order | Subscription) -> None:
        """Row 44: before it is confirmed, an order has no date."""
        shop.map("101", f"{MAPPING}&is_expduration=30")

        answer = shop.post(self.AUTHORIZED.fields())

        assert is_receipted(answer, self.AUTHORIZED)
        assert pick(licenses(shop), "expires_at") == [("2026-01-31T21:59:59Z",)]

        shop.post(bringing.fields())

        assert pick(licenses(shop), "expires_at") == [(FIRST_END,)]

    @ON_ONE_ENGINE
    def test_without_a_term_the_subscription_waits_for_its_lcn(self, shop: Shop) -> None:
        """Row 44: the order is held, and what the subscription says frees it."""
        shop.map("101", f"{MAPPING}&is_licensemodel=subscription")
        shop.post(self.AUTHORIZED.fields())

        assert states(shop) == ["held"]

        shop.post(Subscription(extra=[("ORIGINAL_ORDER_REFERENCE", self.AUTHORIZED.refno)]).fields())

        assert states(shop) == ["done", "done"]
        assert pick(licenses(shop), "expires_at") == [(FIRST_END,)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("expires", "offset", "zone", "end"),
        [
            ("2027-01-15 12:00:00", "GMT+02:00", "UTC", "2027-01-15T10:00:00Z"),
            ("2027-07-15 12:00:00", "GMT+03:00", "UTC", "2027-07-15T09:00:00Z"),
            ("2027-01-15 12:00:00", None, "Europe/Bucharest", "2027-01-15T10:00:00Z"),
            ("2027-07-15 12:00:00", None, "Europe/Bucharest", "2027-07-15T09:00:00Z"),
            ("2027-07-15 12:00:00", None, "America/New_York", "2027-07-15T16:00:00Z"),
        ],
    )
    def test_dates_are_of_the_messages_zone_or_else_the_accounts(
        self, open_shop: OpenShop, expires: str, offset: str | None, zone: str, end: str
    ) -> None:
        """Row 45: with its summer time."""
        shop = open_shop(vendors__avangate__timezone=zone)
        shop.map("101")
        extra = [("TIMEZONE_OFFSET", offset)] if offset else []

        shop.post(Order(lines=[Line(expires=expires)], extra=extra).fields())

        assert pick(licenses(shop), "expires_at") == [(end,)]


class TestRenewals:
    """Rows 46 to 49: a known subscription under a new order number."""

    def test_a_renewal_moves_the_end_of_the_same_key(self, shop: Shop) -> None:
        """Row 46: for the license of the renewed line alone, and the second time nothing changes."""
        shop.map("101")
        shop.map("102")
        post_vector(shop, "synthetic/ipn-two-products")
        before = licenses(shop)

        answers = [post_vector(shop, "synthetic/ipn-renewal") for _ in range(2)]

        for answer in answers:
            assert receipt_is_valid(answer.text, KEY, ["102", "Beta", "20270101000000"], "sha3_256")
        assert licenses(shop) == [before[0], {**before[1], "expires_at": RENEWED_END}]

    @ON_ONE_ENGINE
    def test_a_renewal_that_arrives_first_is_issued(self, shop: Shop) -> None:
        """Row 47: the customer has paid; the first order finds its license there, with the later end."""
        shop.map("101")

        answer = shop.post(RENEWAL.fields())

        assert is_receipted(answer, RENEWAL)
        [issued] = licenses(shop)
        assert (issued["order_ref"], issued["expires_at"]) == ("900000002", RENEWED_END)

        shop.post(Order().fields())

        assert pick(licenses(shop), "key", "order_ref", "expires_at") == [(issued["key"], "900000001", RENEWED_END)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("ipn_date", [RENEWAL.ipn_date, "20290101000000"], ids=["as it was", "with a new date"])
    def test_an_older_renewal_sent_again_shortens_nothing(self, shop: Shop, ipn_date: str) -> None:
        """Row 48: a message that is sent again may carry a new date of its own."""
        shop.map("101")
        newer = Order(
            refno="900000003",
            sale_date="2027-12-01 10:00:00",
            ipn_date="20271201100500",
            lines=[Line(expires="2029-01-01 00:00:00")],
        )
        for order in (Order(), RENEWAL, newer):
            shop.post(order.fields())
        before = licenses(shop)
        again = RENEWAL.changed(ipn_date=ipn_date)

        answer = shop.post(again.fields())

        assert is_receipted(answer, again)
        assert licenses(shop) == before
        assert pick(before, "expires_at") == [("2028-12-31T22:00:00Z",)]

    def test_another_product_of_the_same_subscription_is_an_upgrade(self, shop: Shop) -> None:
        """Row 49: the key stays, and becomes one of the new product."""
        shop.map("101")
        shop.map("102", "&is_productid=2&is_majorversion=3&is_minorversion=1&is_features=0:1")
        shop.post(Order().fields())
        [before] = licenses(shop)
        upgrade = RENEWAL.changed(lines=[Line(pid="102", name="Beta")])

        answer = shop.post(upgrade.fields())

        assert is_receipted(answer, upgrade)
        assert licenses(shop) == [
            {
                **before,
                "vendor_product_id": "102",
                "product_id": 2,
                "product_name": "Beta",
                "major_version": 3,
                "minor_version": 1,
                "features": "0:1",
            }
        ]


class TestMoneyBack:
    """Rows 50 to 53: refunds, cancellations and chargebacks."""

    def test_a_refunded_line_is_revoked(self, open_shop: OpenShop) -> None:
        """Row 50: the other line of the order, which the refund does not list, is left alone."""
        shop = open_shop(**REVOKING)
        shop.map("101")
        shop.map("102")
        post_vector(shop, "synthetic/ipn-two-products")

        answer = post_vector(shop, "synthetic/ipn-refund")

        assert receipt_is_valid(answer.text, KEY, ["101", "Alpha", "20260102000000"], "sha3_256")
        assert pick(licenses(shop), "vendor_product_id", "status") == [("101", "revoked"), ("102", "active")]

    @ON_ONE_ENGINE
    def test_what_was_refunded_first_is_not_issued_afterwards(self, open_shop: OpenShop) -> None:
        """Row 50: by none of the order's messages; nor is a customer mailed."""
        shop = open_shop(**REVOKING)
        shop.map("101")
        post_vector(shop, "synthetic/ipn-refund")
        late = [Order(status="PAYMENT_AUTHORIZED"), Order(), Order(ipn_date="20260103000000")]

        answers = [shop.post(order.fields()) for order in late]

        assert [is_receipted(answer, order) for answer, order in zip(answers, late, strict=True)] == [True] * 3
        assert licenses(shop) == []
        assert waiting(shop, "mail") == []

    @ON_ONE_ENGINE
    def test_a_partial_refund_of_one_line_leaves_the_other(self, open_shop: OpenShop) -> None:
        """Row 51: the line with the negative price is the one; the operator is told."""
        shop = open_shop(**REVOKING)
        shop.map("101")
        shop.map("102")
        lines = [ALPHA, BETA]
        shop.post(Order(lines=lines).fields())
        refund = Order(
            status="REFUND",
            lines=lines,
            ipn_date="20260102100500",
            extra=[("REFUND_TYPE", "FOO"), ("IPN_PRICE[]", "29.00"), ("IPN_PRICE[]", "-29.00")],
        )

        answer = shop.post(refund.fields())

        assert is_receipted(answer, refund)
        assert pick(licenses(shop), "vendor_product_id", "status") == [("101", "active"), ("102", "revoked")]
        assert len(alerts(shop)) == 1

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("status", ["REVERSED", "CANCELED"])
    def test_a_stale_authorization_does_not_issue_what_was_called_off(self, open_shop: OpenShop, status: str) -> None:
        """Row 52: it was made before, and arrives late."""
        shop = open_shop(**REVOKING)
        shop.map("101")
        shop.post(Order(status=status, ipn_date="20260102100500").fields())
        stale = Order(status="PAYMENT_AUTHORIZED")

        answer = shop.post(stale.fields())

        assert is_receipted(answer, stale)
        assert licenses(shop) == []

    @pytest.mark.parametrize(
        ("ending", "status"), [("WON", "active"), ("LOST", "revoked"), ("ACCEPTED", "revoked"), ("lost", "revoked")]
    )
    def test_a_chargeback_suspends_until_it_ends(self, shop: Shop, ending: str, status: str) -> None:
        """Row 53: each message rides on COMPLETE, and none issues or mails a key."""
        shop.map("101")
        shop.post(Order().fields())
        [before] = licenses(shop)
        opened, ended = chargeback("OPEN", 2), chargeback(ending, 3)

        answer = shop.post(opened.fields())

        assert is_receipted(answer, opened)
        assert pick(licenses(shop), "key", "status") == [(before["key"], "suspended")]

        answer = shop.post(ended.fields())

        assert is_receipted(answer, ended)
        assert pick(licenses(shop), "key", "status") == [(before["key"], status)]
        assert len(waiting(shop, "mail")) == 1


class TestSubscriptions:
    """Rows 59 to 64: what LCNs say."""

    def test_an_expired_subscription_ends_its_license(self, shop: Shop) -> None:
        """Row 59: the receipt is over LICENSE_CODE and EXPIRATION_DATE."""
        shop.map("102")
        shop.post(Order(lines=[BETA]).fields())

        answer = post_vector(shop, "synthetic/lcn-expired")

        assert receipt_is_valid(answer.text, KEY, ["BBBBBBBBBB", "2027-01-01"], "sha3_256")
        assert pick(licenses(shop), "status", "expires_at") == [("expired", FIRST_END)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            ("PAST DUE", "LICENCE_PASTDUE"),
            ("PAST DUE", "LICENCE_PAST_DUE"),
            ("PASTDUE", "LICENCE_PASTDUE"),
            ("PASTDUE", "LICENCE_PAST_DUE"),
            ("PAST_DUE", ""),
        ],
    )
    def test_past_due_is_spelled_in_several_ways(self, shop: Shop, status: str, reason: str) -> None:
        """Row 60: in each, the license can be used for the days of grace and no longer."""
        shop.map("101")
        shop.post(Order(lines=[Line(expires="2026-02-01 00:00:00")]).fields())
        past_due = Subscription(
            status=status,
            expired="1",
            expires="2026-02-01 00:00:00",
            updated="2026-02-01 00:10:00",
            extra=[("DISPATCH_REASON", reason), ("LICENSE_GRACE_PERIOD", "7")],
        )

        answer = shop.post(past_due.fields())

        assert is_receipted_as_lcn(answer, past_due)
        statuses = {}
        for time in ("2026-02-07 21:59:59", "2026-02-07 22:00:00"):
            at(shop, time)
            statuses[time] = pick(licenses(shop), "status")
        assert statuses == {"2026-02-07 21:59:59": [("active",)], "2026-02-07 22:00:00": [("expired",)]}

    @pytest.mark.parametrize(
        "stopping", [Subscription(disabled="1"), Subscription(status="DISABLED"), Subscription(status="CANCELED")]
    )
    def test_a_stopped_subscription_is_restored(self, shop: Shop, stopping: Subscription) -> None:
        """Row 61: by the message that it is active again, and by nothing else that happens."""
        shop.map("101")
        shop.post(Order().fields())
        active = licenses(shop)

        answer = shop.post(stopping.fields())
        shop.post(Order(ipn_date="20260111000000").fields())

        assert is_receipted_as_lcn(answer, stopping)
        assert pick(licenses(shop), "status") == [("suspended",)]

        shop.post(Subscription(updated="2026-01-12 12:00:00").fields())

        assert licenses(shop) == active

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("reason", ["SCHEDULED_FOR_CANCELATION_ON_DEMAND", "REVERT_CANCELATION_ON_DEMAND"])
    def test_no_renewal_in_future_takes_nothing_away_today(self, shop: Shop, reason: str) -> None:
        """Row 61: RECURRING=0 ends the payments, not the access."""
        shop.map("101")
        shop.post(Order().fields())
        before = licenses(shop)

        shop.post(Subscription(extra=[("RECURRING", "0"), ("DISPATCH_REASON", reason)]).fields())

        assert licenses(shop) == before

    def test_a_paused_subscription_is_resumed(self, shop: Shop) -> None:
        """Row 62: before the end of its pause, by the message that it is active."""
        shop.map("101")
        shop.post(Order().fields())
        active = licenses(shop)
        at(shop, "2026-01-10 10:05:00")
        paused = Subscription(
            status="PAUSED", extra=[("PAUSE_START_DATE", "2026-01-10"), ("PAUSE_END_DATE", "2026-02-10")]
        )

        answer = shop.post(paused.fields())

        assert is_receipted_as_lcn(answer, paused)
        assert pick(licenses(shop), "status", "suspended_until") == [("suspended", "2026-02-10T21:59:59Z")]

        shop.post(Subscription(updated="2026-01-20 12:00:00").fields())

        assert licenses(shop) == active

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        "late",
        [
            pytest.param(Subscription(updated="2026-01-09 12:00:00", disabled="1"), id="older"),
            pytest.param(Subscription(status="PAUSED"), id="the same"),
        ],
    )
    def test_what_was_updated_earlier_or_is_known_changes_nothing(self, shop: Shop, late: Subscription) -> None:
        """Row 63."""
        shop.map("101")
        shop.post(Order().fields())
        shop.post(Subscription(status="PAUSED").fields())
        before = licenses(shop)

        answer = shop.post(late.fields())

        assert is_receipted_as_lcn(answer, late)
        assert licenses(shop) == before

    @ON_ONE_ENGINE
    def test_an_unknown_subscription_is_kept_until_its_order_arrives(self, shop: Shop) -> None:
        """Row 64: nobody has to do anything, so nobody is told."""
        shop.map("101")
        paused = Subscription(status="PAUSED")

        answer = shop.post(paused.fields())

        assert is_receipted_as_lcn(answer, paused)
        assert pick(notifications(shop), "kind", "order_status", "state") == [("lcn", "PAUSED", "held")]
        assert alerts(shop) == []

        shop.post(Order().fields())

        assert states(shop) == ["done", "done"]
        assert pick(licenses(shop), "status") == [("suspended",)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        ("setting", "state", "status"),
        [("ignore", "ignored", "active"), ("issue", "done", "suspended")],
        ids=["ignore", "issue"],
    )
    def test_the_setting_test_orders_decides_about_test_subscriptions(
        self, open_shop: OpenShop, setting: str, state: str, status: str
    ) -> None:
        """Row 64: a test that is ignored does nothing to a license of the same reference."""
        shop = open_shop(vendors__avangate__test_orders=setting)
        shop.map("101")
        shop.post(Order().fields())
        test = Subscription(disabled="1", extra=[("TEST", "1")])

        answer = shop.post(test.fields())

        assert is_receipted_as_lcn(answer, test)
        assert states(shop) == ["done", state]
        assert pick(licenses(shop), "status") == [(status,)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        "fields",
        [
            [("EXPIRATION_DATE_TIME", "9999-12-31 23:59:59"), ("EXPIRATION_DATE", "9999-12-31")],
            [("EXPIRATION_DATE_TIME", ""), ("EXPIRATION_DATE", "9999-12-31"), ("TIMEZONE_OFFSET", "GMT-05:00")],
            [("LICENSE_LIFETIME", "1")],
        ],
    )
    def test_a_subscription_without_end_is_a_license_without_end(self, shop: Shop, fields: Fields) -> None:
        """Row 64."""
        shop.map("101")
        shop.post(Order(lines=[replace(ALPHA, expires="2027-01-01")]).fields())

        shop.post(Subscription(extra=fields).fields())

        assert pick(licenses(shop), "status", "expires_at") == [("active", None)]
