"""The years of a license after its sale, as a shop's messages tell them; the rows of the matrix are elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qlmhook.catalog import mappings
from qlmhook.inbox import notification_store
from qlmhook.licensing import licenses
from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from tests.conftest import MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields
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
    pick,
    post,
    refund_of,
    renewed,
    status_at,
    the_license,
)
from tests.support.looking import alerts, mails, notifications, states, text_of, waiting
from tests.support.looking import licenses as licenses_of
from tests.support.server import command

pytestmark = pytest.mark.sqlite
"""No fact here is about a database."""


BETA = Line(pid="102", name="Beta", ref="BBBBBBBBBB", expires="2027-06-01 00:00:00")
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


def history(shop: Shop) -> list[Row]:
    """Every change to the only license."""
    key = the_license(shop)["key"]
    with shop.service.database.reading():
        return listings.license_history(licenses.find(key))


def save(shop: Shop, name: str, value: str) -> None:
    with shop.service.database.transaction():
        mappings.save(name, value, now=shop.clock())


def replay_what_is_held(shop: Shop) -> None:
    with shop.service.database.reading():
        held = notification_store.held()
    for notification_id in held:
        shop.service.intake.replay(notification_id)


class TestRenewal:
    """A known subscription under a new order number."""

    @pytest.mark.parametrize(
        ("placed", "end"),
        [
            pytest.param("2026-01-20 10:00:00", "2026-03-02T21:59:59Z", id="early, it keeps its time"),
            pytest.param("2026-03-01 10:00:00", "2026-03-31T20:59:59Z", id="late, it begins anew"),
        ],
    )
    def test_a_term_of_days_is_added(self, shop: Shop, placed: str, end: str) -> None:
        """To the end of January where the shop names no date: nobody pays for days that are paid for already."""
        shop.map("101", f"{MAPPING}&is_expduration=30")
        lines = [Line(expires="")]

        post(shop, FIRST.changed(lines=lines), RENEWAL.changed(lines=lines, sale_date=placed))

        assert pick(shop, "expires_at") == [(end,)]

    @pytest.mark.parametrize(
        ("expires", "end"),
        [
            pytest.param("2026-06-01 00:00:00", FIRST_END, id="an earlier date shortens nothing"),
            pytest.param("9999-12-31 23:59:59", None, id="a lifetime is the longest"),
        ],
    )
    def test_the_end_of_a_renewal(self, shop: Shop, expires: str, end: str | None) -> None:
        post(shop, FIRST, RENEWAL.changed(lines=[Line(expires=expires)]))

        assert pick(shop, "expires_at") == [(end,)]

    def test_an_expired_license_is_active_again(self, shop: Shop) -> None:
        """With the key that the customer has."""
        post(shop, FIRST)
        key = the_license(shop)["key"]

        assert status_at(shop, "2027-02-01") == ["expired"]

        post(shop, RENEWAL)

        assert pick(shop, "key", "status") == [(key, "active")]

    def test_every_key_of_a_subscription_isrenewed(self, shop: Shop) -> None:
        """And those of another subscription are not."""
        shop.map("101", ONE_KEY_PER_UNIT)
        other = Line(ref="CCCCCCCCCC")

        post(shop, FIRST.changed(lines=[Line(quantity="2"), other]), RENEWAL.changed(lines=[renewed(quantity="2")]))

        assert pick(shop, "subscription_ref", "expires_at") == [
            ("AAAAAAAAAA", RENEWED_END),
            ("AAAAAAAAAA", RENEWED_END),
            ("CCCCCCCCCC", FIRST_END),
        ]

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

    @pytest.mark.parametrize("quantity", ["2", "5"])
    def test_one_key_gets_the_activations_of_the_new_quantity(self, shop: Shop, quantity: str) -> None:
        """More or fewer."""
        shop.map("101", f"{MAPPING}&is_numberofactivationsperkey=2")

        post(shop, FIRST.changed(lines=[Line(quantity="3")]), RENEWAL.changed(lines=[renewed(quantity=quantity)]))

        assert pick(shop, "quantity", "activations") == [(int(quantity), 2 * int(quantity))]

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

    @pytest.mark.parametrize(
        ("more", "before", "after"),
        [
            pytest.param("", None, None, id="none without a plan"),
            pytest.param("&is_maintenance_plan=1", "2027-01-01T21:59:59Z", RENEWED_END, id="as long as the license"),
            pytest.param(
                "&is_maintenance_plan=1&is_maintduration=730",
                "2028-01-01T21:59:59Z",
                "2028-11-30T21:59:59Z",
                id="or longer, if it is longer from the renewal on",
            ),
        ],
    )
    def test_maintenance_follows_where_the_mapping_says_so(
        self, shop: Shop, more: str, before: str | None, after: str | None
    ) -> None:
        shop.map("101", f"{MAPPING}{more}")
        post(shop, FIRST)

        assert pick(shop, "maintenance_until") == [(before,)]

        post(shop, RENEWAL)

        assert pick(shop, "maintenance_until") == [(after,)]

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
            ("&is_emailtemplate=A", ["A", "A"]),
            ("&is_emailtemplate_renew=B", ["B"]),
            ("&is_emailtemplate=A&is_emailtemplate_renew=B&is_send_renewal_mail=false", ["A"]),
        ],
    )
    def test_it_is_made_from_the_renewals_template_or_else_the_orders(
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

    def test_everything_of_the_new_mapping_counts_at_once(self, shop: Shop) -> None:
        """In place: the key that the customer has unlocks the new product."""
        shop.map("102", self.MAPPING_OF_BETA)
        post(shop, FIRST)
        before = the_license(shop)

        post(shop, UPGRADE)

        assert the_license(shop) == {
            **before,
            "vendor_product_id": "102",
            "product_id": 2,
            "major_version": 2,
            "minor_version": 1,
            "product_name": "Beta",
            "features": "0:3",
            "license_model": "subscription_floating",
            "floating_seats": 4,
            "expires_at": UPGRADED_END,
        }
        assert [row["subject"] for row in waiting(shop, "mail")] == ["Customer.NewOrder", "Upgrade"]

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

    def test_a_renewal_afterwards_is_of_the_new_product(self, shop: Shop) -> None:
        """Also when the first order is sent again."""
        shop.map("102", self.MAPPING_OF_BETA)
        renewal = RENEWAL.changed(lines=[renewed(pid="102", name="Beta")])

        post(shop, FIRST, UPGRADE, renewal, FIRST.changed(ipn_date="20270101000000"))

        assert pick(shop, "product_id", "expires_at") == [(2, RENEWED_END)]


class TestRefund:
    """Money that went back, in a shop that revokes what is refunded."""

    UNCLEAR = refund_of(FIRST, extra=[("REFUND_TYPE", "PARTIAL"), ("IPN_TOTAL[]", "-5.00")])

    @pytest.mark.parametrize(
        ("refunded", "end"),
        [
            pytest.param(RENEWAL, FIRST_END, id="the renewal"),
            pytest.param(FIRST, RENEWED_END, id="the first order"),
        ],
    )
    def test_the_end_is_that_of_the_purchase_that_is_left(self, shop: Shop, refunded: Order, end: str) -> None:
        post(shop, FIRST, RENEWAL, refund_of(refunded))

        assert pick(shop, "status", "expires_at") == [("active", end)]

    def test_a_revoked_license_that_is_renewed_is_active_again(self, shop: Shop) -> None:
        """What was paid afterwards was not refunded."""
        post(shop, FIRST, refund_of(FIRST))
        revoked = the_license(shop)

        post(shop, RENEWAL.changed(sale_date="2026-12-25 10:00:00"))

        assert revoked["status"] == "revoked"
        assert pick(shop, "key", "status", "expires_at") == [(revoked["key"], "active", RENEWED_END)]

    def test_the_whole_order_is_every_line(self, shop: Shop) -> None:
        """Each key of each."""
        shop.map("102", ONE_KEY_PER_UNIT)
        order = FIRST.changed(lines=[Line(), replace(BETA, quantity="2")])

        post(shop, order, refund_of(order))

        assert pick(shop, "status", "barred_why") == [("revoked", "Order 900000001 is refunded.")] * 3

    @pytest.mark.parametrize("amounts", ["IPN_TOTAL[]", "IPN_PRICE[]"])
    def test_without_a_type_it_is_for_the_line_with_a_negative_amount(self, shop: Shop, amounts: str) -> None:
        """Though it lists the others as well."""
        shop.map("102")
        order = FIRST.changed(lines=[Line(), BETA])

        post(shop, order, refund_of(order, extra=[(amounts, "29.00"), (amounts, "-29.00")]))

        assert pick(shop, "vendor_product_id", "status") == [("101", "active"), ("102", "revoked")]

    def test_one_that_does_not_say_what_it_is_for_is_held(self, shop: Shop) -> None:
        """A part of the price is no reason to take the license away; a person is told once, and looks."""
        post(shop, FIRST, self.UNCLEAR, self.UNCLEAR)

        assert pick(shop, "status") == [("active",)]
        assert states(shop) == ["done", "held"]
        [alert] = alerts(shop)
        assert alert.startswith("A refund of the type 'PARTIAL' does not say which lines it is for.")

    def test_what_was_looked_at_is_dismissed(self, shop: Shop, tmp_path: Path) -> None:
        """The license is left alone, and the reason is kept."""
        post(shop, FIRST, self.UNCLEAR)

        finished = command(tmp_path / "qlmhook.toml", "notification", "dismiss", "2", "--why", "a discount")

        assert (finished.returncode, finished.stdout) == (0, "Dismissed 2.\n")
        assert [(row["state"], row["reason"]) for row in notifications(shop)] == [
            ("done", ""),
            ("ignored", "Dismissed: a discount"),
        ]
        assert pick(shop, "status") == [("active",)]

    @pytest.mark.parametrize("repeats", [1, 3])
    def test_the_operator_is_told_once_of_an_order(self, shop: Shop, repeats: int) -> None:
        """However often the refund is sent."""
        post(shop, FIRST, *(refund_of(FIRST, ipn_date=f"2026122{day}100500") for day in range(repeats)))

        assert [row["subject"] for row in waiting(shop, "alert")] == ["Order 900000001 of avangate: refunded"]


class TestChargeback:
    """A dispute about the payment, told on another status."""

    def test_a_license_that_is_disputed_before_it_is_issued_is_mailed_once_it_is_won(self, shop: Shop) -> None:
        post(shop, chargeback("OPEN"), FIRST)

        assert pick(shop, "status") == [("suspended",)]
        assert waiting(shop, "mail") == []

        post(shop, chargeback("WON", 3))

        assert pick(shop, "status") == [("active",)]
        assert [row["order_ref"] for row in waiting(shop, "mail")] == [FIRST.refno]

    @pytest.mark.parametrize("resolution", ["OPEN", "WON", "LOST", "ACCEPTED", "SOMETHING NEW"])
    def test_it_is_no_payment(self, shop: Shop, resolution: str) -> None:
        """COMPLETE or not, it issues nothing."""
        post(shop, chargeback(resolution))

        assert licenses_of(shop) == []

    @pytest.mark.parametrize(
        ("messages", "status"),
        [
            pytest.param([chargeback("WON", 3), chargeback("OPEN", 2)], "active", id="opened arrives after won"),
            pytest.param(
                [chargeback("LOST", 3, RENEWAL), chargeback("LOST", 3), chargeback("OPEN", 2)],
                "revoked",
                id="opened arrives after lost",
            ),
            pytest.param(
                [chargeback("OPEN", 2), chargeback("WON", 3), chargeback("OPEN", 4)], "suspended", id="opened again"
            ),
            pytest.param(
                [chargeback("OPEN", 2), chargeback("OPEN", 3, RENEWAL), chargeback("WON", 4)],
                "suspended",
                id="two orders, one won",
            ),
            pytest.param([chargeback("OPEN", 2, RENEWAL), chargeback("WON", 3, RENEWAL)], "active", id="the renewal"),
            pytest.param([chargeback("SOMETHING NEW", 2)], "active", id="an unknown resolution"),
        ],
    )
    def test_the_newest_word_on_each_order_counts(self, shop: Shop, messages: Sequence[Order], status: str) -> None:
        post(shop, FIRST, RENEWAL, *messages)

        assert pick(shop, "status") == [(status,)]

    def test_it_is_about_every_line_of_its_order_and_no_other_order(self, shop: Shop) -> None:
        order = FIRST.changed(lines=[Line(), Line(ref="CCCCCCCCCC")])

        post(shop, order, Order(refno="900000009", lines=[Line(ref="DDDDDDDDDD")]), chargeback("OPEN", 2, order))

        assert pick(shop, "subscription_ref", "status") == [
            ("AAAAAAAAAA", "suspended"),
            ("CCCCCCCCCC", "suspended"),
            ("DDDDDDDDDD", "active"),
        ]

    def test_what_is_won_may_still_be_paused(self, shop: Shop) -> None:
        post(shop, FIRST, Subscription(status="PAUSED"), chargeback("OPEN"), chargeback("WON", 3))

        assert pick(shop, "status", "barred_why") == [("suspended", "The subscription is paused.")]


class TestSubscription:
    """What the shop says of a subscription itself."""

    @pytest.mark.parametrize(
        ("expires", "end"),
        [("2026-06-01 00:00:00", "2026-05-31T21:00:00Z"), ("2029-06-01 00:00:00", "2029-05-31T21:00:00Z")],
        ids=["shorter", "longer"],
    )
    def test_its_end_is_the_licenses_end(self, shop: Shop, expires: str, end: str) -> None:
        """It is told later than the orders."""
        post(shop, FIRST, RENEWAL, Subscription(updated="2026-12-10 12:00:00", expires=expires))

        assert pick(shop, "expires_at") == [(end,)]

    def test_it_is_about_every_key(self, shop: Shop) -> None:
        shop.map("101", ONE_KEY_PER_UNIT)

        post(shop, FIRST.changed(lines=[Line(quantity="2"), Line(ref="CCCCCCCCCC")]), Subscription(disabled="1"))

        assert pick(shop, "subscription_ref", "status") == [
            ("AAAAAAAAAA", "suspended"),
            ("AAAAAAAAAA", "suspended"),
            ("CCCCCCCCCC", "active"),
        ]

    def test_a_pause_begins_and_ends_by_the_clock(self, shop: Shop) -> None:
        """Its last day is paused to the end, in the account's zone; no message tells of it."""
        pause = [("PAUSE_START_DATE", "2026-02-01"), ("PAUSE_END_DATE", "2026-03-01")]

        post(shop, FIRST, Subscription(status="PAUSED", extra=pause))

        assert status_at(
            shop, "2026-01-31 21:59:59", "2026-01-31 22:00:00", "2026-03-01 21:59:58", "2026-03-01 21:59:59"
        ) == ["active", "suspended", "suspended", "active"]

    def test_a_pause_without_an_end_lasts(self, shop: Shop) -> None:
        post(shop, FIRST, Subscription(status="PAUSED"))

        assert status_at(shop, "2026-12-30 00:00:00") == ["suspended"]

    def test_the_grace_of_a_payment_past_due_ends_by_the_clock(self, shop: Shop) -> None:
        """So many days after the license's end."""
        post(
            shop,
            FIRST,
            Subscription(status="PAST DUE", updated="2027-01-01 00:10:00", extra=[("LICENSE_GRACE_PERIOD", "3")]),
        )

        assert pick(shop, "expires_at", "grace_until") == [(FIRST_END, "2027-01-03T22:00:00Z")]
        assert status_at(shop, "2027-01-03 21:59:59", "2027-01-03 22:00:00") == ["active", "expired"]

    def test_what_the_shop_calls_expired_is_expired(self, shop: Shop) -> None:
        """Whatever the date, until the shop calls it active."""
        post(shop, FIRST, Subscription(expired="1"))

        assert pick(shop, "status", "expires_at") == [("expired", FIRST_END)]

        post(shop, Subscription(updated="2026-01-11 12:00:00"))

        assert pick(shop, "status") == [("active",)]

    @pytest.mark.parametrize("stopped", [{"disabled": "1"}, {"status": "PAUSED"}, {"expired": "1"}])
    def test_a_renewal_afterwards_makes_it_active(self, shop: Shop, stopped: dict[str, str]) -> None:
        """To the renewal's end; what is older than the renewal has no say, also when it comes again."""
        told = Subscription(expires="2026-06-01 00:00:00", **stopped)  # type: ignore[arg-type]

        post(shop, FIRST, told, RENEWAL, told)

        assert pick(shop, "status", "expires_at") == [("active", RENEWED_END)]

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

    def test_all_that_was_said_of_an_unknown_subscription_counts_when_its_order_arrives(self, shop: Shop) -> None:
        """The newest of it, whatever the order in which it came."""
        newest = Subscription(updated="2026-01-12 12:00:00", expires="2026-09-01 00:00:00")

        post(shop, newest, Subscription(updated="2026-01-11 12:00:00", disabled="1"), FIRST)

        assert states(shop) == ["done", "done", "done"]
        assert pick(shop, "status", "expires_at") == [("active", "2026-08-31T21:00:00Z")]


class TestOverlays:
    """Properties that are laid over the mapping of a product."""

    @staticmethod
    def options(*values: str) -> Fields:
        return [("IPN_PRODUCT_OPTIONS_101_VALUE[]", value) for value in values]

    @pytest.mark.parametrize(
        ("chosen", "features", "user_data"),
        [
            pytest.param(["gold"], "0:7", "base", id="an option adds to the product"),
            pytest.param(["Gold"], "0:7", "base", id="in any letter case"),
            pytest.param(["gold", "phone"], "0:7", "phone", id="several add up"),
            pytest.param(["paper"], "0:1", "base", id="one without a property adds nothing"),
            pytest.param([], "0:1", "base", id="as does none"),
        ],
    )
    def test_the_options_of_a_line(self, shop: Shop, chosen: Sequence[str], features: str, user_data: str) -> None:
        shop.map("101", f"{MAPPING}&is_features=0:1&is_userdata1=base")
        shop.map("101_gold", "&is_features=0:7")
        shop.map("101_phone", "&is_userdata1=phone")

        post(shop, FIRST.changed(extra=self.options(*chosen)))

        assert pick(shop, "product_id", "features", "user_data") == [(1, features, user_data)]

    @pytest.mark.parametrize(
        ("name", "features"),
        [("avangate_pid_101", "0:7"), ("second_pid_101", "0:1"), ("avangate_pid_101_gold", "0:7")],
    )
    def test_the_property_of_the_account_counts_before_that_of_all(self, shop: Shop, name: str, features: str) -> None:
        """For a product, and for an option of it."""
        shop.map("101", f"{MAPPING}&is_features=0:1")
        shop.map("101_gold", "&is_additionalactivations=1")
        save(shop, name, f"{MAPPING}&is_features=0:7")

        post(shop, FIRST.changed(extra=self.options("gold")))

        assert pick(shop, "features") == [(features,)]

    def test_an_option_can_mean_that_there_is_no_license(self, shop: Shop) -> None:
        shop.map("101_trial", "ignore")

        post(shop, FIRST.changed(extra=self.options("trial")))

        assert licenses_of(shop) == []
        assert states(shop) == ["ignored"]

    def test_a_renewal_with_another_option_is_an_upgrade(self, shop: Shop) -> None:
        shop.map("101_gold", "&is_features=0:7")

        post(shop, FIRST, RENEWAL.changed(extra=self.options("gold")))

        assert pick(shop, "features", "expires_at") == [("0:7", RENEWED_END)]

    def test_the_lines_of_a_bundle_find_their_licenses_by_product(self, shop: Shop) -> None:
        """The bundle's own license is listed under a product that is no line; each is renewed for itself."""
        for product in ("102", "103"):
            shop.map(product)
        lines = [Line(pid="101"), Line(pid="102"), Line(pid="103")]
        arrays = {
            "IPN_LICENSE_PROD[]": ["555", "103", "102"],
            "IPN_LICENSE_REF[]": ["BUNDLE", "THIRD", "SECOND"],
            "IPN_LICENSE_EXP[]": ["2027-01-01 00:00:00", "2027-03-01 00:00:00", "2027-02-01 00:00:00"],
            "IPN_LICENSE_LIFETIME[]": ["NO", "NO", "NO"],
        }
        extra = [(name, value) for name, values in arrays.items() for value in values]

        post(shop, FIRST.changed(lines=lines, extra=extra), RENEWAL.changed(lines=[renewed(pid="103", ref="THIRD")]))

        assert pick(shop, "vendor_product_id", "subscription_ref", "expires_at") == [
            ("101", "BUNDLE", FIRST_END),
            ("102", "SECOND", "2027-01-31T22:00:00Z"),
            ("103", "THIRD", RENEWED_END),
        ]


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

        issued, *changes = history(shop)
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

        assert [(entry["change"], entry["actor"]) for entry in history(shop)[1:]] == [
            (change, f"notification {number}") for number, change in enumerate(changes, start=2)
        ]

    def test_what_was_held_is_a_change_by_the_notification_that_was_held(self, shop: Shop) -> None:
        """When it takes effect."""
        post(shop, FIRST, UPGRADE)
        shop.map("102", TestUpgrade.MAPPING_OF_BETA)
        shop.clock.now = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

        replay_what_is_held(shop)

        assert [(entry["at"], entry["actor"]) for entry in history(shop)] == [
            ("2026-01-01T12:00:00Z", "notification 1"),
            ("2026-02-03T04:05:06Z", "notification 2"),
        ]
