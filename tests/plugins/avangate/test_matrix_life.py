"""Rows 44 to 53 and 59 to 64 of the protocol notes' test matrix: what becomes of a license, from the request on.

The test of a row has its number in its name, and there is one. A row that is a fact of the core has its test here all
the same: as a story that 2Checkout's message begins, which tests/journeys do not tell again. Which cases there are is
told where they are decided: what a message means in test_ipn.py and test_lcn.py, what becomes of a license in
tests/domain. Rows 54 to 58 are in test_matrix_orders.py: they are about the order itself.
"""

from datetime import UTC, datetime

import pytest
from werkzeug.test import TestResponse

from tests.conftest import KEY, MAPPING, OpenShop, Shop
from tests.plugins.avangate.orders import ALPHA, BETA, Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, vector
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import (
    FIRST_END,
    RENEWAL,
    RENEWED_END,
    REVOKING,
    chargeback,
    pick,
    refund_of,
    renewed,
    status_at,
)
from tests.support.looking import alerts, is_receipted, licenses, notifications, states, waiting

ON_ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is decided before the database is asked."""


FLOATING = "&is_licensemodel=subscription_floating&is_floating=4"


def post_vector(shop: Shop, name: str) -> TestResponse:
    return shop.post_body(form_body(vector(name)["fields"]))


def is_receipted_as_lcn(answer: TestResponse, subscription: Subscription) -> bool:
    return answer.status_code == 200 and receipt_is_valid(answer.text, KEY, subscription.receipt_values(), "sha3_256")


class TestDates:
    """When a license ends."""

    AUTHORIZED = Order(status="PAYMENT_AUTHORIZED", lines=[Line(expires="")])

    @ON_ONE_ENGINE
    @pytest.mark.parametrize(
        "bringing",
        [
            pytest.param(Order(ipn_date="20260101110000"), id="COMPLETE"),
            pytest.param(Subscription(), id="an LCN"),
        ],
    )
    def test_row_44_the_mappings_term_counts_until_the_date_arrives(
        self, shop: Shop, bringing: Order | Subscription
    ) -> None:
        """Before it is confirmed, an order has no date."""
        shop.map("101", f"{MAPPING}&is_expduration=30")

        answer = shop.post(self.AUTHORIZED.fields())

        assert is_receipted(answer, self.AUTHORIZED)
        assert pick(shop, "expires_at") == [("2026-01-31T21:59:59Z",)]

        shop.post(bringing.fields())

        assert pick(shop, "expires_at") == [(FIRST_END,)]

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
    def test_row_45_dates_are_of_the_messages_zone_or_else_the_accounts(
        self, open_shop: OpenShop, expires: str, offset: str | None, zone: str, end: str
    ) -> None:
        """With its summer time."""
        shop = open_shop(vendors__avangate__timezone=zone)
        shop.map("101")
        extra = [("TIMEZONE_OFFSET", offset)] if offset else []

        shop.post(Order(lines=[Line(expires=expires)], extra=extra).fields())

        assert pick(shop, "expires_at") == [(end,)]


class TestRenewals:
    """A known subscription under a new order number."""

    def test_row_46_a_renewal_moves_the_end_of_the_same_key(self, shop: Shop) -> None:
        """For the license of the renewed line alone, and the second time nothing changes."""
        shop.map("101")
        shop.map("102")
        post_vector(shop, "synthetic/ipn-two-products")
        before = licenses(shop)

        answers = [post_vector(shop, "synthetic/ipn-renewal") for _ in range(2)]

        for answer in answers:
            assert receipt_is_valid(answer.text, KEY, ["102", "Beta", "20270101000000"], "sha3_256")
        assert licenses(shop) == [before[0], {**before[1], "expires_at": RENEWED_END}]

    @ON_ONE_ENGINE
    def test_row_47_a_renewal_that_arrives_first_is_issued(self, shop: Shop) -> None:
        """The customer has paid; the first order finds its license there, with the later end."""
        shop.map("101")

        answer = shop.post(RENEWAL.fields())

        assert is_receipted(answer, RENEWAL)
        [issued] = licenses(shop)
        assert (issued["order_ref"], issued["expires_at"]) == ("900000002", RENEWED_END)

        shop.post(Order().fields())

        assert pick(shop, "key", "order_ref", "expires_at") == [(issued["key"], "900000001", RENEWED_END)]

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("ipn_date", [RENEWAL.ipn_date, "20290101000000"], ids=["as it was", "with a new date"])
    def test_row_48_an_older_renewal_sent_again_shortens_nothing(self, shop: Shop, ipn_date: str) -> None:
        """A message that is sent again may carry a new date of its own."""
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
        assert pick(shop, "expires_at") == [("2028-12-31T22:00:00Z",)]

    def test_row_49_another_product_of_the_same_subscription_is_an_upgrade(self, shop: Shop) -> None:
        """The key stays, and becomes one of the new product, by its mapping and with its end."""
        shop.map("101")
        shop.map("102", f"&is_productid=2&is_majorversion=3&is_minorversion=1&is_features=0:1{FLOATING}")
        shop.post(Order().fields())
        [before] = licenses(shop)
        upgrade = RENEWAL.changed(lines=[renewed(pid="102", name="Beta")])

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
                "license_model": "subscription_floating",
                "floating_seats": 4,
                "expires_at": RENEWED_END,
            }
        ]


class TestMoneyBack:
    """Refunds, cancellations and chargebacks."""

    def test_row_50_a_refunded_line_is_revoked_or_never_issued(self, open_shop: OpenShop) -> None:
        """The other line of the order is left alone; of an order that is refunded first no message issues anything."""
        shop = open_shop(**REVOKING)
        shop.map("101")
        shop.map("102")
        post_vector(shop, "synthetic/ipn-two-products")

        answer = post_vector(shop, "synthetic/ipn-refund")

        assert receipt_is_valid(answer.text, KEY, ["101", "Alpha", "20260102000000"], "sha3_256")
        statuses = [("101", "revoked"), ("102", "active")]
        assert pick(shop, "vendor_product_id", "status") == statuses

        other = Order(refno="900000009", lines=[Line(ref="CCCCCCCCCC")])
        shop.post(refund_of(other, ipn_date="20260102100500").fields())
        late = [other.changed(status="PAYMENT_AUTHORIZED"), other, other.changed(ipn_date="20260103000000")]

        answers = [shop.post(order.fields()) for order in late]

        assert [is_receipted(answer, order) for answer, order in zip(answers, late, strict=True)] == [True] * 3
        assert pick(shop, "vendor_product_id", "status") == statuses
        assert other.refno not in [row["order_ref"] for row in waiting(shop, "mail")]

    @ON_ONE_ENGINE
    def test_row_51_a_partial_refund_of_one_line_leaves_the_other(self, open_shop: OpenShop) -> None:
        """The line with the negative price is the one; the operator is told."""
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
        assert pick(shop, "vendor_product_id", "status") == [("101", "active"), ("102", "revoked")]
        assert len(alerts(shop)) == 1

    @ON_ONE_ENGINE
    @pytest.mark.parametrize("status", ["REVERSED", "CANCELED"])
    def test_row_52_a_stale_authorization_does_not_issue_what_was_called_off(
        self, open_shop: OpenShop, status: str
    ) -> None:
        """It was made before, and arrives late."""
        shop = open_shop(**REVOKING)
        shop.map("101")
        shop.post(Order(status=status, ipn_date="20260102100500").fields())
        stale = Order(status="PAYMENT_AUTHORIZED")

        answer = shop.post(stale.fields())

        assert is_receipted(answer, stale)
        assert licenses(shop) == []

    @pytest.mark.parametrize(("ending", "status"), [("WON", "active"), ("LOST", "revoked"), ("ACCEPTED", "revoked")])
    def test_row_53_a_chargeback_suspends_until_it_ends(self, shop: Shop, ending: str, status: str) -> None:
        """Each message rides on COMPLETE, and none issues or mails a key."""
        shop.map("101")
        shop.post(Order().fields())
        [before] = licenses(shop)
        opened, ended = chargeback("OPEN", 2), chargeback(ending, 3)

        answer = shop.post(opened.fields())

        assert is_receipted(answer, opened)
        assert pick(shop, "key", "status") == [(before["key"], "suspended")]

        answer = shop.post(ended.fields())

        assert is_receipted(answer, ended)
        assert pick(shop, "key", "status") == [(before["key"], status)]
        assert len(waiting(shop, "mail")) == 1


class TestSubscriptions:
    """What LCNs say."""

    def test_row_59_an_expired_subscription_ends_its_license(self, shop: Shop) -> None:
        """The receipt is over LICENSE_CODE and EXPIRATION_DATE."""
        shop.map("102")
        shop.post(Order(lines=[BETA]).fields())

        answer = post_vector(shop, "synthetic/lcn-expired")

        assert receipt_is_valid(answer.text, KEY, ["BBBBBBBBBB", "2027-01-01"], "sha3_256")
        assert pick(shop, "status", "expires_at") == [("expired", FIRST_END)]

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
    def test_row_60_past_due_is_spelled_in_several_ways(self, shop: Shop, status: str, reason: str) -> None:
        """In each, the license can be used for the days of grace and no longer."""
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
        assert pick(shop, "grace_until") == [("2026-02-07T22:00:00Z",)]
        assert status_at(shop, "2026-02-07 21:59:59", "2026-02-07 22:00:00") == ["active", "expired"]

    def test_row_61_a_stopped_subscription_is_restored(self, shop: Shop) -> None:
        """By the message that it is active again alone; RECURRING=0 ends the payments, not the access."""
        shop.map("101")
        shop.post(Order().fields())
        active = licenses(shop)
        shop.post(Subscription(updated="2026-01-09 12:00:00", extra=[("RECURRING", "0")]).fields())

        assert licenses(shop) == active

        stopping = Subscription(disabled="1")
        answer = shop.post(stopping.fields())
        shop.post(Order(ipn_date="20260111000000").fields())

        assert is_receipted_as_lcn(answer, stopping)
        assert pick(shop, "status") == [("suspended",)]

        shop.post(Subscription(updated="2026-01-12 12:00:00").fields())

        assert licenses(shop) == active

    def test_row_62_a_paused_subscription_is_resumed(self, shop: Shop) -> None:
        """Before the end of its pause, by the message that it is active."""
        shop.map("101")
        shop.post(Order().fields())
        active = licenses(shop)
        shop.clock.now = datetime(2026, 1, 10, 10, 5, tzinfo=UTC)
        paused = Subscription(
            status="PAUSED", extra=[("PAUSE_START_DATE", "2026-01-10"), ("PAUSE_END_DATE", "2026-02-10")]
        )

        answer = shop.post(paused.fields())

        assert is_receipted_as_lcn(answer, paused)
        assert pick(shop, "status", "suspended_until") == [("suspended", "2026-02-10T21:59:59Z")]

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
    def test_row_63_what_was_updated_earlier_or_is_known_changes_nothing(self, shop: Shop, late: Subscription) -> None:
        shop.map("101")
        shop.post(Order().fields())
        shop.post(Subscription(status="PAUSED").fields())
        before = licenses(shop)

        answer = shop.post(late.fields())

        assert is_receipted_as_lcn(answer, late)
        assert licenses(shop) == before

    @ON_ONE_ENGINE
    def test_row_64_an_unknown_subscription_is_kept_until_its_order_arrives(self, open_shop: OpenShop) -> None:
        """Nobody has to act, so nobody is told; a test is ignored as orders are, and the year 9999 is no end."""
        shop = open_shop(vendors__avangate__test_orders="ignore")
        shop.map("101")
        paused = Subscription(status="PAUSED")

        answer = shop.post(paused.fields())

        assert is_receipted_as_lcn(answer, paused)
        assert [(row["kind"], row["order_status"], row["state"]) for row in notifications(shop)] == [
            ("lcn", "PAUSED", "held")
        ]
        assert alerts(shop) == []

        shop.post(Order().fields())

        assert states(shop) == ["done", "done"]
        assert pick(shop, "status") == [("suspended",)]

        lifetime = Subscription(
            updated="2026-01-12 12:00:00",
            extra=[("EXPIRATION_DATE_TIME", "9999-12-31 23:59:59"), ("EXPIRATION_DATE", "9999-12-31")],
        )
        test = Subscription(updated="2026-01-13 12:00:00", disabled="1", extra=[("TEST", "1")])

        answers = [shop.post(message.fields()) for message in (lifetime, test)]

        assert is_receipted_as_lcn(answers[0], lifetime)
        assert is_receipted_as_lcn(answers[1], test)
        assert states(shop) == ["done", "done", "done", "ignored"]
        assert pick(shop, "status", "expires_at") == [("active", None)]
