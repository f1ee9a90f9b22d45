"""The operator's commands: what they print, what they change, and their exit status."""

import json
import logging
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qlmhook.cli import main
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import listings
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from tests.conftest import KEY, MAPPING, PASSWORD, QUERY, URL, Configure, MailServer, Shop, free_port
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.server import command, command_on_a_terminal, own_process, serving

pytestmark = pytest.mark.sqlite
"""The commands do not know one engine from another."""


FUTURE = f"{datetime.now(UTC) + timedelta(days=365):%Y-%m-%d %H:%M:%S}"
PAST = "2020-01-01 00:00:00"


@dataclass(frozen=True, kw_only=True)
class Finished:
    status: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON array that is all of standard output."""
        rows = json.loads(self.stdout)
        assert isinstance(rows, list)
        return rows


Run = Callable[..., Finished]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], configure: Configure, tmp_path: Path
) -> Iterator[Run]:
    """Run a command in this process as its console script does."""
    configure()
    opened: list[Service] = []
    open_service = Service.open

    def open_and_remember(*arguments: Any, **options: Any) -> Service:
        opened.append(open_service(*arguments, **options))
        return opened[-1]

    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "qlmhook.toml"))
    monkeypatch.setattr(Service, "open", open_and_remember)

    def run_(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["qlmhook", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return Finished(status=status or 0, stdout=captured.out, stderr=captured.err)

    yield run_
    for service in opened:
        service.database.close()


def is_one_line(text: str) -> bool:
    return text.startswith("qlmhook: ") and text.endswith(".\n") and text.count("\n") == 1


class TestExitStatus:
    """0: done. 1: failed, one sentence on standard error. 2: called wrongly."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ("property", "get", "pid_1"),
            ("property", "remove", "pid_1"),
            ("property", "set", "pid_1", "&is_productid=one&is_majorversion=1&is_minorversion=0"),
            ("property", "set", "pid_1", "&is_productid=1"),
            ("property", "set", "pid_1=2", MAPPING),
            ("license", "show", "AAAAA-AAAAA"),
            ("notification", "show", 1),
            ("notification", "replay", 1),
            ("outbox", "retry", 1),
        ],
        ids=lambda arguments: " ".join(map(str, arguments)),
    )
    def test_a_failure_is_1_with_one_sentence_on_stderr(self, run: Run, arguments: tuple[object, ...]) -> None:
        finished = run(*arguments)

        assert finished.status == 1
        assert finished.stdout == ""
        assert is_one_line(finished.stderr)

    @pytest.mark.parametrize(
        ("name", "value", "named"),
        [
            (CONFIG_VARIABLE, "nowhere.toml", "nowhere.toml"),
            ("QLMHOOK__MAIL__PORT", "many", "mail.port"),
            ("QLMHOOK__VENDORS__AVANGATE__SHARED_KEY", "x", "vendors.avangate.shared_key"),
        ],
    )
    def test_a_wrong_setting_is_1_and_named(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
    ) -> None:
        monkeypatch.setenv(name, value)

        finished = run("property", "list")

        assert finished.status == 1
        assert is_one_line(finished.stderr)
        assert named in finished.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ("nonsense",),
            ("property", "set", "pid_1"),
            ("property", "import", "nowhere.json"),
            ("license", "list", "--status", "sold"),
            ("license", "list", "--limit", "0"),
            ("notification", "list", "--state", "lost"),
            ("notification", "show", "first"),
            ("notification", "replay"),
            ("outbox", "list", "--state", "lost"),
            ("outbox", "retry"),
            ("serve", "--workers", "0"),
            ("simulate", "ipn", "--key", KEY),
            ("simulate", "ipn", "--url", "http://127.0.0.1:1", "--key", KEY, "--field", "REFNO"),
        ],
        ids=" ".join,
    )
    def test_wrong_usage_is_2_with_the_usage_on_stderr(self, run: Run, arguments: tuple[str, ...]) -> None:
        finished = run(*arguments)

        assert finished.status == 2
        assert finished.stdout == ""
        assert finished.stderr.startswith("Usage: qlmhook")


class TestInit:
    """`init` starts an installation."""

    def test_it_writes_a_configuration_that_works_for_its_owner_alone(self, run: Run, tmp_path: Path) -> None:
        """With the database beside it, and a password that no other installation has."""
        folders = [tmp_path / "new" / name for name in ("one", "two")]

        finished = [run("init", "--dir", folder) for folder in folders]

        assert [each.status for each in finished] == [0, 0]
        paths = [folder / "qlmhook.toml" for folder in folders]
        assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]
        assert all((folder / "qlmhook.db").is_file() for folder in folders)
        settings = [load_settings({CONFIG_VARIABLE: str(path)}) for path in paths]
        assert len({each.vendors["avangate"].password for each in settings}) == 2

    def test_it_never_overwrites(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "qlmhook.toml"
        before = path.read_bytes()

        finished = run("init", "--dir", tmp_path)

        assert finished.status == 1
        assert finished.stderr == f"qlmhook: {path} is there already; it is never overwritten.\n"
        assert path.read_bytes() == before


class TestProperty:
    """`property` keeps what to license for a product."""

    def test_set_says_what_the_value_means_and_get_prints_it(self, run: Run) -> None:
        set_ = run("property", "set", "pid_101", MAPPING)
        get = run("property", "get", "PID_101")

        assert (set_.status, get.status) == (0, 0)
        assert set_.stderr == ""
        assert "  is_majorversion = 1  (the product's major version; required)\n" in set_.stdout
        assert get.stdout == f"{MAPPING}\n"

    def test_set_warns_of_what_may_be_a_mistake_and_stores_it(self, run: Run) -> None:
        """Warnings go to standard error."""
        finished = run("property", "set", "pid_101", f"{MAPPING.replace('NewOrder', 'Mine')}&is_feature=0:1")

        assert finished.status == 0
        assert finished.stderr == (
            "Warning: is_feature is not known; it is kept and has no effect. Is is_features meant?\n"
            "Warning: There is no mail template 'Customer.Mine' yet; the mail waits until there is.\n"
        )
        assert "&is_feature=0:1" in run("property", "get", "pid_101").stdout

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("pid_101", "ignore", "Stored pid_101: this product gets no license.\n"),
            ("common", "&is_majorversion=1", "Stored common: arguments that other properties can add with is_args="),
            ("pid_101", MAPPING.partition("&is_email")[0], "No mail will be sent: is_emailtemplate is not given.\n"),
        ],
        ids=["ignore", "arguments to splice in", "no template"],
    )
    def test_set_says_what_is_special(self, run: Run, name: str, value: str, said: str) -> None:
        assert said in run("property", "set", name, value).stdout

    def test_list_shows_what_is_set_and_not_removed(self, run: Run) -> None:
        for name in ("pid_101", "pid_102", "pid_103"):
            run("property", "set", name, "ignore")

        removed = run("property", "remove", "pid_102")

        assert removed.stdout == "Removed pid_102.\n"
        assert run("property", "list").stdout == "NAME     VALUE\npid_101  ignore\npid_103  ignore\n"
        assert run("property", "list", "--json", "--limit", 1).rows == [{"name": "pid_101", "value": "ignore"}]

    def test_check_fails_when_a_property_cannot_be_used(self, run: Run) -> None:
        """It names each, and what is wrong with it."""
        run("property", "set", "common", "&is_majorversion=1&is_minorversion=0")
        run("property", "set", "pid_101", "&is_productid=1&is_args=common")

        good = run("property", "check")
        run("property", "remove", "common")
        bad = run("property", "check")

        assert (good.status, good.stdout) == (0, "common: ok\npid_101: ok\n")
        assert (bad.status, bad.stderr) == (1, "qlmhook: 1 of the properties cannot be used.\n")
        assert bad.stdout.startswith("pid_101: is_args names the property 'common', which does not exist")

    def test_what_is_exported_can_be_imported(self, run: Run, tmp_path: Path) -> None:
        """In any order of names, although one is spliced into the other."""
        values = {"zz common": "&is_majorversion=1&is_minorversion=0", "pid_101": "&is_productid=1&is_args=zz common"}
        for name, value in values.items():
            run("property", "set", name, value)
        path = tmp_path / "properties.json"

        run("property", "export", "--to", path)
        for name in values:
            run("property", "remove", name)
        imported = run("property", "import", path)

        assert (imported.status, imported.stdout) == (0, "Stored 2 properties.\n")
        assert json.loads(run("property", "export").stdout) == values

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (f'{{"pid_1": "{MAPPING}", "pid_2": "&is_productid=x"}}', "pid_2: "),
            ('{"pid_1": 1}', "must hold one JSON object"),
            ("pid_1", "is no JSON"),
        ],
        ids=["one of two is wrong", "no texts", "no JSON"],
    )
    def test_import_stores_all_or_nothing(self, run: Run, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "properties.json"
        path.write_text(text, encoding="utf-8")

        finished = run("property", "import", path)

        assert (finished.status, finished.stdout) == (1, "")
        assert said in finished.stderr
        assert run("property", "list", "--json").rows == []


@pytest.fixture
def sold(shop: Shop) -> Shop:
    """Four orders with a license each: active, expired, suspended, revoked; and one that is held."""
    shop.map("101")
    shop.map("102", f"{MAPPING}&is_productname=Beta Suite")
    lines = [
        Line(ref="AAAAAAAAAA", expires=FUTURE),
        Line(ref="BBBBBBBBBB", expires=PAST, pid="102"),
        Line(ref="CCCCCCCCCC", lifetime="YES"),
        Line(ref="DDDDDDDDDD", lifetime="YES"),
        Line(ref="EEEEEEEEEE", pid="404"),
    ]
    orders = [Order(refno=f"90000000{number}", lines=[line]) for number, line in enumerate(lines, start=1)]
    orders[1] = orders[1].changed(email="Bob@Example.com", last_name="Brown", extra=[("COMPANY", "Example Ltd")])
    for order in orders:
        shop.post(order.fields())
    with shop.service.database.transaction():
        for column, order in (("suspended_at", orders[2]), ("revoked_at", orders[3])):
            models.License.update({column: shop.clock()}).where(models.License.order_ref == order.refno).execute()
    return shop


def refs(rows: list[dict[str, Any]]) -> list[str]:
    """The last digits of the rows' orders."""
    return [row["order_ref"][-1] for row in rows]


class TestLicense:
    """`license` finds and shows what was issued."""

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ("", ["1", "2", "3", "4"]),
            ("--order 900000002", ["2"]),
            ("--email bob@example.COM", ["2"]),
            ("--subscription CCCCCCCCCC", ["3"]),
            ("--status active", ["1"]),
            ("--status expired", ["2"]),
            ("--status suspended", ["3"]),
            ("--status revoked", ["4"]),
            ("--search beta", ["2"]),
            ("--search brown", ["2"]),
            ("--search ltd", ["2"]),
            ("--search 000003", ["3"]),
            ("--search %", []),
            ("--limit 2", ["1", "2"]),
            ("--order 900000001 --status expired", []),
        ],
    )
    @pytest.mark.usefixtures("sold")
    def test_list_shows_what_matches_every_filter(self, run: Run, filters: str, found: list[str]) -> None:
        assert refs(run("license", "list", "--json", *filters.split()).rows) == found

    @pytest.fixture
    def renewed(self, sold: Shop) -> Shop:
        """The first license by a second order, to which it is told an end by a message about the subscription."""
        renewal = Order(refno="900000006", sale_date="2026-02-01 10:00:00", ipn_date="20260201100500")
        sold.post(renewal.fields())
        sold.post(renewal.changed(status="REFUND", ipn_date="20260301100500").fields())
        sold.post(Subscription(updated="2026-04-01 12:00:00").fields())
        return sold

    @pytest.mark.usefixtures("renewed")
    @pytest.mark.parametrize(("order", "found"), [("900000001", ["1"]), ("900000006", ["1"]), ("900000007", [])])
    def test_a_license_is_found_by_any_of_its_orders(self, run: Run, order: str, found: list[str]) -> None:
        """The alert about a refund names the order that was refunded."""
        assert refs(run("license", "list", "--json", "--order", order).rows) == found

    @pytest.mark.usefixtures("renewed")
    def test_the_command_that_an_alert_names_finds_something(self, run: Run, renewed: Shop) -> None:
        with renewed.service.database.reading():
            rows = models.Outbox.select().where(models.Outbox.kind == "alert")
            texts = [payloads.of(row, AlertPayload).text for row in rows]
        named = [found for text in texts for found in re.findall(r"`qlmhook (license list [^`]+)`", text)]

        assert named == ["license list --order 900000006"]
        assert [bool(run(*command.split()).stdout) for command in named] == [True]

    def test_an_order_is_found_by_indexes_alone(self, renewed: Shop, caplog: pytest.LogCaptureFixture) -> None:
        """Among 300,000 others a look at all of them takes a second."""
        with renewed.service.database.reading(), caplog.at_level(logging.DEBUG, logger="peewee"):
            caplog.clear()
            assert len(listings.licenses(now=renewed.clock(), order="900000006")) == 1
            statements: list[Any] = [record.msg for record in caplog.records if record.name == "peewee"]
        path = str(renewed.service.settings.database).removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as connection:
            plans = [
                row[3]
                for sql, values in statements
                if sql.startswith("SELECT") and "key_use" not in sql  # which has a row for each key
                for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            ]

        assert len(plans) >= 4
        assert [plan for plan in plans if plan.startswith("SCAN")] == []

    def test_search_finds_a_key_as_a_person_types_it(self, run: Run, sold: Shop) -> None:
        """In lower case, without dashes, and in part."""
        with sold.service.database.reading():
            key = listings.licenses(now=sold.clock())[2]["key"]

        assert refs(run("license", "list", "--json", "--search", key.lower().replace("-", "")[:20]).rows) == ["3"]

    @pytest.mark.usefixtures("sold")
    def test_the_json_has_the_fields_of_the_public_interface(self, run: Run) -> None:
        [row] = run("license", "list", "--json", "--order", "900000002").rows

        key, issued_at = row.pop("key"), row.pop("issued_at")
        assert [len(part) for part in key.split("-")] == [5, 5, 5, 5, 6]
        assert issued_at == "2026-01-01T12:00:00Z"
        assert row.pop("customer").items() >= {"email": "Bob@Example.com", "full_name": "Ann Brown"}.items()
        assert (
            row.items()
            >= {
                "status": "expired",
                "license_model": "subscription",
                "product_id": 1,
                "major_version": 1,
                "minor_version": 0,
                "product_name": "Beta Suite",
                "features": "",
                "activations": 1,
                "floating_seats": 0,
                "expires_at": "2019-12-31T22:00:00Z",
                "maintenance_until": None,
                "vendor": "avangate",
                "order_ref": "900000002",
                "line": "102#1",
                "subscription_ref": "BBBBBBBBBB",
                "quantity": 1,
                "test": False,
            }.items()
        )

    @pytest.mark.usefixtures("sold")
    def test_without_json_it_is_a_table_for_people(self, run: Run) -> None:
        """And nothing at all when nothing is found."""
        header, *rows = run("license", "list").stdout.splitlines()

        assert header.split() == ["KEY", "STATUS", "PRODUCT_NAME", "ORDER_REF", "EMAIL", "ACTIVATIONS", "EXPIRES_AT"]
        assert [row.split()[1] for row in rows] == ["active", "expired", "suspended", "revoked"]
        assert run("license", "list", "--order", "1").stdout == ""

    def test_show_tells_the_history_of_a_license(self, run: Run, sold: Shop) -> None:
        """Its key is found as a person types it."""
        sold.post(Order(lines=[Line(expires="2098-01-01 00:00:00")], ipn_date="20260101110000").fields())
        [listed] = run("license", "list", "--json", "--order", "900000001").rows

        [shown] = run("license", "show", "--json", listed["key"].lower().replace("-", " ")).rows

        history = shown.pop("history")
        assert shown == {**listed, "confirmation": "", "confirmed_at": None, "confirmations": []}
        assert [(entry["change"], entry["actor"]) for entry in history] == [
            ("issued", "notification 1"),
            ("extended", "notification 6"),
        ]
        assert history[1]["after"] == {"expires_at": "2097-12-31T22:00:00+00:00"}

    def test_what_a_customer_typed_cannot_disturb_the_terminal(self, run: Run, shop: Shop) -> None:
        shop.map("101")
        shop.post(Order(first_name="\x1b[2JAnn\r\n", last_name="\x9b31mSmith").fields())
        [row] = run("license", "list", "--json").rows

        shown = run("license", "show", row["key"]).stdout

        assert " \ufffd[2JAnn\ufffd\ufffd \ufffd31mSmith\n" in shown


class TestNotification:
    """`notification` finds, shows and replays what the vendors sent."""

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ("", ["1", "2", "3", "4", "5"]),
            ("--state held", ["5"]),
            ("--state done --limit 3", ["1", "2", "3"]),
            ("--state ignored", []),
            ("--order 900000004", ["4"]),
        ],
    )
    @pytest.mark.usefixtures("sold")
    def test_list_shows_what_matches_every_filter(self, run: Run, filters: str, found: list[str]) -> None:
        assert refs(run("notification", "list", "--json", *filters.split()).rows) == found

    @pytest.mark.usefixtures("sold")
    def test_show_has_the_fields_of_the_notification_without_its_signatures(self, run: Run) -> None:
        [row] = run("notification", "show", "--json", 5).rows

        fields = dict(row.pop("fields"))
        assert (
            row.items()
            >= {
                "id": 5,
                "vendor": "avangate",
                "endpoint": "DEFAULT",
                "kind": "ipn",
                "order_ref": "900000005",
                "order_status": "COMPLETE",
                "state": "held",
                "reason": "Product 404 ('Alpha') has no mapping: set the property pid_404.",
                "subscription_ref": "",
                "received_at": "2026-01-01T12:00:00Z",
                "applied_at": None,
            }.items()
        )
        assert fields["CUSTOMEREMAIL"] == "a@example.com"
        assert not any(name.startswith(("HASH", "SIGNATURE")) for name in fields)

    def test_replay_applies_what_was_held(self, run: Run, sold: Shop) -> None:
        """What was done already is not done twice."""
        sold.map("404")

        finished = run("notification", "replay", 1, 5)

        assert finished.status == 0
        assert finished.stdout == "1: done\n5: done\n"
        assert refs(run("license", "list", "--json").rows) == ["1", "2", "3", "4", "5"]


class TestOutbox:
    """`outbox` shows what goes out, and sends it."""

    @pytest.fixture(autouse=True)
    def _mails_go_to(self, monkeypatch: pytest.MonkeyPatch, mail_server: MailServer) -> None:
        monkeypatch.setenv("QLMHOOK__MAIL__HOST", "127.0.0.1")
        monkeypatch.setenv("QLMHOOK__MAIL__PORT", str(mail_server.port))

    @pytest.mark.usefixtures("sold")
    def test_run_sends_what_is_due(self, run: Run, mail_server: MailServer) -> None:
        """Three mails to customers and an alert about the order that is held; one license was revoked before."""
        first, second = run("outbox", "run"), run("outbox", "run")

        assert (first.stdout, second.stdout) == ("Tried 5 rows.\n", "Tried 0 rows.\n")
        assert len(mail_server.envelopes) == 4
        assert [row["answer"] for row in run("outbox", "list", "--json").rows if row["answer"]] == [
            "Not sent: the license was revoked before."
        ]
        assert {row["state"] for row in run("outbox", "list", "--json").rows} == {"done"}

    @pytest.mark.usefixtures("sold")
    def test_retry_makes_a_dead_row_due_again(self, run: Run, mail_server: MailServer) -> None:
        mail_server.rcpt_answer["Bob@Example.com"] = "550 no such user"
        run("outbox", "run")
        [dead] = run("outbox", "list", "--json", "--state", "dead").rows
        mail_server.rcpt_answer.clear()

        finished = run("outbox", "retry", dead["id"])

        assert "550 no such user" in dead["last_error"]
        assert finished.stdout.startswith(f"Due again: {dead['id']}.")
        run("outbox", "run")
        assert [envelope.rcpt_tos for envelope in mail_server.envelopes].count(["Bob@Example.com"]) == 1
        assert run("outbox", "list", "--json", "--state", "dead").rows == []

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ("", ["mail", "mail", "mail", "mail", "alert"]),
            ("--order 900000003", ["mail"]),
            ("--state done", []),
            ("--state due --limit 1", ["mail"]),
        ],
    )
    @pytest.mark.usefixtures("sold")
    def test_list_shows_what_matches_every_filter(self, run: Run, filters: str, found: list[str]) -> None:
        rows = run("outbox", "list", "--json", *filters.split()).rows

        assert [row["kind"] for row in rows] == found

    @pytest.mark.usefixtures("sold")
    def test_the_json_has_the_fields_of_the_public_interface(self, run: Run) -> None:
        [row] = run("outbox", "list", "--json", "--order", "900000002").rows

        assert (
            row.items()
            >= {
                "id": 2,
                "kind": "mail",
                "state": "due",
                "attempts": 0,
                "due_at": "2026-01-01T12:00:00Z",
                "last_error": "",
                "answer": "",
                "order_ref": "900000002",
                "to": "Bob@Example.com",
                "subject": "Customer.NewOrder",
            }.items()
        )


class TestSimulate:
    """`simulate ipn` plays 2Checkout."""

    @pytest.mark.slow
    def test_the_exit_status_tells_whether_the_answer_is_a_valid_receipt(self, run: Run, tmp_path: Path) -> None:
        run("property", "set", "pid_101", MAPPING)
        run("property", "set", "pid_102", MAPPING)
        order = "--order 123456789 --product 101 --product 102 --quantity 1 --quantity 3 --email b@example.com --test"
        config = tmp_path / "qlmhook.toml"

        with serving(config) as server:
            url = f"http://127.0.0.1:{server.port}{URL}?{QUERY}"
            right = command(config, "simulate", "ipn", "--url", url, "--key", KEY, *order.split())
            wrong = command(config, "simulate", "ipn", "--url", url, "--key", "wrong")

        assert right.returncode == 0
        assert right.stdout.endswith("The receipt is valid.\n")
        assert wrong.returncode == 1
        assert "2Checkout would not take this for a receipt" in wrong.stderr
        rows = run("license", "list", "--json", "--order", "123456789").rows
        assert {(row["vendor_product_id"], row["quantity"], row["test"], row["customer"]["email"]) for row in rows} == {
            ("101", 1, True, "b@example.com"),
            ("102", 3, True, "b@example.com"),
        }

    def test_a_server_that_cannot_be_reached_is_a_failure_that_keeps_the_password(self, run: Run) -> None:
        finished = run("simulate", "ipn", "--url", f"http://127.0.0.1:{free_port()}{URL}?{QUERY}", "--key", KEY)

        assert finished.status == 1
        assert is_one_line(finished.stderr)
        assert PASSWORD not in finished.stdout + finished.stderr


@pytest.mark.slow
def test_the_demo_does_the_whole_job_and_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))

    finished = own_process(tmp_path / "none.toml", "demo")

    assert (finished.returncode, finished.stderr) == (0, "")
    assert [line for line in finished.stdout.splitlines() if line.startswith(("The receipt", "Done"))] == [
        "The receipt is valid.",
        "Done.",
    ]
    assert list(folder.iterdir()) == []


def test_progress_shows_on_a_terminal_and_not_in_a_pipe(configure: Configure, tmp_path: Path) -> None:
    configure()
    config, path = tmp_path / "qlmhook.toml", tmp_path / "properties.json"
    path.write_text(json.dumps({"pid_101": MAPPING}), encoding="utf-8")
    arguments = ("property", "import", str(path))

    piped = command(config, *arguments)
    shown = command_on_a_terminal(config, *arguments)

    assert (piped.stdout, piped.stderr) == ("Stored 1 properties.\n", "")
    assert "Storing" in shown
