"""What a property sets free: neither less than it can, nor stopped by another one, nor at the price of all others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from qlmhook_avangate.vendor import Avangate

from qlmhook.catalog import mappings
from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE
from qlmhook.domain.events import Message
from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.vendors.api import Notification
from tests.conftest import MAPPING, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription

Run = Callable[..., Result]

PLAIN = "&is_productid=1&is_majorversion=1&is_minorversion=0"
TRIAL = f"{PLAIN}&is_licensemodel=subscription"
KEYS = "&is_usemultipleactivationskey=false"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the shop's configuration; its sentence, when it fails, is the exception's."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "qlmhook.toml"))
    return lambda *arguments: CliRunner().invoke(commands, list(map(str, arguments)))


def order(number: int, pid: str, **changes: Any) -> Order:
    line = {name: changes.pop(name) for name in ("quantity", "expires", "lifetime") if name in changes}
    return Order(refno=f"90000{number:04}", lines=[Line(pid=pid, ref=f"REF{number}", **line)], **changes)


def save(shop: Shop, name: str, value: str) -> None:
    with shop.service.database.transaction():
        mappings.save(name, value, now=shop.clock())


def states(shop: Shop) -> dict[str, str]:
    """The state of each notification by its order, or its subscription."""
    with shop.service.database.reading():
        rows = listings.notifications()
    return {row["order_ref"] or row["subscription_ref"]: row["state"] for row in rows}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestNoneStopsTheOthers:
    """Whatever one held notification does, the others are applied."""

    @pytest.fixture
    def shop(self, shop: Shop) -> Shop:
        """Three orders of one product are held; the first one's account is configured no more."""
        for number in (1, 2, 3):
            shop.post(order(number, "404").fields())
        with shop.service.database.transaction():
            first = models.Notification.get_by_id(1)
            for table in (models.Notification, models.Hold):
                table.update(vendor="gone").where(table.order_ref == first.order_ref).execute()
        return shop

    @pytest.fixture(params=["set", "import"])
    def mapped(self, request: pytest.FixtureRequest, shop: Shop, run: Run, tmp_path: Path) -> Result:
        if request.param == "set":
            return run("property", "set", "pid_404", MAPPING)
        path = tmp_path / "properties.json"
        path.write_text(json.dumps({"pid_404": MAPPING}), encoding="utf-8")
        return run("property", "import", path)

    def test_one_of_a_section_that_is_gone(self, shop: Shop, mapped: Result) -> None:
        """It is told in one line, with the remedy, and counted; the property is stored."""
        assert mapped.exit_code == 0
        assert states(shop) == {"900000001": "held", "900000002": "done", "900000003": "done"}
        assert mapped.stdout.splitlines()[-1] == "Applied 2 of 3 held notifications (1 failed)."
        assert mapped.stderr == (
            "Notification 1: There is no [vendors.gone] in the configuration any more; "
            "`qlmhook vendor rename gone avangate` moves its rows.\n"
        )

    @pytest.fixture
    def faulty(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plugin that meets what it did not foresee in the second order."""
        parse = Avangate.parse

        def parse_most(self: Avangate, notification: Notification) -> Message:
            if ("REFNO", "900000002") in notification.fields:
                raise RuntimeError("two\nlines")
            return parse(self, notification)

        monkeypatch.setattr(Avangate, "parse", parse_most)

    @pytest.mark.usefixtures("faulty")
    def test_one_that_meets_an_error_of_ours(self, shop: Shop, mapped: Result) -> None:
        assert mapped.exit_code == 0
        assert states(shop) == {"900000001": "held", "900000002": "held", "900000003": "done"}
        assert mapped.stdout.splitlines()[-1] == "Applied 1 of 3 held notifications (2 failed)."
        assert mapped.stderr.splitlines()[1:] == ["Notification 2: an internal error: RuntimeError: two."]

    @pytest.mark.usefixtures("faulty")
    def test_replay_goes_on_and_fails_at_the_end(self, shop: Shop, run: Run) -> None:
        save(shop, "pid_404", MAPPING)

        finished = run("notification", "replay", 1, 2, 3, 4)

        assert finished.exit_code == 1
        assert finished.stdout == "3: done\n"
        assert [line.partition(":")[0] for line in finished.stderr.splitlines()] == [
            "Notification 1",
            "Notification 2",
            "Notification 4",
        ]
        assert str(finished.exception) == "3 of 4 notifications could not be applied."

    def test_what_is_still_held_is_counted(self, shop: Shop, run: Run) -> None:
        shop.post(order(5, "405").fields())

        finished = run("property", "set", "pid_404", MAPPING)

        assert finished.stdout.splitlines()[-1] == "Applied 2 of 4 held notifications (1 still held, 1 failed)."


HELD: dict[str, Order | Subscription] = {
    "unmapped": order(1, "201"),
    "unmapped, with an option": order(2, "201", extra=[("IPN_PRODUCT_OPTIONS_201_VALUE[]", "gold")]),
    "broken": order(3, "202"),
    "without an end": order(4, "203", expires="", lifetime="NO"),
    "too many keys": order(5, "204", quantity="2000"),
    "no number": order(6, "205", quantity="many"),
    "under review": order(7, "201", status="PAYMENT_AUTHORIZED", extra=[("FRAUD_STATUS", "UNDER REVIEW")]),
    "unclear": order(8, "206", status="REFUND", extra=[("REFUND_TYPE", "PARTIAL")]),
    "without an order": Subscription(ref="ZZZZZZZZZZ"),
}


def held(shop: Shop) -> dict[str, int]:
    """What is held, by the name above."""
    with shop.service.database.reading():
        rows = {row.order_ref or row.subscription_ref: row.id for row in models.Notification.select()}
        waiting = {row["id"] for row in listings.notifications(state="held")}
    found = {
        name: rows.get(message.refno if isinstance(message, Order) else message.ref, 0)
        for name, message in HELD.items()
    }
    return {name: row for name, row in found.items() if row in waiting}


class TestOnlyWhatItCanFree:
    """A property is set, and of what is held only those are tried that it may have to do with."""

    @pytest.fixture
    def shop(self, shop: Shop) -> Shop:
        """An order held for each cause."""
        save(shop, "common", "&is_majorversion=1&is_minorversion=0")
        for name, value in {
            "pid_202": "&is_productid=1&is_args=common",
            "pid_203": TRIAL,
            "deep": KEYS,
            "shallow": "&is_args=deep",
            "pid_204": f"{PLAIN}&is_args=Shallow",
            "pid_205": PLAIN,
            "pid_205_gold": "ignore",
        }.items():
            save(shop, name, value)
        with shop.service.database.transaction():
            mappings.remove("common")
        for message in HELD.values():
            assert shop.post(message.fields()).status_code == 200
        assert held(shop).keys() == HELD.keys()
        return shop

    @pytest.mark.parametrize(
        ("name", "value", "tried"),
        [
            ("pid_999", PLAIN, []),
            ("other", "&is_majorversion=2", []),
            ("pid_201", PLAIN, ["unmapped", "unmapped, with an option"]),
            ("avangate_pid_201", "ignore", ["unmapped", "unmapped, with an option"]),
            ("PID_201 ", PLAIN, ["unmapped", "unmapped, with an option"]),
            ("books_pid_201", PLAIN, []),
            ("pid_20", PLAIN, []),
            ("common", "&is_majorversion=1&is_minorversion=0", ["broken"]),
            ("pid_202", PLAIN, ["broken"]),
            ("pid_203", f"{TRIAL}&is_expduration=30", ["without an end"]),
            ("pid_203_x", f"{TRIAL}&is_expduration=30", ["without an end"]),
            ("pid_204", PLAIN, ["too many keys"]),
            ("deep", "&is_userdata1=x", ["too many keys"]),
            ("pid_201_gold", PLAIN, []),
            ("pid_205", "ignore", ["no number"]),
        ],
    )
    def test_what_is_tried(self, shop: Shop, name: str, value: str, tried: list[str]) -> None:
        before = held(shop)
        save(shop, name, value)

        found = shop.service.intake.freed_by([name])

        assert found == [before[name] for name in tried]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("pid_201", PLAIN),
            ("pid_201", "ignore"),
            ("avangate_pid_201", PLAIN),
            ("common", "&is_majorversion=1&is_minorversion=0"),
            ("pid_202", "ignore"),
            ("pid_203", f"{TRIAL}&is_expduration=30"),
            ("pid_203", PLAIN),
            ("pid_204", PLAIN),
            ("pid_204", "ignore"),
            ("shallow", "&is_userdata1=x"),
            ("deep", "&is_userdata1=x"),
            ("pid_205", "ignore"),
            ("pid_206", "ignore"),
        ],
    )
    def test_nothing_that_it_has_freed_stays_held(self, shop: Shop, run: Run, name: str, value: str) -> None:
        """Trying all the others finds no more."""
        run("property", "set", name, value)
        left = held(shop)

        for notification_id in left.values():
            shop.service.intake.replay(notification_id)

        assert held(shop) == left

    def test_what_another_property_has_freed_is_made_up_for(self, shop: Shop, run: Run) -> None:
        """One that was stored, and its orders were not applied, because the power went."""
        save(shop, "pid_201", PLAIN)

        finished = run("property", "set", "pid_999", PLAIN)

        assert finished.stdout.splitlines()[-1] == "Applied 2 of 9 held notifications (7 still held)."

    def test_an_internal_error_is_tried_again(self, shop: Shop, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mapping may have led to it."""
        with monkeypatch.context() as patched:
            patched.setattr(mappings, "mapped_terms", lambda *_: 1 // 0)
            assert shop.post(order(20, "301").fields()).status_code == 503

        run("property", "set", "pid_301", PLAIN)

        assert states(shop)["900000020"] == "done"
