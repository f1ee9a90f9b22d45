"""What becomes of an outbox row: mails and alerts at a real mail server."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from qlmhook.catalog import mappings
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import AlertPayload, MailPayload, Payload
from qlmhook.services import deliver
from qlmhook.services.deliver import ALIVE_FOR
from qlmhook.services.worker import Worker
from qlmhook.storage import engines, models
from tests.conftest import MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.storage.test_faults import flocked

MINUTE = timedelta(minutes=1)
WEEK = timedelta(days=7)


# What differs from engine to engine is in test_outbox.py.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class KeepingServer(MailServer):
    """Keeps also the mails that it refuses, tells when one arrives, and does what a test wants then."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.on_arrival: Callable[[], None] = lambda: None
        self.peers: set[Any] = set()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.peers.add(session.peer)
        self.arrived.set()
        self.on_arrival()
        return self.data_answer


@pytest.fixture
def mail_server() -> Iterator[KeepingServer]:
    server = KeepingServer()
    server.controller.start()
    yield server
    server.controller.stop()


OpenMailing = Callable[..., Shop]


@pytest.fixture
def open_mailing(open_shop: OpenShop, mail_server: MailServer) -> OpenMailing:
    """Open a shop that mails to the server, with QLMHOOK__… overrides."""

    def open_(**overrides: str) -> Shop:
        return open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port), **overrides)

    return open_


@pytest.fixture
def shop(open_mailing: OpenMailing) -> Shop:
    return open_mailing()


def buy(shop: Shop, order: Order | None = None) -> None:
    answer = shop.post((order or Order()).fields())
    assert answer.status_code == 200


def rows(shop: Shop, kind: str = "mail") -> list[models.Outbox]:
    with shop.service.database.reading():
        return list(models.Outbox.select().where(models.Outbox.kind == kind).order_by(models.Outbox.id))


def the_row(shop: Shop, kind: str = "mail") -> models.Outbox:
    [row] = rows(shop, kind)
    return row


def keys(shop: Shop) -> list[str]:
    """The keys as a mail shows them, in the order of their issue."""
    with shop.service.database.reading():
        found = [license.key for license in models.License.select().order_by(models.License.id)]
    return ["-".join([*(key[place : place + 5] for place in (0, 5, 10, 15)), key[20:]]) for key in found]


def received(server: MailServer) -> list[EmailMessage]:
    return [
        message_from_bytes(envelope.content.replace(b"\r\n", b"\n"), policy=default) for envelope in server.envelopes
    ]


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    text: str = part.get_content()
    return text


def test_with_nothing_due_nothing_is_delivered(shop: Shop) -> None:
    assert shop.service.delivery.work_off() == 0
    assert shop.service.delivery.work_off() == 0


def test_a_delivered_row_is_done_and_shows_the_subject_that_went_out(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)

    assert shop.service.delivery.work_off() == 1

    row = the_row(shop)
    assert (row.state, row.done_at, row.attempts) == ("done", shop.clock(), 1)
    assert row.subject == received(mail_server)[0]["Subject"] == "Your license for Alpha"


def test_one_mail_lists_all_licenses_of_an_order(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101", f"{MAPPING}&is_usemultipleactivationskey=false")
    shop.map("102")
    buy(shop, Order(lines=[Line(quantity="2"), Line(pid="102", name="Beta", ref="BBBBBBBBBB")]))

    shop.service.delivery.work_off()

    [message] = received(mail_server)
    assert len(keys(shop)) == 3
    for key in keys(shop):
        assert text_of(message).count(key) == 1


def test_products_with_templates_of_their_own_get_mails_of_their_own(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    shop.map("102", MAPPING.replace("NewOrder", "Renewal"))
    buy(shop, Order(lines=[Line(), Line(pid="102", name="Beta", ref="BBBBBBBBBB")]))

    shop.service.delivery.work_off()

    assert [message["Subject"] for message in received(mail_server)] == [
        "Your license for Alpha",
        "Your license for Beta is renewed",
    ]


def add_the_second_license(shop: Shop) -> None:
    """The second line of the order was held until its product got a mapping."""
    shop.map("102")
    with shop.service.database.reading():
        held = models.Notification.get(models.Notification.state == "held")
    shop.service.intake.replay(held.id)


TWO_LINES = Order(lines=[Line(), Line(pid="102", name="Beta", ref="BBBBBBBBBB")])


def test_a_license_that_comes_later_joins_the_mail_that_still_waits(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop, TWO_LINES)

    add_the_second_license(shop)
    shop.service.delivery.work_off()

    [message] = [message for message in received(mail_server) if message["To"] == "a@example.com"]
    assert all(key in text_of(message) for key in keys(shop))


def test_a_license_that_comes_after_the_mail_gets_another_that_lists_it_alone(
    shop: Shop, mail_server: MailServer
) -> None:
    shop.map("101")
    buy(shop, TWO_LINES)
    shop.service.delivery.work_off()

    add_the_second_license(shop)
    shop.service.delivery.work_off()

    first, second = [message for message in received(mail_server) if message["To"] == "a@example.com"]
    assert [[key in text_of(message) for key in keys(shop)] for message in (first, second)] == [
        [True, False],
        [False, True],
    ]


@pytest.mark.parametrize(
    "arguments",
    ["&is_productid=1&is_majorversion=1&is_minorversion=0", f"{MAPPING}&is_send_mail=false"],
    ids=["no template", "switched off"],
)
def test_a_mapping_that_asks_for_no_mail_gets_none(shop: Shop, arguments: str) -> None:
    shop.map("101", arguments)
    buy(shop)

    assert len(keys(shop)) == 1
    assert rows(shop) == []


def test_an_order_without_a_usable_address_alerts_the_operator_once(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    order = Order(email="no address")
    buy(shop, order)
    buy(shop, order.changed(ipn_date="20260101100600"))

    shop.service.delivery.work_off()

    [message] = received(mail_server)
    assert message["To"] == "operator@example.com"
    assert message["Subject"] == "Order 900000001: the license is issued, but not mailed"
    assert "qlmhook license list --order 900000001" in text_of(message)
    assert len(keys(shop)) == 1


def test_a_refusal_for_now_is_tried_again_until_it_works(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    mail_server.data_answer = "451 later"

    shop.service.delivery.work_off()

    row = the_row(shop)
    assert (row.state, row.attempts, row.due_at) == ("due", 1, shop.clock() + MINUTE)
    assert row.last_error == "The mail server refuses the mail: 451 later"
    assert rows(shop, "alert") == []

    mail_server.data_answer = "250 OK"
    assert shop.service.delivery.work_off() == 0
    shop.clock.now += MINUTE
    shop.service.delivery.work_off()
    row = the_row(shop)
    assert (row.state, row.attempts, row.last_error) == ("done", 2, "")


def test_a_mail_that_was_refused_for_now_shows_the_subject_that_it_had(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    mail_server.data_answer = "451 later"

    shop.service.delivery.work_off()

    assert the_row(shop).subject == "Your license for Alpha"


def test_the_message_id_stays_the_same_across_attempts(shop: Shop, mail_server: MailServer) -> None:
    """A mail server that has the message already can tell, and drop the second."""
    shop.map("101")
    buy(shop)
    mail_server.data_answer = "451 later"
    for _ in range(3):
        shop.service.delivery.work_off()
        shop.clock.now += timedelta(hours=1)

    first, second, third = [message["Message-ID"] for message in received(mail_server)]
    assert first == second == third
    assert first.endswith("@example.com>")


def test_two_mails_have_message_ids_of_their_own(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    buy(shop, Order(refno="900000002", lines=[Line(ref="BBBBBBBBBB")]))

    shop.service.delivery.work_off()

    first, second = [message["Message-ID"] for message in received(mail_server)]
    assert first != second


def test_a_mail_that_a_dead_worker_left_goes_out_when_its_lease_ran_out(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    with shop.service.database.transaction():
        queue.claim(shop.clock())

    assert shop.service.delivery.work_off() == 0
    shop.clock.now += queue.LEASE
    assert shop.service.delivery.work_off() == 1
    assert len(mail_server.envelopes) == 1


def test_that_a_mail_went_out_is_written_down_once_the_database_is_free(
    shop: Shop, mail_server: KeepingServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that keeps the database for a while does not make it go out a second time."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(deliver, "POLL_SECONDS", 0.1)
    shop.map("101")
    buy(shop)

    with ExitStack() as other_writer:

        def keep_for_a_while() -> None:
            other_writer.enter_context(flocked(database_url))
            threading.Timer(1, other_writer.close).start()

        mail_server.on_arrival = keep_for_a_while
        shop.service.delivery.work_off()

    assert (the_row(shop).state, len(mail_server.envelopes)) == ("done", 1)


def test_a_missing_template_is_waited_for(open_mailing: OpenMailing, mail_server: MailServer, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    shop = open_mailing(mail__templates=str(folder))
    shop.map("101", MAPPING.replace("Customer.NewOrder", "Ours"))
    buy(shop)

    shop.service.delivery.work_off()
    assert (the_row(shop).state, mail_server.envelopes) == ("due", [])
    assert the_row(shop).last_error.startswith("There is no mail template 'Ours'")

    (folder / "Ours.txt").write_text("Subject: Ours\n\n%ActivationKey%\n", encoding="utf-8")
    shop.clock.now += MINUTE
    shop.service.delivery.work_off()
    [message] = received(mail_server)
    assert (message["Subject"], [text_of(message).strip()]) == ("Ours", keys(shop))


def test_a_refusal_for_good_is_given_up_at_once_and_told_to_the_operator(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    mail_server.rcpt_answer["a@example.com"] = "550 unknown"

    shop.service.delivery.work_off()

    row = the_row(shop)
    [message] = received(mail_server)
    assert row.state == "dead"
    assert message["To"] == "operator@example.com"
    assert message["Subject"] == "Order 900000001: the mail is given up"
    assert text_of(message) == (
        f"The mail server refuses the recipient: 550 unknown Mend the cause and run `qlmhook outbox retry {row.id}`.\n"
    )


def test_after_a_week_of_failures_the_operator_is_told(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    mail_server.rcpt_answer["a@example.com"] = "450 full"
    shop.service.delivery.work_off()
    assert rows(shop, "alert") == []

    shop.clock.now += WEEK
    shop.service.delivery.work_off()

    assert the_row(shop).state == "dead"
    assert [message["Subject"] for message in received(mail_server)] == ["Order 900000001: the mail is given up"]


def test_a_retried_mail_goes_out_once_the_cause_is_mended(shop: Shop, mail_server: MailServer) -> None:
    shop.map("101")
    buy(shop)
    mail_server.rcpt_answer["a@example.com"] = "550 unknown"
    shop.service.delivery.work_off()
    mail_server.rcpt_answer.clear()

    with shop.service.database.transaction():
        queue.retry(the_row(shop).id, shop.clock())
    shop.service.delivery.work_off()

    assert the_row(shop).state == "done"
    assert [message["To"] for message in received(mail_server)] == ["operator@example.com", "a@example.com"]


def test_an_alert_that_cannot_be_sent_raises_no_alert(shop: Shop, mail_server: MailServer) -> None:
    with shop.service.database.transaction():
        queue.add(AlertPayload(text="x"), now=shop.clock(), to="operator@example.com", subject="s")
    mail_server.rcpt_answer["operator@example.com"] = "550 unknown"

    shop.service.delivery.work_off()

    assert the_row(shop, "alert").state == "dead"


def test_without_an_operator_alerts_are_logged(
    open_mailing: OpenMailing, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_mailing(mail__operator="")
    shop.map("101")
    buy(shop)
    mail_server.rcpt_answer["a@example.com"] = "550 unknown"

    shop.service.delivery.work_off()

    assert rows(shop, "alert") == []
    assert any("Order 900000001: the mail is given up" in message for message in caplog.messages)


@pytest.mark.parametrize("payload", [AlertPayload(text="x"), MailPayload(template="Order")], ids=lambda one: one.kind)
def test_an_error_of_our_own_waits_like_others_and_stops_nobody_else(
    shop: Shop, mail_server: MailServer, caplog: pytest.LogCaptureFixture, payload: Payload
) -> None:
    """What went wrong is for the log; the row says what kind of error it was."""
    with shop.service.database.transaction():
        broken = queue.add(payload, now=shop.clock(), to="operator@example.com", subject="broken")
        queue.describe(broken, payload="{}")
        queue.add(AlertPayload(text="x"), now=shop.clock(), to="operator@example.com", subject="whole")

    shop.service.delivery.work_off()

    assert [message["Subject"] for message in received(mail_server)] == ["whole"]
    with shop.service.database.reading():
        found = list(models.Outbox.select().order_by(models.Outbox.id))
    assert [(row.subject, row.state, row.last_error) for row in found] == [
        ("broken", "due", "An internal error: ValidationError."),
        ("whole", "done", ""),
    ]
    assert f"Outbox row {broken.id} could not be delivered" in caplog.messages


def test_the_mapping_says_from_whom_with_which_subject_and_copies(shop: Shop, mail_server: MailServer) -> None:
    """It is the mapping of the day on which the mail goes out."""
    shop.map("101")
    buy(shop)
    shop.map(
        "101",
        f"{MAPPING}&is_emailfrom=sales@example.org&is_emailsubject=Key for %25ProductName%25"
        "&is_ccemail=b@example.com;c@example.com&is_bccemail=d@example.com",
    )

    shop.service.delivery.work_off()

    [envelope] = mail_server.envelopes
    [message] = received(mail_server)
    assert envelope.rcpt_tos == ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]
    assert (message["From"], message["Subject"], message["Cc"]) == (
        "sales@example.org",
        "Key for Alpha",
        "b@example.com, c@example.com",
    )


@pytest.mark.parametrize("value", [None, "is_productid=1", "ignore"])
def test_a_mapping_that_is_gone_or_broken_by_now_does_not_keep_the_mail_back(
    shop: Shop, mail_server: MailServer, value: str | None
) -> None:
    shop.map("101")
    buy(shop)
    with shop.service.database.transaction():
        mappings.remove("pid_101")
        if value is not None:
            models.ServerProperty.create(name="pid_101", value=value, updated_at=shop.clock())

    shop.service.delivery.work_off()

    assert received(mail_server)[0]["From"] == "Licensing <licensing@example.com>"


# Source: QLM, "Which variables are available in an email template"
VALUES = {
    "ProductName": "Gamma",
    "MajorVersion": "3",
    "MinorVersion": "4",
    "OrderID": "900000001",
    "OrderDate": "2026-01-01",
    "MaintenanceRenewalDate": "2026-06-30",
    "NumLicenses": "2",
    "AvailableLicenses": "2",
    "Disabled": "False",
    "UserData1": "note",
    "ReceiptID": "AAAAAAAAAA",
    "SubscriptionID": "AAAAAAAAAA",
    "SubscriptionExpiryDate": "2027-01-01",
    "FloatingSeats": "10",
    "LicenseModel": "subscription_floating",
    "EnabledFeatures": "0:3",
    "ComputerType": "2",
    "LegacyKey": "OLD-1",
    "AffiliateName": "Northern",
    "FullName": "Ann Smith",
    "Email": "a@example.com",
    "Company": "Example Ltd",
    "OrganizationName": "Example Ltd",
    "Phone": "+1 555 0100",
    "Fax": "+1 555 0101",
    "Address1": "1 Main Street",
    "Address2": "Floor 2",
    "City": "Springfield",
    "State": "Oregon",
    "Zip": "97477",
    "Country": "United States of America",
}
EMPTY = [
    "ComputerKey",
    "ComputerID",
    "Comment",
    "GenericLicense",
    "SubscriptionDuration",
    "FloatingLicenseLocation",
    "BundleID",
    "OrganizationNotes",
    "Mobile",
    "Notes",
    "AuthorizationCode",
]


def test_every_variable_of_qlms_page_can_be_used(
    open_mailing: OpenMailing, mail_server: MailServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those for what is not kept here become nothing."""
    names = ["ActivationKey", *VALUES, *EMPTY]
    template = "Subject: s\n\n" + "".join(f"{name}=%{name}%\n" for name in names)
    (tmp_path / "Every.txt").write_text(template, encoding="utf-8")
    shop = open_mailing(mail__templates=str(tmp_path))
    shop.map(
        "101",
        "is_productid=1&is_majorversion=3&is_minorversion=4&is_productname=Gamma&is_emailtemplate=Every"
        "&is_maintenance_plan=1&is_maintdate=2026-06-30&is_userdata1=note&is_floating=5&is_features=0:3"
        "&is_licensemodel=subscription_floating&is_computertype=2&is_legacykey=OLD-1&is_affiliateid=Northern",
    )
    contact = [("COMPANY", "Example Ltd"), ("FAX", "+1 555 0101"), ("ADDRESS1", "1 Main Street")]
    contact += [("ADDRESS2", "Floor 2"), ("CITY", "Springfield"), ("STATE", "Oregon"), ("ZIPCODE", "97477")]
    buy(shop, Order(lines=[Line(quantity="2")], extra=contact))

    with caplog.at_level(logging.WARNING):
        shop.service.delivery.work_off()

    [message] = received(mail_server)
    found = dict(line.split("=", 1) for line in text_of(message).splitlines())
    assert found == {"ActivationKey": keys(shop)[0], **VALUES, **dict.fromkeys(EMPTY, "")}
    assert caplog.messages == []


def test_a_beating_worker_is_known_and_a_silent_one_is_forgotten(shop: Shop) -> None:
    def workers() -> dict[str, Any]:
        with shop.service.database.reading():
            return {row.worker: row.at for row in models.Heartbeat.select()}

    start = shop.clock()
    shop.service.delivery.beat("one")
    shop.clock.now += ALIVE_FOR
    shop.service.delivery.beat("two")
    assert workers() == {"one": start, "two": start + ALIVE_FOR}

    shop.clock.now += timedelta(seconds=1)
    shop.service.delivery.beat("two")
    assert workers() == {"two": start + ALIVE_FOR + timedelta(seconds=1)}


def test_a_worker_delivers_until_it_is_stopped(shop: Shop, mail_server: KeepingServer) -> None:
    """It finishes the row at hand first."""
    worker = Worker(shop.service.delivery, shop.service.refusals)
    shop.map("101")
    buy(shop)

    def work() -> None:
        worker.run()
        shop.service.database.close()

    thread = threading.Thread(target=work)
    thread.start()
    arrived = mail_server.arrived.wait(20)
    worker.request_stop()
    thread.join()

    assert arrived
    assert the_row(shop).state == "done"


def test_the_mails_that_are_due_share_a_session(shop: Shop, mail_server: KeepingServer) -> None:
    with shop.service.database.transaction():
        for number in range(3):
            queue.add(AlertPayload(text=str(number)), now=shop.clock(), to="operator@example.com")

    shop.service.delivery.work_off()

    assert len(mail_server.envelopes) == 3
    assert len(mail_server.peers) == 1


def test_a_worker_that_is_asked_to_stop_while_it_sends_claims_no_other_row(
    shop: Shop, mail_server: KeepingServer
) -> None:
    worker = Worker(shop.service.delivery, shop.service.refusals)
    mail_server.on_arrival = worker.request_stop
    with shop.service.database.transaction():
        for number in range(2):
            queue.add(AlertPayload(text=str(number)), now=shop.clock(), to="operator@example.com")

    worker.run()

    assert [(row.state, row.attempts) for row in rows(shop, "alert")] == [("done", 1), ("due", 0)]


def test_a_worker_that_was_asked_to_stop_takes_nothing_up(shop: Shop) -> None:
    worker = Worker(shop.service.delivery, shop.service.refusals)
    shop.map("101")
    buy(shop)

    worker.request_stop()
    worker.run()

    assert the_row(shop).state == "due"
