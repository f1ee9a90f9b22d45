"""What an operator decides by hand: by the same rules, with the same trail, and whatever the shop says later."""

import getpass
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qlmhook.errors import Inapplicable, NotFound
from tests.conftest import MAPPING, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.life import (
    FIRST,
    FIRST_END,
    RENEWAL,
    RENEWED_END,
    REVOKING,
    Message,
    decide,
    decisions,
    history_of,
    post_hourly,
)
from tests.support.looking import licenses as licenses_of
from tests.support.server import command

pytestmark = pytest.mark.sqlite
"""No fact here is about a database."""


Run = Callable[..., tuple[int, str, str]]


REFUND = Order(status="REFUND", ipn_date="20260102100500")

SUMMER = date(2027, 6, 30)
SUMMER_END = "2027-06-30T20:59:59Z"


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    """A shop that revokes what is refunded, with one license."""
    shop = open_shop(**REVOKING)
    shop.map("101")
    post_hourly(shop, FIRST)
    return shop


def chargeback(resolution: str, day: int = 2) -> Order:
    return FIRST.changed(ipn_date=f"202601{day:02}100500", extra=[("CHARGEBACK_RESOLUTION", resolution)])


def found(shop: Shop) -> list[tuple[str, str | None]]:
    return [(row["status"], row["expires_at"]) for row in licenses_of(shop)]


class TestEffect:
    """What each decision does at once."""

    @pytest.mark.parametrize(
        ("actions", "statuses"),
        [
            (["revoke"], ("active", "revoked")),
            (["suspend"], ("active", "suspended")),
            (["revoke", "reinstate"], ("revoked", "active")),
            (["suspend", "reinstate"], ("suspended", "active")),
            (["suspend", "revoke", "reinstate"], ("revoked", "active")),
        ],
        ids=", ".join,
    )
    def test_the_status(self, shop: Shop, actions: Sequence[str], statuses: tuple[str, str]) -> None:
        """The license is returned as it was and as it is, and is found so afterwards."""
        changes = [decide(shop, action) for action in actions]

        assert changes[-1] == statuses
        assert found(shop) == [(statuses[1], FIRST_END)]

    @pytest.mark.parametrize(
        ("zone", "end"), [("Europe/Bucharest", SUMMER_END), ("America/New_York", "2027-07-01T03:59:59Z")]
    )
    def test_an_extension_lasts_to_the_end_of_its_last_day(self, open_shop: OpenShop, zone: str, end: str) -> None:
        """In the account's zone."""
        shop = open_shop(vendors__avangate__timezone=zone)
        shop.map("101")
        post_hourly(shop, FIRST)

        decide(shop, "extend", until=SUMMER)

        assert [row["expires_at"] for row in licenses_of(shop)] == [end]

    def test_an_expired_license_is_active_again_when_it_is_extended(self, shop: Shop) -> None:
        shop.clock.now = shop.clock.now.replace(year=2027)

        assert decide(shop, "extend", until=SUMMER) == ("expired", "active")

    def test_what_the_shop_calls_expired_is_active_again_as_well(self, shop: Shop) -> None:
        """Until its last day has come, whatever is sent again."""
        ended = Subscription(status="EXPIRED", expires="2026-01-10 00:00:00")
        post_hourly(shop, ended)

        assert decide(shop, "extend", until=SUMMER) == ("expired", "active")

        post_hourly(shop, ended, ended.changed(updated="2026-01-11 12:00:00"))

        assert found(shop) == [("active", SUMMER_END)]

    def test_one_key_of_several_is_decided_about(self, shop: Shop) -> None:
        """The others of the same order, and of the same subscription, are left alone; later messages keep it so."""
        shop.map("102", f"{MAPPING}&is_usemultipleactivationskey=false")
        order = Order(refno="900000000", lines=[Line(pid="102", ref="CCCCCCCCCC", quantity="2")])
        post_hourly(shop, order)

        decide(shop, "revoke")
        post_hourly(shop, order.changed(ipn_date="20260103000000"))

        assert [row["status"] for row in licenses_of(shop)] == ["revoked", "active", "active"]

    def test_a_suspension_in_a_pause_does_not_end_with_it(self, shop: Shop) -> None:
        post_hourly(shop, Subscription(status="PAUSED", extra=[("PAUSE_END_DATE", "2026-02-01")]))

        decide(shop, "suspend")

        assert [(row["status"], row["suspended_until"]) for row in licenses_of(shop)] == [("suspended", None)]

    def test_what_the_shop_took_away_is_given_back(self, shop: Shop) -> None:
        post_hourly(shop, REFUND)

        assert decide(shop, "reinstate") == ("revoked", "active")


class TestLaterMessages:
    """A decision stands beside what the shop says afterwards."""

    @pytest.mark.parametrize(
        ("action", "message", "expected"),
        [
            pytest.param("revoke", RENEWAL, ("revoked", RENEWED_END), id="revoked, then renewed"),
            pytest.param("revoke", Subscription(), ("revoked", FIRST_END), id="revoked, then active"),
            pytest.param("revoke", chargeback("WON"), ("revoked", FIRST_END), id="revoked, then won"),
            pytest.param("suspend", RENEWAL, ("suspended", RENEWED_END), id="suspended, then renewed"),
            pytest.param("suspend", Subscription(), ("suspended", FIRST_END), id="suspended, then active"),
            pytest.param("suspend", REFUND, ("revoked", FIRST_END), id="suspended, then refunded"),
            pytest.param("extend", FIRST.changed(ipn_date="20260103000000"), ("active", SUMMER_END), id="sent again"),
            pytest.param(
                "extend",
                Subscription(expires="2026-06-01 00:00:00"),
                ("active", SUMMER_END),
                id="extended, then shorter",
            ),
            pytest.param(
                "extend",
                RENEWAL.changed(lines=[Line(expires="2027-03-01 00:00:00")]),
                ("active", SUMMER_END),
                id="extended, then renewed for less",
            ),
            pytest.param("extend", RENEWAL, ("active", RENEWED_END), id="extended, then renewed for more"),
            pytest.param("extend", REFUND, ("revoked", SUMMER_END), id="extended, then refunded"),
        ],
    )
    def test_it_outlasts_them(
        self, shop: Shop, action: str, message: Message, expected: tuple[str, str | None]
    ) -> None:
        """Neither word shortens what the other gives, or gives back what the other takes."""
        decide(shop, action, until=SUMMER if action == "extend" else None)

        post_hourly(shop, message)

        assert found(shop) == [expected]

    def test_a_suspension_outlasts_a_dispute(self, shop: Shop) -> None:
        """One that began before it and ends before it."""
        post_hourly(shop, chargeback("OPEN"))
        decide(shop, "suspend")

        post_hourly(shop, chargeback("WON", 3))

        assert [(row["status"], row["barred_why"]) for row in licenses_of(shop)] == [("suspended", "asked for")]

    @pytest.mark.parametrize(
        ("cause", "message", "status"),
        [
            pytest.param(REFUND, REFUND, "active", id="the refund again"),
            pytest.param(REFUND, REFUND.changed(ipn_date="20260109000000"), "active", id="the refund with a new date"),
            pytest.param(REFUND, chargeback("OPEN", 9), "suspended", id="a new chargeback"),
            pytest.param(REFUND, RENEWAL, "active", id="a renewal"),
            pytest.param(chargeback("OPEN"), chargeback("OPEN", 9), "active", id="the chargeback with a new date"),
            pytest.param(chargeback("OPEN"), chargeback("LOST", 9), "revoked", id="its loss"),
            pytest.param(chargeback("LOST"), chargeback("LOST", 9), "active", id="the loss with a new date"),
            pytest.param(
                Subscription(disabled="1"), FIRST.changed(ipn_date="20260111000000"), "active", id="the order again"
            ),
            pytest.param(
                Subscription(disabled="1"),
                Subscription(disabled="1", updated="2026-01-12 12:00:00"),
                "suspended",
                id="the subscription is stopped again",
            ),
        ],
    )
    def test_a_reinstated_license_is_barred_by_news_alone(
        self, shop: Shop, cause: Message, message: Message, status: str
    ) -> None:
        """What the operator has overruled is no news when it is repeated."""
        post_hourly(shop, cause)
        decide(shop, "reinstate")

        post_hourly(shop, message)

        assert [row["status"] for row in licenses_of(shop)] == [status]

    def test_a_refund_of_another_order_is_news(self, shop: Shop) -> None:
        """The first one was overruled, and the renewal is refunded later."""
        post_hourly(shop, REFUND)
        decide(shop, "reinstate")

        post_hourly(shop, RENEWAL, RENEWAL.changed(status="REFUND", ipn_date="20261205000000"))

        assert [row["status"] for row in licenses_of(shop)] == ["revoked"]

    def test_the_last_decision_counts(self, shop: Shop) -> None:
        decide(shop, "revoke")
        decide(shop, "reinstate")
        decide(shop, "suspend", why="abuse")

        post_hourly(shop, RENEWAL)

        assert [(row["status"], row["barred_why"]) for row in licenses_of(shop)] == [("suspended", "abuse")]


class TestTrail:
    """A decision shows in the license's history."""

    @pytest.mark.parametrize(
        ("action", "change", "after"),
        [
            ("revoke", "revoked", {"revoked_at": "2026-01-01T14:00:00+00:00", "barred_why": "asked for"}),
            ("suspend", "suspended", {"suspended_at": "2026-01-01T14:00:00+00:00", "barred_why": "asked for"}),
            ("extend", "extended", {"expires_at": "2027-06-30T20:59:59+00:00"}),
        ],
    )
    def test_who_when_what_and_why(self, shop: Shop, action: str, change: str, after: dict[str, Any]) -> None:
        decide(shop, action, until=SUMMER if action == "extend" else None)

        entry = history_of(shop, licenses_of(shop)[0]["key"])[-1]
        assert (entry["actor"], entry["at"], entry["why"]) == ("operator bob", "2026-01-01T14:00:00Z", "asked for")
        assert (entry["change"], entry["after"]) == (change, after)

    def test_a_reinstatement_shows_what_was_lifted(self, shop: Shop) -> None:
        post_hourly(shop, REFUND)

        decide(shop, "reinstate")

        entry = history_of(shop, licenses_of(shop)[0]["key"])[-1]
        assert (entry["change"], entry["actor"]) == ("reinstated", "operator bob")
        assert entry["before"] == {
            "revoked_at": "2026-01-01T14:00:00+00:00",
            "barred_why": "Order 900000001 is refunded.",
        }
        assert entry["after"] == {"revoked_at": None, "barred_why": ""}

    def test_a_later_message_that_changes_nothing_leaves_no_trace(self, shop: Shop) -> None:
        decide(shop, "extend", until=SUMMER)
        before = history_of(shop, licenses_of(shop)[0]["key"])

        post_hourly(shop, FIRST.changed(ipn_date="20260103000000"))

        assert history_of(shop, licenses_of(shop)[0]["key"]) == before


class TestRefusals:
    """What is not decided leaves nothing behind."""

    @pytest.mark.parametrize(
        ("key", "complaint"),
        [("AAAAA-BBBBB", "There is no license AAAAA-BBBBB. The key has a typing error."), ("", "There is no license")],
    )
    def test_an_unknown_key(self, shop: Shop, key: str, complaint: str) -> None:
        with pytest.raises(NotFound, match=complaint):
            shop.service.decisions.decide(key, "revoke", why="asked for", operator="bob")

        assert decisions(shop) == 0

    @pytest.mark.parametrize("until", [date(2026, 6, 30), date(2020, 1, 1)])
    def test_an_extension_that_shortens(self, shop: Shop, until: date) -> None:
        """It says how long the license runs."""
        with pytest.raises(Inapplicable, match="runs until 2026-12-31 22:00 UTC already"):
            decide(shop, "extend", until=until)

        assert found(shop) == [("active", FIRST_END)]
        assert decisions(shop) == 0

    @pytest.mark.parametrize("until", [date(9999, 12, 31), date(9999, 1, 1), date(2999, 12, 31), date(2127, 1, 1)])
    def test_an_extension_for_ever(self, shop: Shop, until: date) -> None:
        """More than a hundred years from now: it says what was meant."""
        with pytest.raises(Inapplicable, match=f"^{until} is more than 100 years away; meant is the last day"):
            decide(shop, "extend", until=until)

        assert found(shop) == [("active", FIRST_END)]
        assert decisions(shop) == 0

    def test_a_hundred_years_are_an_extension(self, shop: Shop) -> None:
        decide(shop, "extend", until=date(2126, 12, 31))

        assert found(shop) == [("active", "2126-12-31T21:59:59Z")]

    def test_an_extension_of_what_never_ends(self, open_shop: OpenShop) -> None:
        shop = open_shop()
        shop.map("101")
        post_hourly(shop, FIRST.changed(lines=[Line(lifetime="YES")]))

        with pytest.raises(Inapplicable, match="does not expire"):
            decide(shop, "extend", until=SUMMER)

        assert found(shop) == [("active", None)]


class TestCommands:
    """`license revoke`, `suspend`, `reinstate` and `extend`."""

    @pytest.fixture
    def shop(self, open_shop: OpenShop) -> Shop:
        """A shop with a license that runs until the end of 2097."""
        shop = open_shop()
        shop.map("101")
        post_hourly(shop, FIRST.changed(lines=[Line(expires="2098-01-01 00:00:00")]))
        return shop

    @pytest.fixture
    def key(self, shop: Shop) -> str:
        key: str = licenses_of(shop)[0]["key"]
        return key

    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        """Run a command of `license`; return its exit status and what it printed."""

        def run(*arguments: str) -> tuple[int, str, str]:
            finished = command(tmp_path / "qlmhook.toml", "license", *arguments)
            return finished.returncode, finished.stdout, finished.stderr

        return run

    def test_each_prints_what_it_changed_and_leaves_its_trail(self, run: Run, key: str) -> None:
        """With the name of who ran it; a reason that may be left out is the action's name."""
        finished = [
            run("suspend", key),
            run("revoke", key.lower(), "--why", "abuse"),
            run("reinstate", key, "--why", "a mistake"),
            run("extend", key, "--until", "2098-06-30", "--why", "a gift"),
        ]

        end = "2097-12-31 22:00 UTC"
        assert finished == [
            (0, f"{key}: active -> suspended, expires {end}\n", ""),
            (0, f"{key.lower()}: suspended -> revoked, expires {end}\n", ""),
            (0, f"{key}: revoked -> active, expires {end}\n", ""),
            (0, f"{key}: active -> active, expires 2098-06-30 20:59 UTC\n", ""),
        ]
        _, shown, _ = run("show", key, "--json")
        [license] = json.loads(shown)
        assert (license["status"], license["expires_at"]) == ("active", "2098-06-30T20:59:59Z")
        operator = f"operator {getpass.getuser()}"
        assert [(entry["actor"], entry["change"], entry["why"]) for entry in license["history"]] == [
            ("notification 1", "issued", "COMPLETE of 900000001"),
            (operator, "suspended", "suspend"),
            (operator, "revoked", "abuse"),
            (operator, "reinstated", "a mistake"),
            (operator, "extended", "a gift"),
        ]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["revoke", "AAAAA-BBBBB", "--why", "abuse"], "There is no license AAAAA-BBBBB."),
            (["extend", "{key}", "--until", "2097-12-30"], "The license runs until 2097-12-31 22:00 UTC already."),
        ],
    )
    def test_a_failure_is_1_with_one_sentence(
        self, run: Run, key: str, arguments: Sequence[str], complaint: str
    ) -> None:
        status, output, error = run(*(argument.format(key=key) for argument in arguments))

        assert (status, output) == (1, "")
        assert error.startswith(f"qlmhook: {complaint}")
        assert error.count("\n") == 1

    @pytest.mark.parametrize(
        "arguments", [["revoke", "{key}"], ["extend", "{key}"], ["extend", "{key}", "--until", "30.6.2098"]]
    )
    def test_wrong_usage_is_2_and_changes_nothing(
        self, run: Run, shop: Shop, key: str, arguments: Sequence[str]
    ) -> None:
        status, _, error = run(*(argument.format(key=key) for argument in arguments))

        assert status == 2
        assert ("'30.6.2098' is no day; one is written as 2026-12-31." in error) is ("30.6.2098" in arguments)
        assert found(shop) == [("active", "2097-12-31T22:00:00Z")]
