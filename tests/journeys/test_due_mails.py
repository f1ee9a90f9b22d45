"""Which mails are due for an order, and that its confirmation waits for those alone."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest

from qlmhook.licensing import licenses
from qlmhook.web import metrics
from tests.conftest import KEY, MAPPING, MailServer, OpenShop, Shop
from tests.plugins.avangate.idn_peer import IdnPeer, answers
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import FIRST, RENEWAL, decide, dismiss, pick, post, renewed
from tests.support.life import refund_of as refund
from tests.support.looking import alerts, mails, states, text_of, waiting

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CONFIRM = f"{MAPPING}&is_sendresponse=true"
KEYS = f"{CONFIRM}&is_usemultipleactivationskey=false"
BETA = MAPPING.replace("is_productid=1", "is_productid=2")
DAY = timedelta(days=1)


@pytest.fixture
def peer() -> Iterator[IdnPeer]:
    with IdnPeer(KEY) as peer:
        yield peer


@pytest.fixture
def shop(open_shop: OpenShop, mail_server: MailServer, peer: IdnPeer) -> Shop:
    """A shop with a product that is to be confirmed, one key for each unit."""
    overrides = {"mail__host": "127.0.0.1", "mail__port": str(mail_server.port)}
    shop = open_shop(**overrides, vendors__avangate__idn__url=peer.url, vendors__avangate__revoke_on_refund="true")
    shop.map("101", KEYS)
    return shop


def work(shop: Shop, after: timedelta = timedelta(minutes=1)) -> None:
    shop.service.delivery.work_off()
    shop.clock.now += after
    shop.service.delivery.work_off()


def quantity(order: Order, units: int) -> Order:
    return order.changed(lines=[Line(expires=line.expires, quantity=str(units)) for line in order.lines])


def keys_in(mail_server: MailServer, shop: Shop) -> list[list[int]]:
    """Which units' keys are in each of the customer's mails."""
    units = pick(shop, "key", "unit")
    texts = [text_of(mail) for mail in mails(mail_server) if mail["To"] != "operator@example.com"]
    return [[unit for key, unit in units if key in text] for text in texts]


class TestNewKeys:
    @pytest.mark.parametrize("arrival", list(permutations([0, 1])))
    def test_each_key_is_mailed_though_renewals_are_not(
        self, shop: Shop, mail_server: MailServer, peer: IdnPeer, arrival: Sequence[int]
    ) -> None:
        """Whichever of the two orders arrives first; both are confirmed."""
        shop.map("101", f"{KEYS}&is_send_renewal_mail=false")
        orders = [quantity(FIRST, 1), quantity(RENEWAL, 3)]

        for index in arrival:
            post(shop, orders[index])
            work(shop)

        assert sorted(unit for mailed in keys_in(mail_server, shop) for unit in mailed) == [1, 2, 3]
        assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]

    def test_a_late_first_order_mails_the_keys_that_its_renewal_left_out(
        self, shop: Shop, mail_server: MailServer, peer: IdnPeer
    ) -> None:
        post(shop, quantity(RENEWAL, 1))
        work(shop)

        post(shop, quantity(FIRST, 3))
        work(shop)

        assert keys_in(mail_server, shop) == [[1], [2, 3]]
        assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]


class TestNothingToWaitFor:
    """A confirmation does not wait for a mail that is not due."""

    @pytest.mark.parametrize("early", [True, False])
    def test_a_renewal_with_fewer_keys(self, shop: Shop, peer: IdnPeer, early: bool) -> None:
        """Before the first order's mail goes out or after it."""
        post(shop, quantity(FIRST, 3))
        if not early:
            work(shop)

        post(shop, quantity(RENEWAL, 1))
        work(shop)

        assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]

    def test_an_upgrade_from_several_keys_to_one(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("102", f"{BETA}&is_sendresponse=true")
        post(shop, quantity(FIRST, 3))
        work(shop)

        post(shop, RENEWAL.changed(lines=[renewed(pid="102", quantity="3")]))
        work(shop)

        assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]

    def test_one_key_of_three_that_is_revoked(self, shop: Shop, peer: IdnPeer) -> None:
        post(shop, quantity(FIRST, 3))
        first = pick(shop, "key")[0][0]
        shop.service.decisions.decide(first, "revoke", why="a mistake", operator="tom")

        work(shop)

        assert peer.confirmed == [FIRST.refno]

    @pytest.mark.parametrize("orders", list(permutations([FIRST, RENEWAL.changed(sale_date=FIRST.sale_date)])))
    def test_two_orders_of_one_time(self, shop: Shop, peer: IdnPeer, orders: Sequence[Order]) -> None:
        post(shop, *orders)

        work(shop)

        assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]

    def test_an_order_that_a_newer_one_has_overtaken_waits_for_the_newer_ones_mail(
        self, shop: Shop, peer: IdnPeer, mail_server: MailServer
    ) -> None:
        """The late order itself is not mailed."""
        mail_server.rcpt_answer["a@example.com"] = "450 later"
        post(shop, RENEWAL, FIRST)
        work(shop)
        confirmed_before = list(peer.confirmed)

        mail_server.rcpt_answer.clear()
        work(shop, DAY)
        work(shop)

        assert confirmed_before == []
        assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]


class TestFulfilledLater:
    """An order that another message brings to life is confirmed like any other."""

    def test_by_a_dispute_that_is_won(self, shop: Shop, peer: IdnPeer) -> None:
        """It was lost before the order was known."""
        lost, won = (
            FIRST.changed(ipn_date=f"202601{day}000000", extra=[("CHARGEBACK_RESOLUTION", word)])
            for day, word in (("05", "LOST"), ("10", "WON"))
        )

        post(shop, lost, FIRST, won)
        work(shop)

        assert peer.confirmed == [FIRST.refno]

    def test_by_a_property_and_a_message_about_its_subscription(self, shop: Shop, peer: IdnPeer) -> None:
        shop.map("101", "ignore")
        post(shop, FIRST)
        shop.map("101", CONFIRM)

        post(shop, Subscription())
        work(shop)

        assert peer.confirmed == [FIRST.refno]


def test_the_mail_of_an_older_order_is_not_that_of_a_renewal(shop: Shop, peer: IdnPeer) -> None:
    """A suspended license is not mailed; its renewal is confirmed when the mail of its own went out."""
    post(shop, FIRST)
    work(shop)
    decide(shop, "suspend")
    post(shop, RENEWAL)
    work(shop)
    confirmed_before = list(peer.confirmed)

    decide(shop, "reinstate")
    work(shop)

    assert confirmed_before == [FIRST.refno]
    assert sorted(peer.confirmed) == [FIRST.refno, RENEWAL.refno]


class TestWaiting:
    """A confirmation that waits is seen, and one that waits for nothing is given up."""

    def test_its_age_is_in_the_metrics(self, shop: Shop) -> None:
        """However often it was looked at."""
        decide_on_first(shop, "revoke")

        work(shop, 3 * DAY)

        page = {metric.name: metric for metric in metrics.registry(shop.service).collect()}
        [sample] = page["qlmhook_outbox_oldest_seconds"].samples
        assert sample.value == (3 * DAY + timedelta(hours=1)).total_seconds()

    def test_the_operator_is_told_after_a_day(self, shop: Shop) -> None:
        """Once, with the cause."""
        decide_on_first(shop, "revoke")
        work(shop)
        told_before = alerts(shop)

        work(shop, 2 * DAY)
        work(shop, 2 * DAY)

        assert told_before == []
        [text] = alerts(shop)
        assert text.startswith("The license of line 101#1 is revoked. Why: asked for. Until then")

    def test_its_week_begins_when_it_waits_no_more(self, shop: Shop, peer: IdnPeer) -> None:
        """It is tried for as long as any other."""
        decide_on_first(shop, "revoke")
        work(shop, 20 * DAY)
        peer.will(*[answers(6)] * 9)
        decide(shop, "reinstate")

        work(shop)

        [row] = waiting(shop, "confirmation")
        assert (row["state"], row["attempts"] > 0) == ("due", True)

    def test_an_order_that_is_refunded_is_not_confirmed(self, shop: Shop, peer: IdnPeer) -> None:
        """The operator is told, and it does not wait for ever."""
        post(shop, FIRST, refund(FIRST))

        work(shop)

        assert peer.requests == []
        [row] = waiting(shop, "confirmation")
        assert (row["state"], row["last_error"].split(" The shop")[0]) == ("dead", "Order 900000001 is refunded.")
        assert any("settle it there" in text for text in alerts(shop))

    def test_a_line_that_was_dismissed_is_not_waited_for(self, shop: Shop, peer: IdnPeer) -> None:
        """The shop would be told that all of the order is fulfilled."""
        shop.map("102", BETA)
        order = FIRST.changed(lines=[Line(), Line(pid="102", ref="B", quantity="10001")])
        post(shop, order)
        shop.map("102", f"{BETA}&is_sendresponse=true")
        dismiss(shop, 1)

        work(shop)

        assert peer.requests == []
        assert [row["state"] for row in waiting(shop, "confirmation")] == ["dead"]


def decide_on_first(shop: Shop, action: str) -> None:
    post(shop, FIRST)
    decide(shop, action)


class TestAddresses:
    """A mail goes to the address that the customer has when it goes out."""

    @pytest.mark.parametrize(
        "correction",
        [
            FIRST.changed(email="right@example.com", ipn_date="20260102100500"),
            Subscription(email="right@example.com"),
        ],
    )
    def test_a_waiting_mail_follows_a_correction(
        self, shop: Shop, mail_server: MailServer, correction: Order | Subscription
    ) -> None:
        post(shop, FIRST, correction)

        work(shop)

        assert [envelope.rcpt_tos for envelope in mail_server.envelopes] == [["right@example.com"]]

    def test_a_dead_mail_goes_out_to_the_right_address(self, shop: Shop, mail_server: MailServer) -> None:
        """Once; and what went out is not sent again for another address."""
        mail_server.rcpt_answer["a@example.com"] = "550 no such user"
        post(shop, FIRST)
        work(shop)

        for day in (2, 3):
            post(shop, FIRST.changed(email="right@example.com", ipn_date=f"2026010{day}100500"))
            work(shop)
        post(shop, Subscription(email="other@example.com"))
        work(shop)

        to_customers = [e.rcpt_tos for e in mail_server.envelopes if e.rcpt_tos != ["operator@example.com"]]
        assert to_customers == [["right@example.com"]]

    def test_a_second_line_is_mailed_to_the_address_that_counts_then(self, shop: Shop, mail_server: MailServer) -> None:
        """It is not put into a mail that waits for another address."""
        mail_server.rcpt_answer["a@example.com"] = "450 later"
        post(shop, FIRST.changed(lines=[Line(), Line(pid="102", name="Beta", ref="B")]))
        work(shop)
        shop.map("102", BETA)

        post(shop, Subscription(ref="B", pid="102", email="b@example.com"))
        work(shop)

        assert [envelope.rcpt_tos for envelope in mail_server.envelopes if "b@example.com" in envelope.rcpt_tos] == [
            ["b@example.com"]
        ]

    def test_a_mail_with_keys_of_two_customers_is_parted(self, shop: Shop, mail_server: MailServer) -> None:
        """Nobody gets a key that is another's."""
        post(shop, FIRST.changed(lines=[Line(), Line(ref="B")]), Subscription(ref="B", email="other@example.com"))
        keys = {ref: key for ref, key in pick(shop, "subscription_ref", "key")}  # noqa: C416 (pairs of Any)

        work(shop)

        sent = {envelope.rcpt_tos[0]: envelope.content.decode() for envelope in mail_server.envelopes}
        found = {to: [ref for ref, key in keys.items() if key in text] for to, text in sent.items()}
        assert found == {"a@example.com": ["AAAAAAAAAA"], "other@example.com": ["B"]}

    def test_both_keys_of_one_customer_stay_in_one_mail(self, shop: Shop, mail_server: MailServer) -> None:
        """Though each line learns of the new address for itself."""
        order = FIRST.changed(lines=[Line(), Line(ref="B")])

        post(shop, order, order.changed(email="right@example.com", ipn_date="20260102100500"))
        work(shop)

        assert [envelope.rcpt_tos for envelope in mail_server.envelopes] == [["right@example.com"]]

    @pytest.mark.parametrize("code", ["450 later", "550 no such user"])
    def test_a_mail_in_hand_follows_with_its_next_attempt(
        self, shop: Shop, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        """The correction arrives while the mail server is being asked for the old address."""
        post(shop, FIRST)
        mail_server.rcpt_answer["a@example.com"] = code
        send = shop.service.mailer.send

        def send_late(*arguments: Any, **options: Any) -> None:
            monkeypatch.undo()
            post(shop, Subscription(email="new@example.com"))
            send(*arguments, **options)

        monkeypatch.setattr(shop.service.mailer, "send", send_late)

        work(shop, timedelta(hours=2))

        assert [envelope.rcpt_tos for envelope in mail_server.envelopes] == [["new@example.com"]]

    @pytest.mark.parametrize(("to", "gets"), [("", "new@example.com"), ("boss@example.com", "boss@example.com")])
    def test_a_mail_sent_by_hand_follows_unless_it_names_its_address(
        self, shop: Shop, mail_server: MailServer, to: str, gets: str
    ) -> None:
        post(shop, FIRST)
        work(shop)
        mail_server.envelopes.clear()
        with shop.service.database.transaction():
            shop.service.mailing.resend(licenses.find(pick(shop, "key")[0][0]), to=to, now=shop.clock())

        post(shop, Subscription(email="new@example.com"))
        work(shop)

        assert [envelope.rcpt_tos for envelope in mail_server.envelopes] == [[gets]]

    @pytest.mark.parametrize("email", ["n/a", "", "none", "a@b@c"])
    def test_an_address_that_is_none_takes_the_customer_not_away(self, shop: Shop, email: str) -> None:
        post(shop, FIRST, Subscription(email=email))

        assert [customer["email"] for (customer,) in pick(shop, "customer")] == ["a@example.com"]


class TestPauses:
    @pytest.mark.parametrize(
        ("dates", "mailed"),
        [
            ({"PAUSE_START_DATE": "2025-12-01", "PAUSE_END_DATE": "2026-02-01"}, 1),
            ({"PAUSE_START_DATE": "2025-12-01"}, 0),
        ],
    )
    def test_a_pause_that_ends_by_itself_does_not_keep_the_mail_back(
        self, shop: Shop, mail_server: MailServer, dates: dict[str, str], mailed: int
    ) -> None:
        """Nothing happens at its end that could send it."""
        post(shop, Subscription(status="PAUSED", extra=list(dates.items())), FIRST)

        work(shop)

        assert len(mail_server.envelopes) == mailed


def test_days_are_added_to_what_the_operator_granted(shop: Shop) -> None:
    """Until the end of March by hand, and thirty days more by the renewal."""
    shop.map("101", f"{MAPPING}&is_expduration=30")
    post(shop, FIRST.changed(lines=[Line(expires="")]))
    decide(shop, "extend", until=date(2026, 3, 31))

    post(shop, RENEWAL.changed(lines=[Line(expires="")], sale_date="2026-03-20 10:00:00"))

    assert pick(shop, "expires_at") == [("2026-04-30T20:59:59Z",)]


def test_a_renewal_of_a_product_that_is_ignored_since_goes_on(shop: Shop) -> None:
    """For those who have it; a new order of it gets nothing."""
    post(shop, FIRST)
    shop.map("101", "ignore")

    post(shop, RENEWAL, Order(refno="900000005", lines=[Line(ref="NEW")]))

    assert pick(shop, "order_ref", "expires_at") == [(FIRST.refno, "2027-12-31T22:00:00Z")]
    assert states(shop) == ["done", "done", "ignored"]


def test_a_dispute_after_the_clock_was_set_back_counts(shop: Shop) -> None:
    """It arrives after the reinstatement, whatever the clock says; and a reinstatement after it lifts it."""
    post(shop, FIRST, FIRST.changed(ipn_date="20260102000000", extra=[("CHARGEBACK_RESOLUTION", "OPEN")]))
    decide(shop, "reinstate")
    shop.clock.now -= DAY

    post(shop, FIRST.changed(ipn_date="20260103000000", extra=[("CHARGEBACK_RESOLUTION", "LOST")]))
    lost = pick(shop, "status")
    shop.clock.now -= DAY
    decide(shop, "reinstate")
    post(shop, FIRST.changed(ipn_date="20260104000000"))

    assert (lost, pick(shop, "status")) == ([("revoked",)], [("active",)])
