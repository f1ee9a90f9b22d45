"""Every engine keeps what it is given whole, and tells apart what differs: by byte, not by a language's rules."""

from datetime import timedelta
from urllib.parse import urlsplit

import peewee
import pytest

from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.vendors.form_body import MAX_BODY
from tests.conftest import KEY, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, signed
from tests.support.engines import execute
from tests.support.looking import is_receipted, licenses, mails, text_of

pytestmark = pytest.mark.every_engine

on_servers = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
on_mariadb = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)

WORLD = "Ānn 🔑 Smíth 株式会社"
ADDRESSES = [
    *("jose@example.com", "josé@example.com"),
    *("strasse@example.com", "straße@example.com"),
    *("🔑@example.com", "🔒@example.com"),
]
TEXTS = ["a", "A", "a ", "e", "é", "ß", "ss", "🔑", "🔒", "", " "]


def test_a_message_of_nearly_the_limit_is_stored_and_receipted(shop: Shop) -> None:
    """A TEXT or BLOB of MySQL has room for 64 KiB."""
    shop.map("101")
    parts = [(name, "x" * 60_000) for name in ("ADDRESS1", "ADDRESS2", "CITY", "STATE")]
    order = Order(extra=parts)
    room = MAX_BODY - len(form_body(signed(order.fields(), KEY, ["sha256", "sha3_256"])))
    filled = 16
    size = room // filled - len("&FILLER00=")
    order = order.changed(extra=[*parts, *((f"FILLER{number:02}", "x" * size) for number in range(filled))])

    answer = shop.post(order.fields())

    assert is_receipted(answer, order)
    with shop.service.database.reading():
        body = models.Notification.get().body
        customer = models.Customer.get()
    assert MAX_BODY - filled < len(body) <= MAX_BODY
    assert [customer.address1, customer.state] == ["x" * 60_000] * 2
    assert listed(shop) == [order.refno]


def listed(shop: Shop) -> list[str]:
    return [row["order_ref"] for row in licenses(shop)]


def test_addresses_that_differ_in_a_letter_are_two_customers_and_each_gets_its_own_key(
    open_shop: OpenShop, mail_server: MailServer
) -> None:
    shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
    shop.map("101")
    for number, address in enumerate(ADDRESSES):
        shop.post(Order(refno=f"90000000{number}", email=address, lines=[Line(ref=f"REF{number}")]).fields())

    shop.service.delivery.work_off()

    found = licenses(shop)
    sent = {
        envelope.rcpt_tos[0]: text_of(mail)
        for envelope, mail in zip(mail_server.envelopes, mails(mail_server), strict=True)
    }
    assert [row["customer"]["email"] for row in found] == ADDRESSES
    assert sent.keys() == set(ADDRESSES)
    assert all(row["key"] in sent[row["customer"]["email"]] for row in found)


def test_references_that_differ_in_letter_case_are_two_subscriptions(shop: Shop) -> None:
    shop.map("101")
    for number, ref in enumerate(("abcDEF", "ABCdef")):
        line = Line(ref=ref, expires=f"202{7 + number}-01-01 00:00:00")
        shop.post(Order(refno=f"90000000{number}", lines=[line]).fields())

    assert [row["subscription_ref"] for row in licenses(shop)] == ["abcDEF", "ABCdef"]
    assert [row["expires_at"][:4] for row in licenses(shop)] == ["2026", "2027"]


def test_texts_that_differ_in_a_byte_are_two(shop: Shop) -> None:
    with shop.service.database.transaction():
        for text in TEXTS:
            models.Refusal.create(reason=text, count=1)

    with shop.service.database.reading():
        found = [[row.reason for row in models.Refusal.select().where(models.Refusal.reason == text)] for text in TEXTS]
    assert found == [[text] for text in TEXTS]


def test_names_of_the_world_come_back_as_they_were_sent(shop: Shop) -> None:
    shop.map("101")

    answer = shop.post(Order(first_name=WORLD, last_name=" b ", extra=[("COMPANY", WORLD)]).fields())

    assert answer.status_code == 200
    [row] = licenses(shop)
    assert (row["customer"]["first_name"], row["customer"]["last_name"]) == (WORLD, " b ")
    assert row["customer"]["company"] == WORLD


def test_a_time_is_kept_to_the_microsecond(shop: Shop) -> None:
    shop.clock.now += timedelta(microseconds=123_456)

    shop.post(Order().fields())

    with shop.service.database.reading():
        assert models.Notification.get().received_at == shop.clock.now


@on_servers
def test_what_is_too_long_is_refused_and_not_cut_off(shop: Shop) -> None:
    """Also where a row that is there already would be left alone."""
    too_long = models.Refusal.insert(reason="x" * 65, count=1).on_conflict_ignore()

    with pytest.raises(peewee.DataError), shop.service.database.transaction():
        too_long.execute()


def test_a_row_that_is_there_already_is_left_alone(shop: Shop) -> None:
    for count in (1, 2):
        with shop.service.database.transaction():
            models.Refusal.insert(reason="x", count=count).on_conflict_ignore().execute()

    with shop.service.database.reading():
        assert [row.count for row in models.Refusal.select()] == [1]


def test_a_search_does_not_mind_letter_case(shop: Shop) -> None:
    shop.map("101")
    shop.post(Order(first_name="🔑").fields())
    shop.post(
        Order(
            refno="900000002", email="b@example.com", first_name="🔒", last_name="Lock", lines=[Line(ref="B")]
        ).fields()
    )
    texts = ("SMITH", "smith", "900000001", "🔑")

    with shop.service.database.reading():
        found = [listings.licenses(now=shop.clock(), search=text) for text in texts]

    assert [[row["order_ref"] for row in rows] for rows in found] == [["900000001"]] * len(texts)


@on_mariadb
@pytest.mark.own_database
def test_the_defaults_of_a_server_do_not_count(open_shop: OpenShop, database_url: str) -> None:
    """Not its character set, and not its tolerance of what is too long."""
    name = urlsplit(database_url).path.lstrip("/")
    execute(database_url, f"ALTER DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    shop = open_shop()
    shop.map("101")

    assert shop.post(Order(first_name=WORLD).fields()).status_code == 200
    [row] = licenses(shop)
    columns = execute(
        database_url,
        "SELECT DISTINCT collation_name FROM information_schema.columns "
        f"WHERE table_schema = '{name}' AND collation_name IS NOT NULL",
    )
    tables = execute(
        database_url, f"SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = '{name}'"
    )
    assert row["customer"]["first_name"] == WORLD
    assert columns == [("utf8mb4_nopad_bin",)]
    assert tables == [("InnoDB",)]
