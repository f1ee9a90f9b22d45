"""A section of the configuration under another name: what is stored stays with its account, or is moved to it."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qlmhook.catalog import mappings
from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.errors import ConfigurationError, NotFound, QlmhookError
from qlmhook.inbox import notification_store
from qlmhook.licensing import licenses
from qlmhook.licensing.audit import Occasion
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import listings
from qlmhook.reports.listings import Row
from qlmhook.services.rename_account import CARRIERS
from qlmhook.storage import models
from tests.conftest import KEY, MAPPING, Clock, Configure, MailServer, Shop, free_port
from tests.plugins.avangate.idn_peer import IdnPeer
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.server import ROOT, running

CONFIRM = f"{MAPPING}&is_sendresponse=true&is_emailtemplate_renew=Customer.Renewal"
FIRST = Order()
RENEWAL = Order(
    refno="900000002",
    sale_date="2026-12-01 10:00:00",
    ipn_date="20261201100500",
    lines=[Line(expires="2028-01-01 00:00:00")],
)
OTHER = Order(refno="900000003", lines=[Line(ref="BBBBBBBBBB")])
FIRST_END, RENEWED_END = "2026-12-31T22:00:00Z", "2027-12-31T22:00:00Z"

Reopen = Callable[..., Shop]


@pytest.fixture
def reopen(shop: Shop, configure: Configure, tmp_path: Path, clock: Clock) -> Any:
    """Open the shop's database again with its section under another name."""
    opened: list[Shop] = []
    path = tmp_path / "qlmhook.toml"
    original = path.read_text(encoding="utf-8")

    def reopen_(name: str, *, more: str = "", **overrides: str) -> Shop:
        section = original.replace("[vendors.avangate]", f'[vendors.{name}]\nplugin = "avangate"')
        path.write_text(section + more, encoding="utf-8")
        environment = {f"QLMHOOK__{name.upper()}": value for name, value in overrides.items()}
        opened.append(Shop(load_settings({CONFIG_VARIABLE: str(path), **environment}), clock))
        return opened[-1]

    yield reopen_
    for each in opened:
        each.service.database.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command with the configuration that is there now; its sentence, when it fails, is the exception's."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "qlmhook.toml"))
    return lambda *arguments: CliRunner().invoke(commands, list(map(str, arguments)))


def post(shop: Shop, *messages: Order | Subscription) -> None:
    for message in messages:
        assert shop.post(message.fields()).status_code == 200


def issued(shop: Shop, *, order: str = "") -> list[Row]:
    with shop.service.database.reading():
        return listings.licenses(now=shop.clock(), order=order)


def pick(shop: Shop, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in issued(shop)]


def outbox(shop: Shop, kind: str) -> list[Row]:
    with shop.service.database.reading():
        return [row for row in listings.outbox_rows() if row["kind"] == kind]


def states(shop: Shop) -> list[str]:
    with shop.service.database.reading():
        return [row["state"] for row in listings.notifications()]


def rows_of(shop: Shop, name: str) -> dict[str, int]:
    """How many rows carry an account's name, by table, without those tables where none does."""
    with shop.service.database.reading():
        counts = {
            table.__name__: sum(row.vendor == name for row in table.select().where(table.vendor == name))
            for table in CARRIERS
        }
    return {table: count for table, count in counts.items() if count}


def facts_of(shop: Shop, name: str) -> list[str]:
    with shop.service.database.reading():
        return [row.digest for row in models.Fact.select().where(models.Fact.vendor == name)]


def rename(shop: Shop, old: str = "avangate", new: str = "shop") -> Any:
    return shop.service.renaming.rename(old, new, operator="ann")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestLetterCase:
    """`[vendors.avangate]` and `[vendors.Avangate]` are one account."""

    def test_a_repeat_is_a_repeat_and_a_renewal_renews(self, shop: Shop, reopen: Reopen) -> None:
        shop.map("101")
        post(shop, FIRST)

        again = reopen("AvanGate")
        post(again, FIRST, RENEWAL)

        assert pick(again, "vendor", "order_ref", "expires_at") == [("avangate", FIRST.refno, RENEWED_END)]
        assert rows_of(again, "AvanGate") == {}

    def test_nothing_is_left_behind(self, shop: Shop, reopen: Reopen, caplog: pytest.LogCaptureFixture) -> None:
        shop.map("101")
        post(shop, FIRST)
        caplog.clear()

        again = reopen("AvanGate")

        assert again.service.accounts.strays == []
        assert caplog.records == []

    def test_it_is_not_renamed(self, shop: Shop, reopen: Reopen) -> None:
        """There is nothing to move."""
        shop.map("101")
        post(shop, FIRST)

        with pytest.raises(QlmhookError, match="There still is a section for avangate"):
            rename(reopen("AvanGate"), "avangate", "AvanGate")

    def test_where_both_spellings_have_rows_each_keeps_its_own(self, shop: Shop, reopen: Reopen) -> None:
        """As an earlier version left them; the other one can be moved."""
        shop.map("101")
        post(shop, FIRST)
        with shop.service.database.transaction():
            notification_store.note_key("AvanGate", "00000000", "", now=shop.clock())

        again = reopen("AvanGate")

        assert [account.name for account in again.service.accounts] == ["AvanGate"]
        assert again.service.accounts.strays == ["avangate"]
        with pytest.raises(ConfigurationError, match="`qlmhook vendor rename avangate AvanGate` moves its rows"):
            again.service.accounts.named("avangate")
        assert rename(again, "avangate", "avangate").licenses == 1
        assert pick(again, "vendor") == [("AvanGate",)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestStrays:
    """Rows of an account that is configured no more are told of, with the command that moves them."""

    @pytest.fixture
    def sold(self, shop: Shop) -> Shop:
        shop.map("101")
        post(shop, FIRST)
        return shop

    @pytest.mark.usefixtures("sold")
    def test_the_start_warns_once(self, reopen: Reopen, caplog: pytest.LogCaptureFixture) -> None:
        caplog.clear()

        reopen("shop")

        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage() == (
            "Vendor avangate: there is no [vendors.avangate] in the configuration, but the database has its rows; "
            "`qlmhook vendor rename avangate shop` moves them. If it sells no more, keep the section with "
            "enabled = false."
        )

    @pytest.mark.usefixtures("sold")
    def test_doctor_fails(self, reopen: Reopen, run: Callable[..., Result]) -> None:
        reopen("shop")

        lines = [line for line in run("doctor").stdout.splitlines() if line.startswith("FAIL  vendor")]

        assert len(lines) == 1
        assert lines[0].startswith("FAIL  vendor avangate: there is no [vendors.avangate] in the configuration, but")
        assert "`qlmhook vendor rename avangate shop`" in lines[0]

    @pytest.mark.parametrize(
        ("more", "heir"),
        [
            ("", "shop"),
            ('[vendors.books]\nplugin = "avangate"\n', "shop"),
            ('[vendors.books]\nplugin = "avangate"\n[vendors.toys]\nplugin = "avangate"\n', "NEW"),
        ],
        ids=["the only one", "the only new one", "one of several"],
    )
    def test_the_command_names_the_section_that_it_can_be(
        self, sold: Shop, reopen: Reopen, more: str, heir: str
    ) -> None:
        """One that has rows of its own is rather another account."""
        with sold.service.database.transaction():
            notification_store.note_key("books", "00000000", "", now=sold.clock())

        again = reopen("shop", more=more)

        assert again.service.accounts.command_for("avangate") == f"`qlmhook vendor rename avangate {heir}`"

    @pytest.mark.usefixtures("sold")
    def test_a_name_with_blanks_is_quoted(self, reopen: Reopen) -> None:
        assert reopen('"my shop"').service.accounts.command_for("avangate").endswith("rename avangate 'my shop'`")

    @pytest.mark.usefixtures("sold")
    def test_an_account_that_is_switched_off_is_none(self, reopen: Reopen) -> None:
        again = reopen("avangate", more="enabled = false\n")

        assert again.service.accounts.strays == []

    def test_an_account_whose_only_notification_cannot_be_read_is_one(self, shop: Shop, reopen: Reopen) -> None:
        """Its key verified it."""
        assert shop.post([("REFNO", "1"), ("IPN_DATE", "")]).status_code == 400

        assert reopen("shop").service.accounts.strays == ["avangate"]

    @pytest.mark.usefixtures("sold")
    def test_vendor_list_shows_every_account_and_what_is_stored_of_it(
        self, reopen: Reopen, run: Callable[..., Result]
    ) -> None:
        reopen("shop")

        rows = json.loads(run("vendor", "list", "--json").stdout)

        new = {"name": "shop", "plugin": "avangate", "enabled": True, "configured": True}
        old = {"name": "avangate", "plugin": "", "enabled": False, "configured": False}
        assert rows == [{**new, "notifications": 0, "licenses": 0}, {**old, "notifications": 1, "licenses": 1}]

    @pytest.mark.slow
    @pytest.mark.usefixtures("sold")
    def test_gunicorn_warns_too(self, reopen: Reopen, tmp_path: Path) -> None:
        reopen("shop")
        port = free_port()
        arguments = ("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "wsgi:app")

        with running(*arguments, config=tmp_path / "qlmhook.toml", port=port, cwd=ROOT) as server:
            assert "`qlmhook vendor rename avangate shop`" in server.output


class TestRename:
    """`vendor rename` moves everything, before the shop has sent anything under the new name."""

    @pytest.fixture
    def sold(self, shop: Shop) -> Shop:
        """A row in every table that carries the name: an order, and one that is held."""
        shop.map("101", CONFIRM)
        shop.clock.now = shop.clock.now.replace(month=1, day=2)
        post(shop, FIRST, Order(refno="900000009", lines=[Line(pid="404", ref="EEEEEEEEEE")]))
        with shop.service.database.transaction():
            models.OrderName.create(vendor="avangate", order_ref=FIRST.refno, name="other")
        return shop

    def test_every_table_that_carries_the_name_is_moved(self, sold: Shop, reopen: Reopen) -> None:
        """A table that gets a column `vendor` must get its rows in `sold`, and what its name decides moved, too."""
        before = rows_of(sold, "avangate")
        again = reopen("shop")

        rename(again)

        assert before.keys() == {table.__name__ for table in CARRIERS}
        assert {table.__name__ for table in models.TABLES if hasattr(table, "vendor")} == before.keys()
        assert rows_of(again, "avangate") == {}
        assert rows_of(again, "shop") == before
        assert again.service.accounts.knowing(["shop"]).strays == []

    def test_only_these_columns_are_made_of_the_name(self) -> None:
        """What is unique beside the name, or made of it, must be moved with care: another one needs that, too."""
        unique = {
            (table.__name__, *columns)
            for table in CARRIERS
            for columns, is_unique in table._meta.indexes
            if is_unique and "vendor" in columns
        }
        digests = {
            (table.__name__, column) for table in CARRIERS for column in table._meta.fields if "digest" in column
        }

        assert unique == {
            ("KeyUse", "vendor", "key_id"),
            ("License", "vendor", "order_ref", "line", "unit"),
            ("FulfilledLine", "vendor", "order_ref", "line"),
            ("MailedLicense", "vendor", "order_ref", "license"),
            ("OrderName", "vendor", "order_ref", "name"),
            ("Tally", "vendor", "counted", "state"),
        }
        assert digests == {("Notification", "digest"), ("Notification", "signed_digest"), ("Fact", "digest")}

    def test_a_repeat_is_a_repeat(self, sold: Shop, reopen: Reopen) -> None:
        again = reopen("shop")
        rename(again)
        facts = len(facts_of(again, "shop"))

        post(again, FIRST)

        with again.service.database.reading():
            [copies, _] = [row.copies for row in models.Notification.select().order_by(models.Notification.id)]
        assert copies == 2
        assert len(facts_of(again, "shop")) == facts
        assert len(issued(again)) == 1

    def test_a_renewal_renews_and_is_mailed_as_one(self, sold: Shop, reopen: Reopen) -> None:
        [key] = pick(sold, "key")
        again = reopen("shop")
        rename(again)

        post(again, RENEWAL)

        assert pick(again, "key", "expires_at") == [(*key, RENEWED_END)]
        assert [row["subject"] for row in outbox(again, "mail")] == ["Customer.NewOrder", "Customer.Renewal"]

    def test_what_is_held_is_set_free_by_its_message(self, sold: Shop, reopen: Reopen) -> None:
        again = reopen("shop")
        rename(again)
        again.map("404")

        post(again, Order(refno="900000009", ipn_date="20260102000000", lines=[Line(pid="404", ref="EEEEEEEEEE")]))

        assert states(again) == ["done"] * 3

    def test_a_copy_with_another_meaning_is_refused(self, sold: Shop, reopen: Reopen) -> None:
        """Names are not signed: the signature of one notification must not carry another."""
        again = reopen("shop")
        rename(again)
        relabelled = [("X_STREET" if name == "COMPANY" else name, value) for name, value in FIRST.fields()]

        assert again.post(relabelled).status_code == 403

    def test_where_the_key_is_gone_the_signature_refuses(self, sold: Shop, reopen: Reopen, tmp_path: Path) -> None:
        path = tmp_path / "qlmhook.toml"
        reopen("shop")
        path.write_text(path.read_text(encoding="utf-8").replace(KEY, "another key"), encoding="utf-8")
        again = Shop(load_settings({CONFIG_VARIABLE: str(path)}), sold.clock)

        assert rename(again).notifications == 2
        relabelled = [("X_STREET" if name == "COMPANY" else name, value) for name, value in FIRST.fields()]

        assert again.post(relabelled).status_code == 403
        assert again.post(FIRST.fields(), key="another key").status_code == 200
        assert len(issued(again)) == 1
        again.service.database.close()

    def test_a_confirmation_that_waited_goes_on_at_once(self, sold: Shop, reopen: Reopen) -> None:
        """Whatever the worker had made of it while its section was gone."""
        again = reopen("shop")
        again.service.delivery.work_off()
        failed = {row["last_error"] for row in outbox(again, "confirmation")}

        rename(again)

        [row] = outbox(again, "confirmation")
        assert any("There is no [vendors.avangate]" in error for error in failed)
        assert row["due_at"] == "2026-01-02T12:00:00Z"
        with again.service.database.reading():
            assert models.Outbox.get(models.Outbox.kind == "confirmation").vendor == "shop"

    def test_the_keys_are_known_as_used(self, sold: Shop, reopen: Reopen, run: Callable[..., Result]) -> None:
        again = reopen("shop")
        rename(again)

        lines = run("doctor").stdout.splitlines()

        assert any(line.startswith("ok    vendor shop: key DEFAULT shared_keys[0]") for line in lines)
        assert not any("never used" in line or "vendor avangate" in line for line in lines)
        assert 'qlmhook_key_last_used_timestamp_seconds{key_id="' in again.client.get("/metrics").text
        assert 'vendor="avangate"' not in again.client.get("/metrics").text

    def test_the_properties_of_the_account_follow(self, sold: Shop, reopen: Reopen, run: Callable[..., Result]) -> None:
        """Where the new name is free; which, is said."""
        for name in ("avangate_pid_1", "avangate_pid_2", "shop_pid_2", "pid_avangate_pid_3"):
            with sold.service.database.transaction():
                mappings.save(name, MAPPING, now=sold.clock())
        reopen("shop")

        finished = run("vendor", "rename", "avangate", "Shop")

        assert finished.exit_code == 0
        assert finished.stdout.splitlines() == [
            "Moved 2 notifications and 1 licenses from avangate to shop.",
            "Renamed the property avangate_pid_1 to shop_pid_1.",
            "The property avangate_pid_2 stays and has no effect any more: there is a shop_pid_2.",
            "Applied 0 of 1 held notifications (1 still held).",
        ]
        names = [row["name"] for row in json.loads(run("property", "list", "--json").stdout)]
        assert names == ["avangate_pid_2", "pid_101", "pid_avangate_pid_3", "shop_pid_1", "shop_pid_2"]

    @pytest.mark.parametrize(
        ("old", "new", "error", "said"),
        [
            (
                "avangate",
                "nowhere",
                NotFound,
                r"There is no \[vendors.nowhere\] in the configuration \(configured: shop",
            ),
            ("SHOP", "shop", NotFound, r"no rows of an account SHOP \(configured no more: avangate\)"),
            ("shop", "shop", QlmhookError, "There still is a section for shop"),
            ("avangat", "shop", NotFound, r"no rows of an account avangat \(configured no more: avangate\)"),
        ],
    )
    def test_what_cannot_be_moved_is_told(
        self, sold: Shop, reopen: Reopen, old: str, new: str, error: type[QlmhookError], said: str
    ) -> None:
        again = reopen("shop")
        before = rows_of(sold, "avangate")

        with pytest.raises(error, match=said):
            rename(again, old, new)

        assert rows_of(again, "avangate") == before

    def test_a_section_with_another_plugin_is_no_heir(
        self, sold: Shop, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It does not understand what is stored."""
        again = reopen("shop")
        [account] = again.service.accounts

        def parse(_: object) -> None:
            raise KeyError("type")

        monkeypatch.setattr(account.vendor, "parse", parse)

        with pytest.raises(QlmhookError, match="does not understand notification 2 of avangate, so nothing was moved"):
            rename(again)
        assert rows_of(again, "shop") == {}


class TestDoubles:
    """The shop went on under the new name before the rows were moved, and was sold some of it a second time."""

    @pytest.fixture
    def sold(self, shop: Shop) -> Shop:
        shop.map("101", f"{MAPPING}&is_emailtemplate_renew=Customer.Renewal")
        post(shop, FIRST)
        shop.clock.now += timedelta(days=1)
        return shop

    @pytest.mark.parametrize("reverted", [False, True], ids=["renamed", "renamed and reverted"])
    @pytest.mark.parametrize(
        ("came", "end"),
        [
            ([FIRST], FIRST_END),
            ([RENEWAL], RENEWED_END),
            ([FIRST, RENEWAL], RENEWED_END),
            ([FIRST.changed(ipn_date="20260102100500"), OTHER], FIRST_END),
            ([RENEWAL, Subscription(expires="2028-01-01 00:00:00", updated="2026-12-02 12:00:00")], RENEWED_END),
        ],
        ids=["a repeat", "a renewal", "a repeat and a renewal", "a later message and another order", "an LCN"],
    )
    def test_the_key_that_the_customer_has_had_longer_stays(
        self, sold: Shop, reopen: Reopen, came: list[Order | Subscription], end: str, reverted: bool
    ) -> None:
        """And ends when all messages together say. What else was sold under the new name is kept."""
        [(key,)] = pick(sold, "key")
        again = reopen("shop")
        post(again, *came)
        expected = {key, *(row["key"] for row in issued(again, order=OTHER.refno))}

        if reverted:
            again = reopen("avangate")
        renamed = rename(again, *(("shop", "avangate") if reverted else ("avangate", "shop")))

        usable = {row["key"] for row in issued(again) if row["status"] == "active"}
        assert usable == expected
        assert [row["expires_at"] for row in issued(again) if row["key"] == key] == [end]
        assert {row["vendor"] for row in issued(again)} == {renamed.account.name}
        assert len(renamed.sold_twice) == len(issued(again)) - len(expected) == 1

    @pytest.mark.parametrize("reverted", [False, True], ids=["renamed", "renamed and reverted"])
    def test_it_goes_on_as_one_account(self, sold: Shop, reopen: Reopen, reverted: bool) -> None:
        """A repeat of either time is a repeat of what came first, and the next renewal renews what stays."""
        [(key,)] = pick(sold, "key")
        again = reopen("shop")
        post(again, FIRST, RENEWAL)
        used_last = again.clock()
        again = reopen("avangate") if reverted else again
        rename(again, *(("shop", "avangate") if reverted else ("avangate", "shop")))

        again.clock.now += timedelta(days=1)
        with again.service.database.reading():
            assert [use.last_used_at for use in models.KeyUse.select()] == [used_last]
        post(again, FIRST, RENEWAL)
        post(again, RENEWAL.changed(refno="900000004", sale_date="2027-12-01 10:00:00", ipn_date="20271201100500"))

        assert [row["key"] for row in issued(again) if row["status"] == "active"] == [key]
        with again.service.database.reading():
            copies = [row.copies for row in models.Notification.select().order_by(models.Notification.id)]
            learned = {row.order_ref: row.learned_at.day for row in models.Fact.select()}
            assert models.Fact.select().count() == 3
        assert copies == [2, 1, 2, 1]
        assert learned == {FIRST.refno: 1, RENEWAL.refno: 2, "900000004": 3}

    @pytest.mark.parametrize("reverted", [False, True], ids=["renamed", "renamed and reverted"])
    def test_a_line_is_what_it_was_sold_by_first(self, sold: Shop, reopen: Reopen, reverted: bool) -> None:
        sold.map("101", f"{MAPPING}&is_features=0:1")
        again = reopen("shop")
        post(again, FIRST)
        again = reopen("avangate") if reverted else again

        rename(again, *(("shop", "avangate") if reverted else ("avangate", "shop")))

        with again.service.database.reading():
            [line] = models.FulfilledLine.select()
        assert "is_features" not in line.terms

    def test_an_order_that_both_knew_is_confirmed_once(self, shop: Shop, reopen: Reopen) -> None:
        """The first of its two rows goes out."""
        shop.map("101", f"{MAPPING}&is_sendresponse=true")
        post(shop, FIRST)
        again = reopen("shop")
        post(again, FIRST)

        rename(again)

        states = [(row["state"], row["answer"][:11]) for row in outbox(again, "confirmation")]
        assert states == [("due", ""), ("done", "Row 2 confi")]

    def test_another_line_of_a_renewal_is_no_double(self, sold: Shop, reopen: Reopen) -> None:
        again = reopen("shop")
        post(again, RENEWAL.changed(lines=[*RENEWAL.lines, *OTHER.lines]))
        [new] = [row["key"] for row in issued(again) if row["subscription_ref"] == "BBBBBBBBBB"]

        assert len(rename(again).sold_twice) == 1
        assert new in {row["key"] for row in issued(again) if row["status"] == "active"}

    def test_what_one_account_has_twice_is_left_alone(self, sold: Shop, reopen: Reopen) -> None:
        """It has another reason than the name."""
        with sold.service.database.transaction():
            columns: Any = models.License.select().dicts().get()
            models.License.create(**{**columns, "id": None, "key": "EXTRA", "order_ref": "900000008"})
        again = reopen("shop")
        post(again, RENEWAL)

        rename(again)

        assert [row["status"] for row in issued(again)] == ["active", "active", "revoked"]

    def test_what_is_revoked_says_why_and_belongs_to_nothing_any_more(self, sold: Shop, reopen: Reopen) -> None:
        [(key,)] = pick(sold, "key")
        again = reopen("shop")
        post(again, RENEWAL)

        rename(again)

        [gone] = [row for row in issued(again, order=RENEWAL.refno) if row["key"] != key]
        assert (gone["status"], gone["subscription_ref"]) == ("revoked", "")
        assert gone["barred_why"] == (f"It was issued twice; {key} stays. The account avangate is called shop now.")
        with again.service.database.reading():
            entry = listings.license_history(licenses.find(gone["key"]))[-1]
        assert (entry["change"], entry["actor"], entry["why"]) == ("revoked", "operator ann", gone["barred_why"])
        assert entry["before"] == {"line": "101#1", "subscription_ref": "AAAAAAAAAA", "revoked_at": None}

    def test_what_is_revoked_can_be_given_back_for_what_it_is_worth(self, sold: Shop, reopen: Reopen) -> None:
        """It is usable again, and no renewal extends it."""
        [(key,)] = pick(sold, "key")
        again = reopen("shop")
        post(again, FIRST)
        rename(again)
        [other] = {row["key"] for row in issued(again)} - {key}

        again.service.decisions.decide(other, "reinstate", why="mailed to a printer", operator="ann")
        post(again, RENEWAL)

        assert {row["key"]: (row["status"], row["expires_at"]) for row in issued(again)} == {
            key: ("active", RENEWED_END),
            other: ("active", FIRST_END),
        }

    def test_the_operator_is_told_which_orders_were_sold_twice(self, sold: Shop, reopen: Reopen) -> None:
        again = reopen("shop")
        post(again, FIRST, RENEWAL)
        keys = [row["key"] for row in issued(again)]

        rename(again)

        [row] = outbox(again, "alert")
        with again.service.database.reading():
            text = payloads.of(models.Outbox.get_by_id(row["id"]), AlertPayload).text
        assert row["subject"] == "Licenses of shop were issued twice, and one of each two is revoked: 1"
        assert "these orders got a second license: 900000001. See `qlmhook license list --order 900000001`" in text
        assert not any(key in text for key in keys)

    def test_without_doubles_there_is_no_alert(self, sold: Shop, reopen: Reopen) -> None:
        again = reopen("shop")
        post(again, OTHER)

        assert rename(again).sold_twice == []
        assert outbox(again, "alert") == []
        assert [row["status"] for row in issued(again)] == ["active", "active"]

    def test_each_unit_of_a_quantity_is_parted(self, sold: Shop, reopen: Reopen) -> None:
        """What the renewal bought more is kept."""
        sold.map("102", f"{MAPPING}&is_usemultipleactivationskey=false")
        line = Line(pid="102", ref="CCCCCCCCCC", quantity="2")
        post(sold, Order(refno="900000005", lines=[line]))
        before = {row["key"] for row in issued(sold, order="900000005")}
        again = reopen("shop")
        post(again, RENEWAL.changed(refno="900000006", lines=[replace(line, quantity="3")]))

        doubles = rename(again).sold_twice

        rows = issued(again, order="900000006")
        usable = {row["key"]: row["unit"] for row in rows if row["status"] == "active"}
        assert len(doubles) == 2
        assert before < usable.keys()
        assert sorted(usable.values()) == [1, 2, 3]

    def test_where_the_longer_one_was_revoked_by_hand_the_other_one_stays(self, sold: Shop, reopen: Reopen) -> None:
        """The operator has noticed before, and decided."""
        [(key,)] = pick(sold, "key")
        again = reopen("shop")
        post(again, RENEWAL)
        [other] = {row["key"] for row in issued(again)} - {key}
        with again.service.database.transaction():
            found = licenses.find(key)
            decision = models.Decision.create(
                license=found, at=again.clock(), action="revoke", until=None, why="sold twice"
            )
            licenses.override(decision, Occasion(actor="operator ann", at=again.clock(), why="sold twice"))

        rename(again)

        assert {row["key"]: (row["status"], row["expires_at"]) for row in issued(again)} == {
            key: ("revoked", FIRST_END),
            other: ("active", RENEWED_END),
        }

    def test_an_extension_by_hand_is_kept(self, sold: Shop, reopen: Reopen) -> None:
        """Although it was promised for the key that goes."""
        [(key,)] = pick(sold, "key")
        again = reopen("shop")
        post(again, RENEWAL)
        [other] = {row["key"] for row in issued(again)} - {key}
        again.service.decisions.decide(other, "extend", why="paid", operator="ann", until=date(2028, 6, 30))

        rename(again)

        assert [row["expires_at"] for row in issued(again) if row["key"] == key] == ["2028-06-30T20:59:59Z"]

    def test_a_refund_that_found_no_order_counts(self, sold: Shop, reopen: Reopen) -> None:
        again = reopen("shop", vendors__shop__revoke_on_refund="true")
        post(again, FIRST.changed(status="REFUND", ipn_date="20260105100500"))

        rename(again)

        assert pick(again, "status") == [("revoked",)]

    def test_what_waited_for_its_order_is_applied(self, sold: Shop, reopen: Reopen, run: Callable[..., Result]) -> None:
        again = reopen("shop")
        post(again, Subscription(expires="2026-06-01 00:00:00"))
        assert states(again) == ["done", "held"]

        finished = run("vendor", "rename", "avangate", "shop")

        assert finished.stdout.splitlines()[-1] == "Applied 1 of 1 held notifications."
        assert states(again) == ["done", "done"]
        assert pick(again, "expires_at") == [("2026-05-31T21:00:00Z",)]

    def test_the_customer_is_mailed_the_key_that_counts_and_the_shop_is_told(
        self, sold: Shop, reopen: Reopen, mail_server: MailServer
    ) -> None:
        """A mail that waits with the other key is called back."""
        sold.map("101", CONFIRM)
        [(key,)] = pick(sold, "key")
        with IdnPeer(KEY) as peer:
            address = {"mail__host": "127.0.0.1", "mail__port": str(mail_server.port)}
            again = reopen("shop", **address, vendors__shop__idn__url=peer.url)
            post(again, RENEWAL)
            [other] = {row["key"] for row in issued(again)} - {key}

            rename(again)
            again.service.delivery.work_off()
            again.service.delivery.work_off()

        texts = [envelope.content.decode() for envelope in mail_server.envelopes]
        assert [key in text for text in texts if "a@example.com" in text] == [True, True]
        assert not any(other in text for text in texts)
        assert {row["state"] for row in outbox(again, "mail")} == {"done"}
        assert [row["state"] for row in outbox(again, "confirmation")] == ["done"]

    def test_a_failure_moves_nothing(self, sold: Shop, reopen: Reopen, monkeypatch: pytest.MonkeyPatch) -> None:
        """Everything is in one transaction."""
        again = reopen("shop")
        post(again, FIRST, RENEWAL)
        before = rows_of(again, "avangate"), rows_of(again, "shop")

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(mappings, "rename_account", fail)
        with pytest.raises(RuntimeError):
            rename(again)

        assert (rows_of(again, "avangate"), rows_of(again, "shop")) == before
