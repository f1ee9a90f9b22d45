"""Corners of a license's life: two things that go well by themselves, and meet."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qlmhook.errors import Inapplicable
from qlmhook.storage import models
from tests.conftest import KEY, MAPPING, PASSWORD, QUERY, USER, Configure, MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Line
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
    decide,
    decisions,
    dismiss,
    pick,
    post_hourly,
    refund_of,
    renewed,
    status_at,
    the_license,
)
from tests.support.looking import alerts, mails, notifications, states, text_of, waiting
from tests.support.server import command

pytestmark = pytest.mark.sqlite
"""No fact here is about a database."""


AGAIN = FIRST.changed(ipn_date="20260101120000")


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    """A shop that revokes what is refunded, and licenses one product."""
    shop = open_shop(**REVOKING)
    shop.map("101")
    return shop


def at(shop: Shop, time: str) -> None:
    """Let the clock stand at a time in UTC."""
    shop.clock.now = datetime.fromisoformat(time).replace(tzinfo=UTC)


def paused(**dates: str) -> Subscription:
    return Subscription(status="PAUSED", extra=[(f"PAUSE_{name.upper()}_DATE", day) for name, day in dates.items()])


class TestDecisions:
    """What the operator decided, and what comes after it."""

    @pytest.mark.parametrize(
        ("overruled", "news", "status"),
        [
            pytest.param(
                [chargeback("OPEN")],
                [Subscription(updated="2026-12-05 00:00:00", disabled="1")],
                "suspended",
                id="of the subscription",
            ),
            pytest.param([chargeback("LOST")], [refund_of(FIRST)], "revoked", id="of another kind"),
            pytest.param([chargeback("OPEN")], [chargeback("WON", 3), chargeback("OPEN", 4)], "suspended", id="anew"),
        ],
    )
    def test_news_counts_after_a_reinstatement(
        self, shop: Shop, overruled: Sequence[Message], news: Sequence[Message], status: str
    ) -> None:
        """It is not what the operator has overruled."""
        post_hourly(shop, FIRST, *overruled)
        decide(shop, "reinstate")

        post_hourly(shop, *news)

        assert pick(shop, "status") == [(status,)]

    @pytest.mark.parametrize(
        ("pause", "until"),
        [
            pytest.param(paused(start="2026-01-11", end="2026-01-20"), "2026-02-01 00:00:00", id="over"),
            pytest.param(paused(start="2026-06-01"), "2026-02-01 00:00:00", id="to come"),
        ],
    )
    def test_a_suspension_beside_a_pause_lasts(self, shop: Shop, pause: Subscription, until: str) -> None:
        """Also when the order is sent again."""
        post_hourly(shop, FIRST, pause)
        at(shop, until)
        decide(shop, "suspend")

        post_hourly(shop, AGAIN)

        assert pick(shop, "status") == [("suspended",)]

    def test_a_suspension_does_not_end_with_a_pause_that_came_later(self, shop: Shop) -> None:
        post_hourly(shop, FIRST)
        decide(shop, "suspend")

        post_hourly(shop, paused(end="2026-01-20"))

        assert status_at(shop, "2026-02-01 00:00:00") == ["suspended"]

    @pytest.mark.parametrize(
        ("before", "action", "complaint"),
        [
            (["revoke"], "revoke", "revoked already"),
            (["revoke"], "suspend", "revoked already"),
            ([], "reinstate", "active; there is nothing to reinstate"),
        ],
    )
    def test_what_would_change_nothing_is_refused(
        self, shop: Shop, before: Sequence[str], action: str, complaint: str
    ) -> None:
        """It leaves nothing behind."""
        post_hourly(shop, FIRST)
        for decided in before:
            decide(shop, decided)

        with pytest.raises(Inapplicable, match=complaint):
            decide(shop, action)

        assert decisions(shop) == len(before)

    def test_a_disputed_order_is_mailed_once_its_license_is_reinstated(self, shop: Shop) -> None:
        post_hourly(shop, chargeback("OPEN"), FIRST)
        mailed_in_dispute = waiting(shop, "mail")

        decide(shop, "reinstate")

        assert mailed_in_dispute == []
        assert [row["order_ref"] for row in waiting(shop, "mail")] == [FIRST.refno]

    def test_a_dismissed_notification_that_is_sent_again_stays_dismissed(self, shop: Shop) -> None:
        """The operator is not told a second time."""
        unclear = refund_of(FIRST, extra=[("REFUND_TYPE", "PARTIAL"), ("IPN_TOTAL[]", "-5.00")])
        post_hourly(shop, FIRST, unclear)
        dismiss(shop, 2)

        post_hourly(shop, unclear)

        assert [(row["state"], row["copies"]) for row in notifications(shop)] == [("done", 1), ("ignored", 2)]
        assert len(alerts(shop)) == 1


class TestHolds:
    """What is held, and what is not held with it."""

    def test_an_order_that_waits_for_its_date_is_freed_by_the_subscription(self, shop: Shop) -> None:
        """Which need not name the order."""
        shop.map("101", f"{MAPPING}&is_licensemodel=subscription")
        post_hourly(shop, FIRST.changed(lines=[Line(expires="")]))
        waiting_before = states(shop)

        post_hourly(shop, Subscription())

        assert waiting_before == ["held"]
        assert states(shop) == ["done", "done"]
        assert pick(shop, "expires_at") == [(FIRST_END,)]

    def test_an_order_that_is_held_does_not_hold_another_of_its_subscription(self, shop: Shop) -> None:
        """Once a person has looked at it."""
        post_hourly(shop, FIRST.changed(lines=[Line(quantity="10001")]))
        dismiss(shop, 1)
        alerted = len(alerts(shop))

        post_hourly(shop, RENEWAL)

        assert states(shop) == ["ignored", "done"]
        assert pick(shop, "order_ref", "status", "expires_at") == [(RENEWAL.refno, "active", RENEWED_END)]
        assert len(alerts(shop)) == alerted

    def test_what_one_account_says_of_a_subscription_is_not_said_of_anothers(self, open_shop: OpenShop) -> None:
        """Their references may be the same, and one of them may still wait for its order."""
        account = {"plugin": "avangate", "user": USER, "password": PASSWORD, "shared_keys": KEY}
        shop = open_shop(**{f"vendors__second__{name}": value for name, value in account.items()})
        shop.map("101")
        post_hourly(shop, Subscription(disabled="1"))

        answer = shop.post(FIRST.fields(), query=QUERY.replace("avangate", "second"))

        assert answer.status_code == 200
        assert pick(shop, "vendor", "status") == [("second", "active")]
        with shop.service.database.reading():
            facts = models.Fact.select().where(models.Fact.kind == "subscription")
            assert {fact.vendor for fact in facts} == {"avangate"}


class TestEnds:
    """When a license ends."""

    def test_the_days_of_grace_are_counted_from_the_orders_end_if_the_shop_does_not_tell_another(
        self, shop: Shop
    ) -> None:
        """As long as EXPIRATION_DATE is not ticked."""
        past_due = Subscription(
            status="PAST DUE",
            updated="2026-01-10 01:00:00",
            extra=[("LICENSE_GRACE_PERIOD", "7")],
            without=["EXPIRATION_DATE", "EXPIRATION_DATE_TIME"],
        )

        post_hourly(shop, FIRST.changed(lines=[Line(expires="2026-01-10 00:00:00")]), past_due)

        assert status_at(shop, "2026-01-16 21:59:59", "2026-01-16 22:00:00") == ["active", "expired"]

    @pytest.mark.parametrize(
        ("told", "status"),
        [
            (["PAUSED"], "suspended"),
            (["PAUSED", "ACTIVE"], "active"),
            (["PAUSED", "ACTIVE", "PAUSED"], "suspended"),
            (["PAUSED", "ACTIVE", "PAUSED", "PAUSED", "ACTIVE"], "active"),
            (["ACTIVE", "DISABLED", "ACTIVE"], "active"),
            (["ACTIVE", "DISABLED", "DISABLED"], "suspended"),
        ],
    )
    def test_without_a_date_of_its_own_the_last_message_to_arrive_counts(
        self, shop: Shop, told: Sequence[str], status: str
    ) -> None:
        """As long as DATE_UPDATED is not ticked; also when the last one says, to the byte, what the first one said."""
        post_hourly(shop, FIRST, *(Subscription(status=word, without=["DATE_UPDATED"]) for word in told))

        assert pick(shop, "status") == [(status,)]

    def test_why_it_is_barred_is_told_in_the_pause_alone(self, shop: Shop) -> None:
        post_hourly(shop, FIRST, paused(start="2026-02-01", end="2026-03-01"))
        reasons = []

        for time in ("2026-01-31 12:00:00", "2026-02-15 12:00:00", "2026-03-15 12:00:00"):
            at(shop, time)
            reasons.append(the_license(shop)["barred_why"])

        assert reasons == ["", "The subscription is paused.", ""]


class TestKeys:
    """Which keys an order is about."""

    @pytest.mark.parametrize(
        ("first", "then", "found"),
        [
            pytest.param(MAPPING, ONE_KEY_PER_UNIT, [(3, RENEWED_END)], id="one key stays one"),
            pytest.param(ONE_KEY_PER_UNIT, MAPPING, [(1, RENEWED_END)] * 3, id="three keys stay three"),
        ],
    )
    def test_a_mapping_that_changes_its_kind_of_keys_leaves_those_that_are_sold(
        self, shop: Shop, first: str, then: str, found: list[tuple[int, str]]
    ) -> None:
        """A renewal renews them as they are."""
        shop.map("101", first)
        post_hourly(shop, FIRST.changed(lines=[Line(quantity="3")]))
        shop.map("101", then)

        post_hourly(shop, RENEWAL.changed(lines=[renewed(quantity="3")]))

        assert pick(shop, "activations", "expires_at") == found


class TestMail:
    """What goes out to the customer."""

    @pytest.fixture
    def shop(self, open_shop: OpenShop, mail_server: MailServer) -> Shop:
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101")
        return shop

    def test_a_renewals_mail_lists_the_renewed_keys_alone(self, shop: Shop, mail_server: MailServer) -> None:
        """With one key for each unit, and fewer units than before."""
        shop.map("101", ONE_KEY_PER_UNIT)
        post_hourly(shop, FIRST.changed(lines=[Line(quantity="3")]))
        shop.service.delivery.work_off()

        post_hourly(shop, RENEWAL)
        shop.service.delivery.work_off()

        keys = [key for (key,) in pick(shop, "key")]
        assert [[key in text_of(mail) for key in keys] for mail in mails(mail_server)] == [
            [True, True, True],
            [True, False, False],
        ]

    def test_the_copies_are_those_of_the_chosen_option(self, shop: Shop, mail_server: MailServer) -> None:
        shop.map("101", f"{MAPPING}&is_bccemail=shop@example.com")
        shop.map("101_gold", "&is_bccemail=boss@example.com")
        post_hourly(shop, FIRST.changed(extra=[("IPN_PRODUCT_OPTIONS_101_VALUE[]", "gold")]))

        shop.service.delivery.work_off()

        assert [envelope.rcpt_tos for envelope in mail_server.envelopes] == [["a@example.com", "boss@example.com"]]


def test_properties_are_imported_in_whatever_order_the_file_has_them(configure: Configure, tmp_path: Path) -> None:
    """One that is laid over another may stand before it."""
    configure()
    entries = {"pid_102_gold": "&is_features=0:1", "pid_102": MAPPING}
    file = tmp_path / "properties.json"
    file.write_text(json.dumps(entries), encoding="utf-8")

    finished = command(tmp_path / "qlmhook.toml", "property", "import", str(file))

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "Stored 2 properties.\n", "")
