"""Corners of the story that are easy to get wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from qlmhook.errors import ConfigurationError
from qlmhook.licensing import licenses
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import listings
from qlmhook.services.worker import Worker
from qlmhook.storage import models
from qlmhook.storage.database import Database
from tests.conftest import MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.support.looking import alerts, states

pytestmark = pytest.mark.every_engine


TWO_LINES = [Line(), Line(pid="102", name="Beta", ref="BBBBBBBBBB")]


def test_a_mail_that_is_sent_by_hand_takes_up_no_other_license(open_shop: OpenShop, mail_server: MailServer) -> None:
    """The second license of the order is mailed although a mail to the same address waits."""
    shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
    shop.map("101")
    shop.post(Order(lines=TWO_LINES).fields())
    shop.service.delivery.work_off()
    with shop.service.database.transaction():
        [first] = listings.licenses(now=shop.clock())
        shop.service.mailing.resend(licenses.find(first["key"]), to="", now=shop.clock())
    shop.map("102")

    shop.service.intake.replay(1)
    shop.service.delivery.work_off()

    with shop.service.database.reading():
        [second] = [row for row in listings.licenses(now=shop.clock()) if row["key"] != first["key"]]
    sent = b"".join(envelope.content for envelope in mail_server.envelopes)
    assert second["key"].encode() in sent


def test_a_worker_that_is_stopped_finishes_the_row_at_hand_only(open_shop: OpenShop) -> None:
    """What else is due waits for the next start."""
    shop = open_shop(mail__host="127.0.0.1", mail__port="1")
    with shop.service.database.transaction():
        for number in range(3):
            queue.add(AlertPayload(text=str(number)), now=shop.clock(), to="operator@example.com")
    worker = Worker(shop.service.delivery, shop.service.refusals)
    worker.request_stop()

    worker.run()

    with shop.service.database.reading():
        assert [row["attempts"] for row in listings.outbox_rows()] == [0, 0, 0]


def test_a_chargeback_of_an_unknown_kind_is_for_a_person(shop: Shop) -> None:
    """It neither fulfills the order nor is it forgotten."""
    shop.map("101")

    shop.post(Order(extra=[("CHARGEBACK_RESOLUTION", "SOMETHING NEW")]).fields())

    assert states(shop) == ["held"]
    assert len(alerts(shop)) == 1


def test_terms_that_cannot_be_read_any_more_hold_a_message(shop: Shop) -> None:
    """It is kept, the operator is told, and the vendor gets its receipt."""
    shop.map("101")
    shop.post(Order().fields())
    with shop.service.database.transaction():
        models.FulfilledLine.update(terms="&is_productid=one").execute()

    answer = shop.post(Order(ipn_date="20260101110000").fields())

    assert answer.status_code == 200
    assert states(shop) == ["done", "held"]


def test_no_other_kind_of_sqlite_is_opened() -> None:
    """It would run without the settings that keep orders safe."""
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        Database("sqlite+pool:///qlmhook.db")


def test_a_hundred_keys_are_confirmed_with_few_questions(shop: Shop) -> None:
    """The time to look for an obstacle grows with the keys, not with their square."""
    shop.map("101", f"{MAPPING}&is_usemultipleactivationskey=false&is_sendresponse=true")
    shop.post(Order(lines=[Line(quantity="100")]).fields())
    started = datetime.now(UTC)

    shop.service.delivery.work_off()

    with shop.service.database.reading():
        [confirmation] = [row for row in listings.outbox_rows() if row["kind"] == "confirmation"]
    assert confirmation["last_error"].startswith("The mail with the license")
    assert datetime.now(UTC) - started < timedelta(seconds=20)
