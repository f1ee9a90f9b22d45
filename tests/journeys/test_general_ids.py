"""A product that the shop knows by a specific id and by more general ones, from the order to the mail."""

import pytest

from qlmhook.catalog import mappings
from qlmhook.domain.events import EventKind, Item
from qlmhook.reports import listings
from qlmhook.storage import models
from tests.conftest import MAPPING, MailServer, OpenPlainShop, PlainShop
from tests.support.shop import event

pytestmark = pytest.mark.sqlite
"""What is asked here does not depend on the engine."""


SOLD = Item(line="1", product_id="price_1", general_ids=("prod_1",), product_name="Alpha", options=("pro",))
REASON = "Product price_1 ('Alpha') has no mapping: set the property pid_price_1, or the more general pid_prod_1."


def buy(shop: PlainShop, item: Item = SOLD) -> None:
    assert shop.tell(event(EventKind.PAID, item)).status_code == 200


def user_data(shop: PlainShop) -> list[str]:
    """What the mappings that counted say."""
    with shop.service.database.reading():
        return [row["user_data"] for row in listings.licenses(now=shop.clock())]


def held(shop: PlainShop) -> list[str]:
    with shop.service.database.reading():
        return [row["reason"] for row in listings.notifications(state="held")]


def change(shop: PlainShop, name: str, value: str) -> None:
    """Set a property as an operator does, and apply what it frees."""
    with shop.service.database.transaction():
        mappings.save(name, value, now=shop.clock())
    for notification_id in shop.service.intake.freed_by([name]):
        shop.service.intake.replay(notification_id)


def test_a_mapping_of_the_general_id_licenses_all_that_is_sold_of_it(plain_shop: PlainShop) -> None:
    plain_shop.map("prod_1", f"{MAPPING}&is_userdata1=general")

    buy(plain_shop)

    assert user_data(plain_shop) == ["general"]


def test_a_mapping_of_the_specific_id_counts_before_it(plain_shop: PlainShop) -> None:
    plain_shop.map("prod_1", f"{MAPPING}&is_userdata1=general")
    plain_shop.map("price_1", f"{MAPPING}&is_userdata1=specific")

    buy(plain_shop)

    assert user_data(plain_shop) == ["specific"]


def test_without_a_mapping_the_order_waits_and_both_properties_are_named(plain_shop: PlainShop) -> None:
    buy(plain_shop)

    assert held(plain_shop) == [REASON]


@pytest.mark.parametrize("name", ["pid_price_1", "pid_prod_1", "plain_pid_prod_1"])
def test_a_mapping_of_any_of_its_ids_frees_the_order(plain_shop: PlainShop, name: str) -> None:
    buy(plain_shop)

    change(plain_shop, name, f"{MAPPING}&is_userdata1={name}")

    assert (held(plain_shop), user_data(plain_shop)) == ([], [name])


def test_an_id_with_a_blank_is_freed_too(plain_shop: PlainShop) -> None:
    buy(plain_shop, Item(line="1", product_id="Plan B", general_ids=("100% Plan",)))

    change(plain_shop, "pid_100% Plan", f"{MAPPING}&is_userdata1=general")

    assert (held(plain_shop), user_data(plain_shop)) == ([], ["general"])


def test_another_products_mapping_frees_nothing(plain_shop: PlainShop) -> None:
    buy(plain_shop)

    change(plain_shop, "pid_1", MAPPING)

    assert held(plain_shop) == [REASON]


def test_a_subscription_without_an_end_is_freed_by_a_duration_of_the_general_id(plain_shop: PlainShop) -> None:
    endless = f"{MAPPING}&is_licensemodel=subscription"
    plain_shop.map("prod_1", endless)
    buy(plain_shop)
    assert len(held(plain_shop)) == 1

    change(plain_shop, "pid_prod_1", f"{endless}&is_expduration=30")

    assert (held(plain_shop), user_data(plain_shop)) == ([], [""])


def test_the_mail_goes_out_as_the_mapping_of_the_general_id_says(
    open_plain_shop: OpenPlainShop, mail_server: MailServer
) -> None:
    """With the copies that an option of it adds."""
    shop = open_plain_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
    shop.map("prod_1", f"{MAPPING}&is_emailfrom=general@example.com")
    shop.map("prod_1_pro", "is_bccemail=pro@example.com")
    buy(shop)

    shop.service.delivery.work_off()

    [envelope] = mail_server.envelopes
    assert (envelope.mail_from, sorted(envelope.rcpt_tos)) == (
        "general@example.com",
        ["ann@example.com", "pro@example.com"],
    )


def test_a_license_is_mailed_again_with_the_template_of_the_general_id(plain_shop: PlainShop) -> None:
    plain_shop.map("prod_1", f"{MAPPING}&is_emailtemplate=Special.Order")
    buy(plain_shop)

    with plain_shop.service.database.transaction():
        [license] = models.License.with_customers()
        row = plain_shop.service.mailing.resend(license, to="", now=plain_shop.clock())

    assert row.subject == "Special.Order"
