"""When 2Checkout learns that an order is fulfilled: rows 65 to 68 of the protocol notes' test matrix.

The test of a row has its number in its name. What the plugin makes of an order and of an answer is in
avangate/test_idn.py.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from qlmhook.channels import http
from qlmhook.outbox import payloads, queue
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.storage import models
from tests.conftest import KEY, MAPPING, MailServer, OpenShop, Shop, free_port
from tests.plugins.avangate.idn_peer import (
    SIGNED,
    IdnPeer,
    Treatment,
    answers,
    answers_with,
    as_documented,
    breaks_off,
    drips,
    fails_after_taking,
    hangs_up_after_taking,
    hangs_up_before_taking,
    never_ends,
    signs_with_another_key,
    speaks_of_another_order,
    stays_silent,
    takes_and_stays_silent,
)
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import digest
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import the_license
from tests.support.server import command

# What differs from engine to engine is in test_confirmations_under_fire.py.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CONFIRM = f"{MAPPING}&is_sendresponse=true"
ALPHA = Line()
BETA = Line(pid="102", name="Beta", ref="BBBBBBBBBB")
ORDER = Order()
TWO_LINES = Order(lines=[ALPHA, BETA])
RENEWAL = Order(
    refno="900000002",
    sale_date="2026-12-20 10:00:00",
    ipn_date="20261220100500",
    lines=[Line(expires="2028-01-01 00:00:00")],
)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)
OPERATOR = "operator@example.com"


@pytest.fixture
def peer() -> Iterator[IdnPeer]:
    """2Checkout's end; at the end of a test it has nothing to say against what it received."""
    with IdnPeer(KEY) as peer:
        yield peer
    assert peer.faults == []


@pytest.fixture
def overrides(mail_server: MailServer, peer: IdnPeer, tmp_path: Path) -> dict[str, str]:
    """The QLMHOOK__… overrides for a mail server, a shop and templates of one's own."""
    (tmp_path / "mails").mkdir()
    return {
        "mail__host": "127.0.0.1",
        "mail__port": str(mail_server.port),
        "mail__templates": str(tmp_path / "mails"),
        "vendors__avangate__idn__url": peer.url,
    }


@pytest.fixture
def shop(open_shop: OpenShop, overrides: dict[str, str]) -> Shop:
    return open_shop(**overrides)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with 2Checkout, so that the tests need less, too."""
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.2)
    monkeypatch.setattr(http, "DEADLINE", 0.6)


def buy(shop: Shop, order: Order = ORDER) -> None:
    """Whatever becomes of the confirmation, the IPN is receipted."""
    assert shop.post(order.fields()).status_code == 200


def work(shop: Shop, *, after: timedelta = timedelta(0)) -> None:
    shop.clock.now += after
    shop.service.delivery.work_off()


def confirmations(shop: Shop) -> list[Row]:
    with shop.service.database.reading():
        return [row for row in listings.outbox_rows() if row["kind"] == "confirmation"]


def state(shop: Shop) -> str:
    [row] = confirmations(shop)
    return str(row["state"])


def retry(shop: Shop, kind: str) -> None:
    with shop.service.database.transaction():
        for row in models.Outbox.select().where(models.Outbox.kind == kind):
            queue.retry(row.id, shop.clock())


def replay_held(shop: Shop) -> None:
    with shop.service.database.reading():
        held = [row["id"] for row in listings.notifications(state="held")]
    for notification_id in held:
        shop.service.intake.replay(notification_id)


def decide(shop: Shop, action: str) -> None:
    shop.service.decisions.decide(the_license(shop)["key"], action, why="a test", operator="tester")


def alerts(shop: Shop) -> list[tuple[str, str]]:
    """Subject and text of the alerts to the operator."""
    with shop.service.database.reading():
        rows = models.Outbox.select().where(models.Outbox.kind == "alert").order_by(models.Outbox.id)
        return [(row.subject, payloads.of(row, AlertPayload).text) for row in rows]


def taken_by(server: MailServer) -> list[str]:
    """To whom mails were accepted, without those to the operator."""
    return [address for envelope in server.envelopes for address in envelope.rcpt_tos if address != OPERATOR]


class TestOneForEachOrder:
    def test_row_65_a_fulfilled_order_is_confirmed_once_its_mail_is_accepted(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer
    ) -> None:
        """One POST; the fields in order, the amount's text unchanged, the hash over the five."""
        accepted: list[list[str]] = []
        peer.on_taking = lambda order_ref: accepted.append(taken_by(mail_server))
        shop.map("101", CONFIRM)
        buy(shop, ORDER.changed(extra=[("IPN_TOTALGENERAL", "29.90"), ("CURRENCY", "EUR")]))
        sent_before_work = list(peer.requests)

        work(shop)

        values = ["EXAMPLE", "900000001", "29.90", "EUR", "2026-01-01 14:00:00"]
        [request] = peer.requests
        assert sent_before_work == []
        assert list(request.fields) == [
            *zip(SIGNED, values, strict=True),
            ("ORDER_HASH", digest(KEY, values, "sha256")),
        ]
        assert peer.confirmed == ["900000001"]
        assert accepted == [["a@example.com"]]
        assert [(row["state"], row["answer"]) for row in confirmations(shop)] == [("done", "1 Confirmed")]

    def test_several_lines_and_licenses_are_confirmed_together(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("101", f"{CONFIRM}&is_usemultipleactivationskey=false")
        shop.map("102", CONFIRM)
        buy(shop, Order(lines=[Line(quantity="3"), BETA]))

        work(shop)

        assert peer.confirmed == ["900000001"]
        assert len(peer.requests) == 1

    def test_each_of_several_orders_is_confirmed(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("101", CONFIRM)
        for number in range(1, 4):
            buy(shop, Order(refno=f"90000000{number}", lines=[Line(ref=f"REF{number}")]))

        work(shop)

        assert peer.confirmed == ["900000001", "900000002", "900000003"]

    def test_a_product_that_does_not_ask_for_it_is_not_confirmed(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("101", f"{MAPPING}&is_sendresponse=false")
        shop.map("102", "ignore")
        buy(shop, TWO_LINES)

        work(shop)

        assert confirmations(shop) == []
        assert peer.requests == []

    @pytest.mark.parametrize(
        "mapping",
        [f"{CONFIRM}&is_send_mail=false", CONFIRM.replace("&is_emailtemplate=Customer.NewOrder", "")],
        ids=["switched off", "no template"],
    )
    def test_a_mail_that_the_mapping_switches_off_is_not_waited_for(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer, mapping: str
    ) -> None:
        shop.map("101", mapping)
        buy(shop)

        work(shop)

        assert peer.confirmed == ["900000001"]
        assert mail_server.envelopes == []

    @pytest.mark.parametrize(
        "mapping",
        ["ignore", MAPPING.replace("Customer.NewOrder", "NotWrittenYet")],
        ids=["ignored", "a mail that waits"],
    )
    def test_a_line_that_does_not_ask_for_it_does_not_stand_in_the_way(
        self, shop: Shop, peer: IdnPeer, mapping: str
    ) -> None:
        shop.map("101", CONFIRM)
        shop.map("102", mapping)
        buy(shop, TWO_LINES)

        work(shop)

        assert peer.confirmed == ["900000001"]

    def test_a_line_that_a_later_message_adds_may_ask_for_it(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("101")
        shop.map("102", CONFIRM)
        buy(shop, ORDER)
        work(shop)

        buy(shop, TWO_LINES.changed(ipn_date="20260101110000"))
        work(shop)

        assert peer.confirmed == ["900000001"]

    def test_two_accounts_confirm_each_their_own_order_of_one_number(
        self, open_shop: OpenShop, overrides: dict[str, str], peer: IdnPeer
    ) -> None:
        with IdnPeer("second key") as second:
            shop = open_shop(
                **overrides,
                vendors__second__plugin="avangate",
                vendors__second__shared_keys='["second key"]',
                vendors__second__idn__url=second.url,
                vendors__second__idn__merchant="SECOND",
            )
            shop.map("101", CONFIRM)
            buy(shop)
            assert shop.post(ORDER.fields(), key="second key", query="is_vendor=second").status_code == 200

            work(shop)

        assert [request.value("MERCHANT") for request in (*peer.requests, *second.requests)] == ["EXAMPLE", "SECOND"]
        assert (peer.confirmed, second.confirmed) == (["900000001"], ["900000001"])


class TestRepeats:
    """An IPN that is repeated sends no second confirmation."""

    @pytest.mark.parametrize(
        "repeat",
        [
            pytest.param(ORDER, id="the same"),
            pytest.param(ORDER.changed(ipn_date="20260101110000"), id="of another minute"),
            pytest.param(
                ORDER.changed(status="PAYMENT_AUTHORIZED", ipn_date="20260101095500"), id="of an earlier state"
            ),
        ],
    )
    @pytest.mark.parametrize("is_confirmed_already", [True, False])
    def test_a_repeat_confirms_nothing_anew(
        self, shop: Shop, peer: IdnPeer, repeat: Order, is_confirmed_already: bool
    ) -> None:
        shop.map("101", CONFIRM)
        buy(shop)
        if is_confirmed_already:
            work(shop)

        buy(shop, repeat)
        work(shop, after=DAY)

        assert len(peer.requests) == 1
        assert [row["state"] for row in confirmations(shop)] == ["done"]

    def test_a_replay_confirms_nothing_anew(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("101", CONFIRM)
        buy(shop)
        work(shop)

        shop.service.intake.replay(1)
        work(shop, after=DAY)

        assert len(peer.requests) == 1


@dataclass(frozen=True, kw_only=True)
class World:
    shop: Shop
    mail_server: MailServer
    templates: Path


@pytest.fixture
def world(shop: Shop, mail_server: MailServer, tmp_path: Path) -> World:
    return World(shop=shop, mail_server=mail_server, templates=tmp_path / "mails")


Trouble = Callable[[World], Iterator[None]]
"""Makes trouble for an order until `yield`, and mends it afterwards."""


def a_held_line(world: World) -> Iterator[None]:
    world.shop.map("101", CONFIRM)
    buy(world.shop, TWO_LINES)
    yield
    world.shop.map("102", CONFIRM)
    replay_held(world.shop)


def a_held_order(world: World) -> Iterator[None]:
    buy(world.shop)
    yield
    world.shop.map("101", CONFIRM)
    replay_held(world.shop)


def a_held_line_that_turns_out_to_need_no_license(world: World) -> Iterator[None]:
    world.shop.map("101", CONFIRM)
    buy(world.shop, TWO_LINES)
    yield
    world.shop.map("102", "ignore")
    replay_held(world.shop)


def a_subscription_whose_end_nobody_tells(world: World) -> Iterator[None]:
    """2Checkout tells it in an LCN."""
    world.shop.map("101", f"{CONFIRM}&is_licensemodel=subscription")
    buy(world.shop, Order(lines=[Line(expires="")]))
    yield
    assert world.shop.post(Subscription().fields()).status_code == 200


def a_review(world: World) -> Iterator[None]:
    world.shop.map("101", CONFIRM)
    buy(world.shop, ORDER.changed(status="PAYMENT_AUTHORIZED", extra=[("FRAUD_STATUS", "UNDER REVIEW")]))
    yield
    buy(world.shop, ORDER.changed(extra=[("FRAUD_STATUS", "APPROVED")]))


def a_mail_server_that_refuses_for_now(world: World) -> Iterator[None]:
    world.mail_server.data_answer = "451 later"
    world.shop.map("101", CONFIRM)
    buy(world.shop)
    yield
    world.mail_server.data_answer = "250 OK"
    world.shop.clock.now += HOUR


def a_mail_server_that_refuses_for_good(world: World) -> Iterator[None]:
    world.mail_server.rcpt_answer["a@example.com"] = "550 unknown"
    world.shop.map("101", CONFIRM)
    buy(world.shop)
    yield
    world.mail_server.rcpt_answer.clear()
    retry(world.shop, "mail")


def a_dead_mail_that_is_sent_by_hand_to_another_address(world: World) -> Iterator[None]:
    world.mail_server.rcpt_answer["a@example.com"] = "550 unknown"
    world.shop.map("101", CONFIRM)
    buy(world.shop)
    yield
    with world.shop.service.database.transaction():
        license = models.License.get()
        world.shop.service.mailing.resend(license, to="b@example.com", now=world.shop.clock())


def a_second_mail_that_is_refused(world: World) -> Iterator[None]:
    """The lines have mails of their own."""
    world.shop.map("101", CONFIRM)
    world.shop.map("102", CONFIRM.replace("Customer.NewOrder", "Second"))
    buy(world.shop, TWO_LINES)
    yield
    (world.templates / "Second.txt").write_text("Subject: s\n\n%ActivationKey%\n", encoding="utf-8")
    world.shop.clock.now += HOUR


def a_missing_template(world: World) -> Iterator[None]:
    world.shop.map("101", CONFIRM.replace("Customer.NewOrder", "Ours"))
    buy(world.shop)
    yield
    (world.templates / "Ours.txt").write_text("Subject: s\n\n%ActivationKey%\n", encoding="utf-8")
    world.shop.clock.now += HOUR


def an_order_without_an_address(world: World) -> Iterator[None]:
    world.shop.map("101", CONFIRM)
    buy(world.shop, ORDER.changed(email="no address"))
    yield
    buy(world.shop, ORDER.changed(ipn_date="20260101110000"))


def a_license_that_is_taken_away(world: World) -> Iterator[None]:
    world.shop.map("101", CONFIRM)
    buy(world.shop)
    decide(world.shop, "revoke")
    yield
    decide(world.shop, "reinstate")


TROUBLES: list[tuple[Trouble, str]] = [
    (a_held_line, "The order is held: Product 102 ('Beta') has no mapping: set the property pid_102."),
    (a_held_line_that_turns_out_to_need_no_license, "The order is held: Product 102 ('Beta') has no mapping: "),
    (a_held_order, ""),
    (a_subscription_whose_end_nobody_tells, ""),
    (a_review, ""),
    (a_mail_server_that_refuses_for_now, "The mail with the license of line 101#1 has not gone out yet."),
    (a_mail_server_that_refuses_for_good, "The mail with the license of line 101#1 has not gone out yet."),
    (
        a_dead_mail_that_is_sent_by_hand_to_another_address,
        "The mail with the license of line 101#1 has not gone out yet.",
    ),
    (a_second_mail_that_is_refused, "The mail with the license of line 102#1 has not gone out yet."),
    (a_missing_template, "The mail with the license of line 101#1 has not gone out yet."),
    (an_order_without_an_address, "The mail with the license of line 101#1 has not gone out yet."),
    (a_license_that_is_taken_away, "The license of line 101#1 is revoked."),
]


class TestTrouble:
    """What is not fulfilled is not confirmed."""

    @pytest.mark.parametrize(("trouble", "reason"), TROUBLES, ids=[trouble.__name__ for trouble, _ in TROUBLES])
    def test_row_68_it_holds_the_confirmation_back_and_mending_it_lets_it_go(
        self, world: World, peer: IdnPeer, trouble: Trouble, reason: str
    ) -> None:
        """Waiting is no attempt, and the operator sees what is waited for."""
        steps = trouble(world)
        next(steps)
        work(world.shop)
        work(world.shop, after=DAY)
        sent_in_trouble = list(peer.requests)
        waiting = [(row["state"], row["attempts"], row["last_error"]) for row in confirmations(world.shop)]

        assert next(steps, "mended") == "mended"
        work(world.shop)

        assert sent_in_trouble == []
        assert [(state, attempts, error.startswith(reason)) for state, attempts, error in waiting] == (
            [("due", 0, True)] if reason else []
        )
        assert peer.confirmed == ["900000001"]
        assert [(row["state"], row["attempts"], row["last_error"]) for row in confirmations(world.shop)] == [
            ("done", 1, "")
        ]

    def test_what_nothing_happens_to_is_looked_at_ever_more_rarely_and_at_last_once_a_day(self, shop: Shop) -> None:
        """When it has waited for a day, the operator is told."""
        shop.map("101", CONFIRM)
        buy(shop, TWO_LINES)
        begun, looks, told = shop.clock(), [], []
        for _ in range(14):
            work(shop)
            looks.append((shop.clock() - begun) // MINUTE)
            told.append(sum("confirmation waits" in subject for subject, _ in alerts(shop)))
            with shop.service.database.reading():
                shop.clock.now = models.Outbox.get(models.Outbox.kind == "confirmation").due_at

        day = DAY // MINUTE
        assert looks == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, day, 2 * day]
        assert told == [0] * 12 + [1, 1]


class TestRenewals:
    def test_a_renewal_is_confirmed_after_its_own_mail(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer
    ) -> None:
        mails: list[int] = []
        peer.on_taking = lambda order_ref: mails.append(len(mail_server.envelopes))
        shop.map("101", CONFIRM)
        for order in (ORDER, RENEWAL):
            buy(shop, order)
            work(shop)

        assert peer.confirmed == ["900000001", "900000002"]
        assert mails == [1, 2]

    def test_an_order_that_arrives_after_its_renewal_is_confirmed_too(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer
    ) -> None:
        """The customer has the license with the renewal's mail."""
        shop.map("101", CONFIRM)
        for order in (RENEWAL, ORDER):
            buy(shop, order)
            work(shop)

        assert peer.confirmed == ["900000002", "900000001"]
        assert len(mail_server.envelopes) == 1

    @pytest.mark.parametrize("mapping", [CONFIRM, f"{CONFIRM}&is_send_mail=false"], ids=["mails", "renewals' mails"])
    def test_its_refused_mail_holds_it_back(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer, mapping: str
    ) -> None:
        shop.map("101", mapping)
        buy(shop)
        work(shop)
        mail_server.data_answer = "451 later"
        buy(shop, RENEWAL)
        work(shop)
        confirmed_before = list(peer.confirmed)

        mail_server.data_answer = "250 OK"
        work(shop, after=MINUTE)

        assert confirmed_before == ["900000001"]
        assert peer.confirmed == ["900000001", "900000002"]

    def test_it_is_confirmed_without_a_mail_if_renewals_are_not_mailed(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer
    ) -> None:
        shop.map("101", f"{CONFIRM}&is_send_renewal_mail=false")
        for order in (ORDER, RENEWAL):
            buy(shop, order)
            work(shop)

        assert peer.confirmed == ["900000001", "900000002"]
        assert len(mail_server.envelopes) == 1


NO_ANSWER = "2Checkout's answer, with HTTP status {}, is no answer to an IDN."


class TestTriedAgain:
    """What is no word about the order, or may pass, is tried again with backoff."""

    @pytest.mark.parametrize(
        ("treatment", "reason", "answer"),
        [
            pytest.param(answers(6), "2Checkout answers 6 Error confirming the order.", "1 Confirmed", id="code 6"),
            pytest.param(answers(8), "2Checkout answers 8 Unknown error.", "1 Confirmed", id="code 8"),
            pytest.param(hangs_up_before_taking, "There was no answer: ", "1 Confirmed", id="hangs up"),
            pytest.param(
                hangs_up_after_taking, "There was no answer: ", "7 Order already confirmed", id="takes, hangs up"
            ),
            pytest.param(breaks_off, "There was no answer: ", "7 Order already confirmed", id="takes, breaks off"),
            pytest.param(stays_silent, "There was no answer: ", "1 Confirmed", id="is silent"),
            pytest.param(
                takes_and_stays_silent, "There was no answer: ", "7 Order already confirmed", id="takes, is silent"
            ),
            pytest.param(drips, "The answer is too long or too slow.", "7 Order already confirmed", id="takes, drips"),
            pytest.param(never_ends, "The answer is too long or too slow.", "1 Confirmed", id="never ends"),
            pytest.param(answers_with(b"", status=503), NO_ANSWER.format(503), "1 Confirmed", id="503"),
            pytest.param(fails_after_taking, NO_ANSWER.format(500), "7 Order already confirmed", id="takes, 500"),
            pytest.param(
                answers_with(b"", status=302, headers={"Location": "/elsewhere"}),
                NO_ANSWER.format(302),
                "1 Confirmed",
                id="redirect",
            ),
            pytest.param(answers_with(b"<html>Confirmed</html>"), NO_ANSWER.format(200), "1 Confirmed", id="html"),
            pytest.param(
                signs_with_another_key,
                "The answer's signature does not match; it is not believed.",
                "1 Confirmed",
                id="wrong hash",
            ),
            pytest.param(
                speaks_of_another_order,
                "The answer is about another order; it is not believed.",
                "1 Confirmed",
                id="another order",
            ),
        ],
    )
    @pytest.mark.usefixtures("hurried")
    def test_rows_66_and_67_the_order_ends_confirmed_once(
        self, shop: Shop, peer: IdnPeer, treatment: Treatment, reason: str, answer: str
    ) -> None:
        peer.will(treatment)
        shop.map("101", CONFIRM)
        buy(shop)
        work(shop)
        [failed] = confirmations(shop)
        due_at = f"{shop.clock() + MINUTE:%Y-%m-%dT%H:%M:%SZ}"

        work(shop, after=MINUTE)

        assert (failed["state"], failed["attempts"], failed["answer"]) == ("due", 1, "")
        assert failed["due_at"] == due_at
        assert failed["last_error"].startswith(reason)
        assert peer.confirmed == ["900000001"]
        assert len(peer.requests) == 2
        assert [(row["state"], row["attempts"], row["answer"]) for row in confirmations(shop)] == [("done", 2, answer)]
        assert the_license(shop)["status"] == "active"
        assert alerts(shop) == []

    def test_a_shop_that_is_away_for_an_hour_is_asked_less_and_less_often(
        self, open_shop: OpenShop, overrides: dict[str, str]
    ) -> None:
        port = free_port()
        overrides["vendors__avangate__idn__url"] = f"http://127.0.0.1:{port}/order/idn.php"
        shop = open_shop(**overrides)
        shop.map("101", CONFIRM)
        buy(shop)

        attempts = []
        for _ in range(60):
            work(shop)
            attempts.append(confirmations(shop)[0]["attempts"])
            shop.clock.now += MINUTE
        with IdnPeer(KEY, port=port) as peer:
            work(shop, after=3 * MINUTE)

        assert [attempts.index(number) for number in range(1, 7)] == [0, 1, 3, 7, 15, 31]
        assert attempts[-1] == 6
        assert peer.confirmed == ["900000001"]

    def test_after_a_week_it_is_given_up_and_the_operator_is_told(self, shop: Shop, peer: IdnPeer) -> None:
        peer.otherwise = answers(6)
        shop.map("101", CONFIRM)
        buy(shop)
        states = []
        for after in (timedelta(0), WEEK - MINUTE, HOUR):
            work(shop, after=after)
            states.append(state(shop))

        assert states == ["due", "due", "dead"]
        [(subject, text)] = alerts(shop)
        assert subject == "Order 900000001: the confirmation is given up"
        assert text.startswith("2Checkout answers 6 Error confirming the order. Mend the cause and run `qlmhook outbox")
        assert the_license(shop)["status"] == "active"

    def test_the_week_begins_when_nothing_stands_in_the_way_any_more(self, shop: Shop, peer: IdnPeer) -> None:
        peer.otherwise = answers(6)
        shop.map("101", CONFIRM)
        buy(shop, TWO_LINES)
        for _ in range(8):
            work(shop, after=DAY)

        shop.map("102", CONFIRM)
        replay_held(shop)
        work(shop)

        assert len(peer.requests) == 1
        assert state(shop) == "due"


class TestRefusedForGood:
    def test_the_row_is_dead_the_operator_knows_why_and_the_license_stays(self, shop: Shop, peer: IdnPeer) -> None:
        peer.otherwise = answers(2)
        shop.map("101", CONFIRM)
        buy(shop)

        work(shop)
        work(shop, after=DAY)

        [row] = confirmations(shop)
        reason = "2Checkout answers 2 ORDER_REF missing or incorrect."
        assert (row["state"], row["last_error"]) == ("dead", reason)
        assert alerts(shop) == [
            (
                "Order 900000001: the confirmation is given up",
                f"{reason} Mend the cause and run `qlmhook outbox retry {row['id']}`.",
            )
        ]
        assert len(peer.requests) == 1
        assert the_license(shop)["status"] == "active"

    def test_a_repeat_of_the_ipn_does_not_wake_it(self, shop: Shop, peer: IdnPeer) -> None:
        peer.otherwise = answers(9)
        shop.map("101", CONFIRM)
        buy(shop)
        work(shop)

        buy(shop, ORDER.changed(ipn_date="20260101110000"))
        work(shop, after=DAY)

        assert len(peer.requests) == 1
        assert state(shop) == "dead"

    @pytest.mark.parametrize(
        "url", ["https://10.0.0.1/order/idn.php", "https://192.168.1.1/"], ids=["a network of ten", "a home network"]
    )
    def test_an_address_that_must_not_be_used_is_named(
        self, open_shop: OpenShop, overrides: dict[str, str], url: str
    ) -> None:
        shop = open_shop(**{**overrides, "vendors__avangate__idn__url": url})
        shop.map("101", CONFIRM)
        buy(shop)

        work(shop)

        assert state(shop) == "dead"
        assert [subject for subject, _ in alerts(shop)] == ["Order 900000001: the confirmation is given up"]


class TestCommands:
    """What an operator sees and does."""

    @pytest.fixture
    def run(self, shop: Shop, overrides: dict[str, str], tmp_path: Path) -> Callable[..., str]:
        def run(*arguments: object) -> str:
            finished = command(tmp_path / "qlmhook.toml", *map(str, arguments), overrides=overrides)
            assert (finished.returncode, finished.stderr) == (0, "")
            return finished.stdout

        return run

    def test_outbox_list_shows_order_attempts_and_the_last_answer_with_its_meaning(
        self, shop: Shop, peer: IdnPeer, run: Callable[..., str]
    ) -> None:
        peer.will(answers(6))
        shop.map("101", CONFIRM)
        buy(shop)
        work(shop)

        rows = json.loads(run("outbox", "list", "--order", "900000001", "--json"))
        table = run("outbox", "list", "--state", "due").splitlines()

        assert rows[1] == {
            "id": 2,
            "kind": "confirmation",
            "state": "due",
            "attempts": 1,
            "due_at": "2026-01-01T12:01:00Z",
            "last_error": "2Checkout answers 6 Error confirming the order.",
            "answer": "",
            "order_ref": "900000001",
            "to": "",
            "subject": "confirmation",
        }
        assert all(
            text in table[1]
            for text in ("confirmation", "900000001", "2Checkout answers 6 Error confirming the order.")
        )

    def test_outbox_retry_sends_one_again_that_was_given_up(
        self, shop: Shop, peer: IdnPeer, run: Callable[..., str]
    ) -> None:
        peer.will(answers(9))
        shop.map("101", CONFIRM)
        buy(shop)
        work(shop)
        [given_up] = confirmations(shop)

        run("outbox", "retry", given_up["id"])
        run("outbox", "run")

        assert given_up["state"] == "dead"
        assert peer.confirmed == ["900000001"]
        assert [(row["state"], row["answer"]) for row in confirmations(shop)] == [("done", "1 Confirmed")]

    def test_license_show_tells_whether_the_order_was_confirmed(self, shop: Shop, run: Callable[..., str]) -> None:
        shop.map("101", CONFIRM)
        buy(shop)
        work(shop)

        [license] = json.loads(run("license", "show", the_license(shop)["key"], "--json"))

        assert license["confirmation"] == "done"
        assert license["confirmed_at"] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("mapping", "treatment", "state", "is_dated"),
    [
        (MAPPING, as_documented, "", False),
        (CONFIRM, answers(6), "due", False),
        (CONFIRM, answers(9), "dead", False),
        (CONFIRM, answers(7), "done", True),
    ],
    ids=["not asked for", "tried", "given up", "confirmed"],
)
def test_a_license_says_what_became_of_its_orders_confirmation(
    shop: Shop, peer: IdnPeer, mapping: str, treatment: Treatment, state: str, is_dated: bool
) -> None:
    peer.will(treatment)
    shop.map("101", mapping)
    buy(shop)
    work(shop)

    with shop.service.database.reading():
        shown = listings.confirmation(models.License.get())

    assert (shown["confirmation"], shown["confirmed_at"] is not None) == (state, is_dated)


def test_a_confirmation_that_is_done_can_be_sent_again(shop: Shop, peer: IdnPeer) -> None:
    """2Checkout says itself that the order is confirmed already."""
    shop.map("101", CONFIRM)
    buy(shop)
    work(shop)

    retry(shop, "confirmation")
    work(shop)

    assert len(peer.requests) == 2
    assert [(row["state"], row["answer"]) for row in confirmations(shop)] == [("done", "7 Order already confirmed")]
