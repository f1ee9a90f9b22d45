"""A first order beside the rows of the matrix: what it waits for, who bought it, and what is mailed.

What the mapping and the order make of a license is told in tests/domain.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qlmhook.catalog import mappings
from qlmhook.storage import models
from tests.conftest import MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import ALPHA, BETA, Line, Order
from tests.support.life import replay_what_is_held
from tests.support.looking import alerts, is_receipted, licenses, mails, states, text_of, waiting
from tests.support.server import command

ON_ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is decided before the database is asked."""


Mend = Callable[[Shop, Path], None]


def map_it_and_replay_what_is_held(shop: Shop, _: Path) -> None:
    shop.map("102")
    replay_what_is_held(shop)


def set_the_property_on_the_command_line(_: Shop, config: Path) -> None:
    finished = command(config, "property", "set", "pid_102", MAPPING)

    assert finished.returncode == 0
    assert finished.stdout.endswith("Applied 2 of 2 held notifications.\n")


class TestHolds:
    """Lines that wait for a mapping which can be used, or for a message that can be read."""

    def test_the_operator_is_told_once_for_each_product(self, shop: Shop) -> None:
        """However many orders wait for it."""
        shop.post(Order(lines=[ALPHA, BETA]).fields())
        shop.post(Order(refno="900000002", lines=[Line(ref="CCCCCCCCCC")]).fields())

        told = alerts(shop)

        assert sorted(text.partition(" (")[0] for text in told) == ["Product 101", "Product 102"]

    @pytest.mark.parametrize("mend", [map_it_and_replay_what_is_held, set_the_property_on_the_command_line])
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

    def test_a_later_message_with_a_usable_quantity_frees_the_line(self, shop: Shop) -> None:
        """What was held for the first message is done with the second."""
        shop.map("101")
        shop.post(Order(lines=[Line(quantity="abc")]).fields())

        shop.post(Order(lines=[Line(quantity="2")], ipn_date="20260101110000").fields())

        assert states(shop) == ["done", "done"]
        assert [row["quantity"] for row in licenses(shop)] == [2]


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

        map_it_and_replay_what_is_held(shop, tmp_path)
        shop.service.delivery.work_off()

        keys = [row["key"] for row in licenses(shop)]
        to_customer = [mail for mail in mails(mail_server) if mail["To"] == "a@example.com"]
        assert [[key in text_of(mail) for key in keys] for mail in to_customer] == [[True, False], [False, True]]
