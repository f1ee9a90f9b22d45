"""The years of a license after its sale, as a shop's messages tell them; the rows of the matrix are elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qlmhook.catalog import mappings
from tests.conftest import MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import BETA, Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import (
    FIRST,
    FIRST_END,
    ONE_KEY_PER_UNIT,
    RENEWAL,
    RENEWED_END,
    REVOKING,
    Message,
    chargeback,
    history_of,
    pick,
    post,
    refund_of,
    renewed,
    replay_what_is_held,
    status_at,
    the_license,
)
from tests.support.looking import licenses as licenses_of
from tests.support.looking import mails, states, text_of, waiting

pytestmark = pytest.mark.sqlite
"""No fact here is about a database."""


UPGRADE = Order(
    refno="900000003",
    sale_date="2026-03-01 10:00:00",
    ipn_date="20260301100500",
    lines=[Line(pid="102", name="Beta", expires="2027-06-01 00:00:00")],
)
UPGRADED_END = "2027-05-31T21:00:00Z"


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    """A shop that revokes what is refunded, and licenses one product."""
    shop = open_shop(**REVOKING)
    shop.map("101")
    return shop


class TestRenewal:
    """A known subscription under a new order number."""

    def test_one_order_may_renew_several_subscriptions(self, shop: Shop) -> None:
        """Each to its own date."""
        shop.map("102")

        post(
            shop,
            FIRST.changed(lines=[Line(), BETA]),
            RENEWAL.changed(lines=[replace(BETA, expires="2028-06-01 00:00:00"), renewed()]),
        )

        assert pick(shop, "vendor_product_id", "expires_at") == [
            ("101", RENEWED_END),
            ("102", "2028-05-31T21:00:00Z"),
        ]

    @pytest.mark.parametrize(
        ("quantity", "ends"),
        [
            pytest.param("1", [RENEWED_END, FIRST_END], id="a key that is not renewed keeps its end"),
            pytest.param("3", [RENEWED_END, RENEWED_END, RENEWED_END], id="a unit more is a key more"),
        ],
    )
    def test_with_one_key_for_each_unit_as_many_are_renewed_as_are_paid_for(
        self, shop: Shop, quantity: str, ends: list[str]
    ) -> None:
        """Those that were there stay the same."""
        shop.map("101", ONE_KEY_PER_UNIT)
        post(shop, FIRST.changed(lines=[Line(quantity="2")]))
        keys = pick(shop, "key")

        post(shop, RENEWAL.changed(lines=[renewed(quantity=quantity)]))

        assert [end for (end,) in pick(shop, "expires_at")] == ends
        assert pick(shop, "key")[:2] == keys

    def test_maintenance_follows_where_the_mapping_says_so(self, shop: Shop) -> None:
        shop.map("101", f"{MAPPING}&is_maintenance_plan=1")
        post(shop, FIRST)

        assert pick(shop, "maintenance_until") == [("2027-01-01T21:59:59Z",)]

        post(shop, RENEWAL)

        assert pick(shop, "maintenance_until") == [(RENEWED_END,)]

    def test_a_renewal_of_a_product_that_lost_its_mapping_is_held(self, shop: Shop) -> None:
        """The license stays as it is until the mapping is back."""
        post(shop, FIRST)
        with shop.service.database.transaction():
            mappings.remove("pid_101")

        post(shop, RENEWAL)

        assert states(shop) == ["done", "held"]
        assert pick(shop, "status", "expires_at") == [("active", FIRST_END)]

        shop.map("101")
        replay_what_is_held(shop)

        assert pick(shop, "status", "expires_at") == [("active", RENEWED_END)]


class TestRenewalMail:
    """What the customer gets for a renewal."""

    @pytest.mark.parametrize(
        ("arguments", "templates"),
        [
            ("&is_emailtemplate=A&is_emailtemplate_renew=B", ["A", "B"]),
            ("&is_emailtemplate=A&is_emailtemplate_renew=B&is_send_renewal_mail=false", ["A"]),
        ],
    )
    def test_it_is_made_from_the_renewals_template_if_it_is_sent(
        self, shop: Shop, arguments: str, templates: list[str]
    ) -> None:
        shop.map("101", MAPPING.partition("&is_emailtemplate")[0] + arguments)

        post(shop, FIRST, RENEWAL)

        assert [row["subject"] for row in waiting(shop, "mail")] == templates

    def test_each_order_is_mailed_once(self, shop: Shop) -> None:
        """However often its messages come, and whichever of the two came first."""
        orders = [RENEWAL, FIRST, FIRST.changed(ipn_date="20270101000000"), RENEWAL.changed(ipn_date="20270101000000")]

        post(shop, *orders)

        assert [row["order_ref"] for row in waiting(shop, "mail")] == [RENEWAL.refno]

    def test_the_customer_gets_the_key_and_the_new_end(self, open_shop: OpenShop, mail_server: MailServer) -> None:
        """At the address that came with the renewal."""
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101", f"{MAPPING}&is_emailtemplate_renew=Customer.Renewal")
        post(shop, FIRST)
        shop.service.delivery.work_off()

        post(shop, RENEWAL.changed(email="new@example.com"))
        shop.service.delivery.work_off()

        first, renewed = mails(mail_server)
        assert (first["To"], renewed["To"]) == ("a@example.com", "new@example.com")
        assert renewed["Subject"] == "Your license for Alpha is renewed"
        assert the_license(shop)["key"] in text_of(renewed)
        assert "2028-01-01" in text_of(renewed)


class TestUpgrade:
    """The same subscription under another product."""

    MAPPING_OF_BETA = (
        "&is_productid=2&is_majorversion=2&is_minorversion=1&is_features=0:3&is_licensemodel=subscription_floating"
        "&is_floating=4&is_emailtemplate=Customer.NewOrder&is_emailtemplate_renew=Upgrade"
    )

    def test_one_to_an_unmapped_product_is_held_until_it_is_mapped(self, shop: Shop) -> None:
        """Meanwhile the license is what it was."""
        post(shop, FIRST)
        before = the_license(shop)

        post(shop, UPGRADE)

        assert states(shop) == ["done", "held"]
        assert the_license(shop) == before

        shop.map("102", self.MAPPING_OF_BETA)
        replay_what_is_held(shop)

        assert states(shop) == ["done", "done"]
        assert pick(shop, "key", "product_id", "expires_at") == [(before["key"], 2, UPGRADED_END)]

    def test_one_that_is_refunded_leaves_the_product_of_before(self, shop: Shop) -> None:
        shop.map("102", self.MAPPING_OF_BETA)
        post(shop, FIRST)
        before = the_license(shop)

        post(shop, UPGRADE, refund_of(UPGRADE))

        assert the_license(shop) == before

    def test_a_renewal_with_another_option_is_one_too(self, shop: Shop) -> None:
        shop.map("101_gold", "&is_features=0:7")

        post(shop, FIRST, RENEWAL.changed(extra=[("IPN_PRODUCT_OPTIONS_101_VALUE[]", "gold")]))

        assert pick(shop, "features", "expires_at") == [("0:7", RENEWED_END)]

    def test_it_is_mailed_as_a_renewal(self, shop: Shop) -> None:
        """With the template of the new product."""
        shop.map("102", self.MAPPING_OF_BETA)

        post(shop, FIRST, UPGRADE)

        assert [row["subject"] for row in waiting(shop, "mail")] == ["Customer.NewOrder", "Upgrade"]

    def test_a_renewal_afterwards_is_of_the_new_product(self, shop: Shop) -> None:
        """Also when the first order is sent again."""
        shop.map("102", self.MAPPING_OF_BETA)
        renewal = RENEWAL.changed(lines=[renewed(pid="102", name="Beta")])

        post(shop, FIRST, UPGRADE, renewal, FIRST.changed(ipn_date="20270101000000"))

        assert pick(shop, "product_id", "expires_at") == [(2, RENEWED_END)]


class TestSubscription:
    """What the shop says of a subscription itself."""

    def test_a_pause_begins_and_ends_by_the_clock(self, shop: Shop) -> None:
        """Its last day is paused to the end, in the account's zone; no message tells of it."""
        pause = [("PAUSE_START_DATE", "2026-02-01"), ("PAUSE_END_DATE", "2026-03-01")]

        post(shop, FIRST, Subscription(status="PAUSED", extra=pause))

        assert status_at(
            shop, "2026-01-31 21:59:59", "2026-01-31 22:00:00", "2026-03-01 21:59:58", "2026-03-01 21:59:59"
        ) == ["active", "suspended", "suspended", "active"]

    def test_changed_details_of_the_customer_are_taken_up(self, shop: Shop) -> None:
        """Without a second mail; what the shop does not say is kept."""
        extra = [("COMPANY", "Example Ltd"), ("PHONE", "")]

        post(shop, FIRST, Subscription(last_name="Jones", extra=extra))

        customer = the_license(shop)["customer"]
        assert (customer["full_name"], customer["company"]) == ("Ann Jones", "Example Ltd")
        assert customer["phone"] == "+1 555 0100"
        assert len(waiting(shop, "mail")) == 1

    def test_a_new_address_is_a_new_customer_of_the_license(self, shop: Shop) -> None:
        """Other licenses stay with the old one; an order that is sent again does not bring it back."""
        post(
            shop,
            FIRST.changed(lines=[Line(), Line(ref="CCCCCCCCCC")]),
            Subscription(email="b@example.com"),
            FIRST.changed(lines=[Line(), Line(ref="CCCCCCCCCC")], ipn_date="20260105000000"),
        )

        assert [row["customer"]["email"] for row in licenses_of(shop)] == ["b@example.com", "a@example.com"]

    def test_its_product_does_not_upgrade_the_license(self, shop: Shop) -> None:
        """That takes a paid order."""
        shop.map("102", TestUpgrade.MAPPING_OF_BETA)

        post(shop, FIRST, Subscription(pid="102"))

        assert pick(shop, "vendor_product_id") == [("101",)]


class TestAudit:
    """Every change is kept: when, by which notification, from what to what, and why."""

    BEFORE = "2026-12-31T22:00:00+00:00"

    @pytest.mark.parametrize(
        ("message", "change", "before", "after", "why"),
        [
            pytest.param(
                RENEWAL,
                "extended",
                {"expires_at": BEFORE},
                {"expires_at": "2027-12-31T22:00:00+00:00"},
                "COMPLETE of 900000002",
                id="renewal",
            ),
            pytest.param(
                UPGRADE,
                "upgraded",
                {"vendor_product_id": "101", "product_id": 1, "product_name": "Alpha", "expires_at": BEFORE},
                {
                    "vendor_product_id": "102",
                    "product_id": 2,
                    "product_name": "Beta",
                    "expires_at": "2027-05-31T21:00:00+00:00",
                },
                "COMPLETE of 900000003",
                id="upgrade",
            ),
            pytest.param(
                refund_of(FIRST),
                "revoked",
                {"revoked_at": None, "barred_why": ""},
                {"revoked_at": "2026-02-03T04:05:06+00:00", "barred_why": "Order 900000001 is refunded."},
                "REFUND of 900000001",
                id="refund",
            ),
            pytest.param(
                chargeback("OPEN"),
                "suspended",
                {"suspended_at": None, "barred_why": ""},
                {
                    "suspended_at": "2026-02-03T04:05:06+00:00",
                    "barred_why": "The chargeback of order 900000001 is open.",
                },
                "COMPLETE of 900000001: CHARGEBACK_RESOLUTION is OPEN.",
                id="chargeback",
            ),
            pytest.param(
                Subscription(expires="2026-06-01 00:00:00"),
                "shortened",
                {"expires_at": BEFORE},
                {"expires_at": "2026-05-31T21:00:00+00:00"},
                "ACTIVE of AAAAAAAAAA",
                id="a shorter date",
            ),
            pytest.param(
                Subscription(status="PAUSED", extra=[("PAUSE_END_DATE", "2026-03-01")]),
                "suspended",
                {"suspended_at": None, "suspended_until": None, "barred_why": ""},
                {
                    "suspended_at": "2026-02-03T04:05:06+00:00",
                    "suspended_until": "2026-03-01T21:59:59+00:00",
                    "barred_why": "The subscription is paused.",
                },
                "PAUSED of AAAAAAAAAA",
                id="pause",
            ),
            pytest.param(
                Subscription(status="EXPIRED"),
                "expired",
                {"ended_at": None},
                {"ended_at": "2026-01-10T10:00:00+00:00"},
                "EXPIRED of AAAAAAAAAA",
                id="expiry",
            ),
            pytest.param(
                Subscription(email="b@example.com"),
                "changed",
                {"customer": "a@example.com"},
                {"customer": "b@example.com"},
                "ACTIVE of AAAAAAAAAA",
                id="customer",
            ),
        ],
    )
    def test_a_change(
        self, shop: Shop, message: Message, change: str, before: dict[str, Any], after: dict[str, Any], why: str
    ) -> None:
        """An hour later, when the same comes again, there is none."""
        shop.map("102", MAPPING.replace("is_productid=1", "is_productid=2"))
        post(shop, FIRST)
        shop.clock.now = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

        post(shop, message)
        shop.clock.now += timedelta(hours=1)
        post(shop, message)

        issued, *changes = history_of(shop, the_license(shop)["key"])
        assert issued["change"] == "issued"
        assert changes == [
            {
                "at": "2026-02-03T04:05:06Z",
                "actor": "notification 2",
                "change": change,
                "before": before,
                "after": after,
                "why": why,
            }
        ]

    @pytest.mark.parametrize(
        ("messages", "changes"),
        [
            ([chargeback("OPEN"), chargeback("WON", 3)], ["suspended", "reinstated"]),
            ([chargeback("OPEN"), chargeback("LOST", 3)], ["suspended", "revoked"]),
            ([RENEWAL, refund_of(RENEWAL)], ["extended", "shortened"]),
            ([Subscription(disabled="1"), Subscription(updated="2026-01-11 12:00:00")], ["suspended", "reinstated"]),
        ],
    )
    def test_what_is_taken_back_is_a_change_as_well(
        self, shop: Shop, messages: Sequence[Message], changes: list[str]
    ) -> None:
        post(shop, FIRST, *messages)

        assert [(entry["change"], entry["actor"]) for entry in history_of(shop, the_license(shop)["key"])[1:]] == [
            (change, f"notification {number}") for number, change in enumerate(changes, start=2)
        ]

    def test_what_was_held_is_a_change_by_the_notification_that_was_held(self, shop: Shop) -> None:
        """When it takes effect."""
        post(shop, FIRST, UPGRADE)
        shop.map("102", TestUpgrade.MAPPING_OF_BETA)
        shop.clock.now = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

        replay_what_is_held(shop)

        assert [(entry["at"], entry["actor"]) for entry in history_of(shop, the_license(shop)["key"])] == [
            ("2026-01-01T12:00:00Z", "notification 1"),
            ("2026-02-03T04:05:06Z", "notification 2"),
        ]
