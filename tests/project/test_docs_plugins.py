"""docs/plugins.md: its example is installed and run, and nothing that a plugin can use is missing from it."""

import ast
import dataclasses
import hashlib
import hmac
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from werkzeug.test import TestResponse

from qlmhook.catalog import mappings
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.domain import events
from qlmhook.reports import listings
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.vendors import api, hooks
from qlmhook.vendors.settings import AccountSettings
from qlmhook.vendors.testing import LONGEST, VendorContract, make_notification
from qlmhook.web.app import create_app
from tests.conftest import MAPPING, Clock

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")

URL = "/QlmWebHookHandler?is_vendor=acme&is_user=acme&is_pwd=change-Me1!"


def section(heading: str) -> str:
    """The text under a heading of the page, up to the next heading."""
    parts = re.split(r"^#+ (.+)$", re.sub(r"^(```\w+\n)(.*?)^```$", _fenced, PAGE, flags=re.M | re.S), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading].replace("\0", "#")


def _fenced(block: re.Match[str]) -> str:
    """Hide the comments of code, which look like headings."""
    return block[0].replace("#", "\0")


def code(heading: str, language: str) -> str:
    """The one block of a language under a heading of the page."""
    [block] = re.findall(rf"^```{language}\n(.*?)^```$", section(heading), flags=re.M | re.S)
    return str(block)


PLUGIN = code("A complete example", "python")
TESTS = code("Testing", "python")
ENTRY_POINTS: dict[str, str] = tomllib.loads(code("Packaging", "toml"))["project"]["entry-points"]["qlmhook"]
ACCOUNT: dict[str, Any] = tomllib.loads(code("A complete example", "toml"))["vendors"]["acme"]

Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a source as the module qlmhook_acme, with the entry point of the page."""
    folder = tmp_path / "site"

    def write(source: str) -> Path:
        information = folder / "qlmhook_acme-1.0.dist-info"
        information.mkdir(parents=True)
        points = "".join(f"{name} = {value}\n" for name, value in ENTRY_POINTS.items())
        (information / "METADATA").write_text("Metadata-Version: 2.4\nName: qlmhook-acme\nVersion: 1.0\n", "utf-8")
        (information / "entry_points.txt").write_text(f"[qlmhook]\n{points}", "utf-8")
        (folder / "qlmhook_acme.py").write_text(source, "utf-8")
        monkeypatch.syspath_prepend(str(folder))
        return folder

    yield write
    sys.modules.pop("qlmhook_acme", None)


class AcmeShop:
    """A running service with the account of the page."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        config = folder / "qlmhook.toml"
        account = code("A complete example", "toml")
        config.write_text(f'database = "sqlite:///acme.db"\nworker = false\n{account}', encoding="utf-8")
        self.app = create_app(load_settings({CONFIG_VARIABLE: str(config)}), clock=clock)
        self.service: Service = self.app.extensions["qlmhook"]
        self.clock = clock
        with self.service.database.transaction():
            mappings.save("pid_alpha", MAPPING, now=clock())

    def post(self, body: bytes, *, signature: str, url: str = URL) -> TestResponse:
        headers = {"x-acme-signature": signature}
        return self.app.test_client().post(url, data=body, content_type="application/json", headers=headers)

    def licenses(self) -> list[listings.Row]:
        with self.service.database.reading():
            return listings.licenses(now=self.clock())

    def notifications(self) -> list[listings.Row]:
        with self.service.database.reading():
            return listings.notifications()


@pytest.fixture
def acme(install: Install, tmp_path: Path, clock: Clock) -> Iterator[AcmeShop]:
    install(PLUGIN)
    shop = AcmeShop(tmp_path, clock)
    yield shop
    shop.service.database.close()


def order() -> bytes:
    """The paid order of the page's tests."""
    namespace: dict[str, Any] = {}
    exec(TESTS.partition("class TestAcme")[0], namespace)
    return json.dumps(namespace["ORDER"]).encode()


def signed(octets: bytes) -> str:
    return hmac.new(ACCOUNT["secret_keys"][0].encode(), octets, hashlib.sha256).hexdigest()


def contract() -> VendorContract:
    """The tests of the page, for the plugin that is installed."""
    namespace: dict[str, Any] = {}
    exec(TESTS, namespace)
    made = namespace["TestAcme"]()
    assert isinstance(made, VendorContract)
    return made


def contract_tests() -> list[str]:
    return [name for name in dir(VendorContract) if name.startswith("test_")]


def failures() -> set[str]:
    """The facts of the contract that the installed plugin does not keep."""
    failed = set()
    for name in contract_tests():
        try:
            getattr(contract(), name)()
        except (Exception, pytest.fail.Exception):
            failed.add(name)
    return failed


def test_the_examples_tests_pass_as_an_author_runs_them(install: Install) -> None:
    """The page's test module passes under pytest, with warnings as errors."""
    folder = install(PLUGIN)
    (folder / "test_acme.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py"]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )

    assert f"{len(contract_tests())} passed" in run.stdout, run.stdout + run.stderr
    assert run.returncode == 0


def test_a_signed_order_becomes_licenses(acme: AcmeShop) -> None:
    """Each line of the order of the page is licensed, with its quantity and its date."""
    answer = acme.post(order(), signature=signed(order()))

    assert answer.status_code == 200
    assert sorted((row["line"], row["activations"], row["expires_at"]) for row in acme.licenses()) == [
        ("1", 2, "2027-01-01T00:00:00Z"),
        ("2", 1, None),
    ]
    assert {(row["vendor"], row["order_ref"], row["customer"]["email"]) for row in acme.licenses()} == {
        ("acme", "A-1001", "ann@example.com")
    }


def test_the_receipt_goes_out_as_the_plugin_made_it(acme: AcmeShop) -> None:
    """Acme can check the answer's signature."""
    answer = acme.post(order(), signature=signed(order()))
    receipt = json.loads(answer.text)

    assert answer.content_type == "application/json"
    assert receipt["taken"] == acme.clock().isoformat()
    assert receipt["signature"] == signed(receipt["taken"].encode())


def test_a_forged_order_is_refused_and_not_stored(acme: AcmeShop) -> None:
    """A message with another message's signature gets 403."""
    answer = acme.post(order().replace(b"A-1001", b"A-1002"), signature=signed(order()))

    assert answer.status_code == 403
    assert acme.notifications() == []
    assert acme.licenses() == []


def test_an_unreadable_order_is_held(acme: AcmeShop) -> None:
    """A genuine message that the plugin cannot read gets 400, and the operator finds it."""
    body = order().replace(b"A-1001", b"")
    answer = acme.post(body, signature=signed(body))

    assert answer.status_code == 400
    assert [row["state"] for row in acme.notifications()] == ["held"]


def test_a_message_of_an_unknown_kind_is_ignored_with_its_note(acme: AcmeShop) -> None:
    """It gets its receipt, and the listing says why nothing was done."""
    body = order().replace(b"order.paid", b"order.painted")
    answer = acme.post(body, signature=signed(body))

    assert answer.status_code == 200
    assert [(row["state"], row["reason"]) for row in acme.notifications()] == [
        ("ignored", "The event order.painted asks for nothing to be done.")
    ]


def test_make_notification_makes_what_the_service_makes(acme: AcmeShop) -> None:
    """Letter case, content type and arguments arrive in a plugin as `make_notification` spells them."""
    seen: list[api.Notification] = []
    [account] = acme.service.accounts
    verify = account.vendor.verify

    def watched(notification: api.Notification) -> api.Verified:
        seen.append(notification)
        return verify(notification)

    account.vendor.verify = watched  # type: ignore[method-assign]
    answer = acme.post(order(), signature=signed(order()), url=f"{URL}&Source=EU")
    made = make_notification(
        order(),
        content_type="Application/JSON; charset=utf-8",
        headers={"X-ACME-signature": signed(order())},
        arguments={"SOURCE": "EU"},
        received_at=acme.clock(),
    )

    assert answer.status_code == 200
    assert made.headers.items() <= seen[0].headers.items()
    assert dataclasses.replace(seen[0], headers=made.headers) == made


NOISE = 'str(__import__("time").perf_counter_ns())'

BROKEN = {
    "test_an_entry_point_of_the_plugins_name_registers_the_vendor": ('str] = "acme"', 'str] = "umbrella"'),
    "test_the_vendors_names_are_in_lower_case": ('str] = "acme"', 'str] = "Acme"'),
    "test_the_content_type_is_one_that_the_vendor_posts": ('("application/json",)', '("text/xml",)'),
    "test_a_setting_that_does_not_exist_is_named": ("SettingsSchema()", "SettingsSchema(unknown=EXCLUDE)"),
    "test_a_genuine_notification_is_verified": ('endpoint="webhook"', 'endpoint=""'),
    "test_one_changed_byte_is_refused": ("if not matching:", "matching = self._keys\n        if not received:"),
    "test_an_unsigned_notification_is_rejected": (
        "if not matching:",
        "matching = matching or self._keys\n        if 0:",
    ),
    "test_a_notification_signed_with_another_key_is_rejected": ("sign(key, notification.body), rec", "received, rec"),
    "test_without_a_key_the_vendor_is_disabled": ("if not self._keys:", "if 0:"),
    "test_any_key_of_the_settings_may_verify": ("for key in self._keys if", "for key in self._keys[:1] if"),
    "test_rubbish_is_refused": (
        "received = not",
        'assert json.loads(notification.body)["order"]\n        received = not',
    ),
    "test_a_signature_of_strange_letters_is_refused": (
        "sign(key, notification.body), received",
        'sign(key, notification.body).decode(), notification.headers.get("X-Acme-Signature", "")',
    ),
    "test_a_refusal_tells_no_secret": (
        'Rejected("The signature is missing or wrong; check the setting secret_keys.")',
        'Rejected(f"{sign(self._keys[0], notification.body)!r} was expected.")',
    ),
    "test_a_paid_order_is_a_paid_event_with_its_lines": (
        '"order.paid": EventKind.PAID',
        '"order.paid": EventKind.UNDER_REVIEW',
    ),
    "test_the_lines_of_an_order_are_distinct": ('line=str(line["number"])', 'line=line["sku"]'),
    "test_every_product_can_be_mapped": ('product_id=line["sku"]', 'product_id="sku/" + line["sku"]'),
    "test_every_time_is_aware": ('at=data["sent"]', 'at=data["sent"].replace(tzinfo=None)'),
    "test_parsing_depends_on_the_notification_alone": ('order_status=data["event"]', f"order_status={NOISE}"),
    "test_parsing_needs_neither_headers_nor_arguments": (
        'order_status=data["event"]',
        "order_status=str(len(notification.headers))",
    ),
    "test_an_unknown_kind_of_message_is_noted_and_does_nothing": (
        'self.kinds.get(data["event"])',
        'self.kinds[data["event"]]',
    ),
    "test_an_unreadable_message_is_malformed": (
        "raise MalformedNotification(explain(error.messages)) from None",
        "raise",
    ),
    "test_what_is_returned_fits_the_database": ('kind="order"', 'kind="a notification of an order"'),
    "test_the_receipt_is_the_same_at_the_same_time": ("date = now.isoformat()", f"date = {NOISE}"),
    "test_the_receipt_tells_no_secret": ('"signature": signature', '"signature": verified.key.decode()'),
    "test_what_is_logged_tells_no_secret": (
        '"""One Acme account."""',
        '__repr__ = lambda self: f"Acme({self._keys})"',
    ),
}
"""A fault for each fact of the contract: what stands in the example, and what a careless author writes there."""


def test_the_example_keeps_the_contract(install: Install) -> None:
    install(PLUGIN)

    assert failures() == set()


@pytest.mark.parametrize("fact", contract_tests())
def test_the_contract_finds_a_plugin_that_breaks_it(install: Install, fact: str) -> None:
    """Every inherited test fails for a plugin with the fault that it is there for."""
    right, wrong = BROKEN[fact]
    assert PLUGIN.count(right) == 1
    install(PLUGIN.replace(right, wrong))
    importlib.import_module("qlmhook_acme")
    failed = failures()

    assert fact in failed
    assert failed != set(contract_tests())


def headings() -> list[str]:
    return re.findall(r"^#+ `(.+)`$", PAGE, flags=re.M)


def signatures(body: list[ast.stmt]) -> list[str]:
    """The functions of a module or class that are for others, as they are written."""
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return [
        f"{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
        for node in functions
        if node.returns and (node.name == "__init__" or not node.name.startswith("_"))
    ]


def tree(file: str | None) -> ast.Module:
    assert file is not None
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def test_every_hook_and_every_method_has_its_signature_for_a_heading() -> None:
    """The headings are those of hookspecs.py and of the class Vendor, word for word."""
    [vendor_class] = [
        node for node in tree(api.__file__).body if isinstance(node, ast.ClassDef) and node.name == "Vendor"
    ]

    assert headings() == [*signatures(tree(hooks.__file__).body), *signatures(vendor_class.body)]


def rows(heading: str) -> list[str]:
    """What the rows of a section's first column name."""
    return re.findall(r"^\| `(\w+)` \|", section(heading), flags=re.M)


@pytest.mark.parametrize(
    "model",
    [api.Notification, api.Verified, api.Reply, events.Message, events.Item],
    ids=lambda model: model.__name__,
)
def test_every_field_of_the_model_is_explained(model: type[Any]) -> None:
    assert rows(model.__name__) == [field.name for field in dataclasses.fields(model)]


def test_every_field_of_an_event_and_every_kind_of_event_is_explained() -> None:
    fields = [field.name for field in dataclasses.fields(events.Event)]

    assert rows("Event") == [*fields, *(kind.name for kind in events.EventKind)]
    assert [kind for kind in events.EventKind if f"| `{kind.name}` | `{kind.value}` |" not in section("Event")] == []


def test_every_part_of_a_customer_is_named() -> None:
    named = re.findall(r"`(\w+)`", section("Customer").strip().splitlines()[0])

    assert named == [field.name for field in dataclasses.fields(events.Customer)]


def test_every_attribute_of_the_class_is_explained() -> None:
    assert rows("The class") == list(api.Vendor.__annotations__)


def test_every_setting_that_the_service_keeps_for_itself_is_named() -> None:
    named = section("Settings").partition("a plugin does not see them:")[2].partition("\n\n")[0].partition(".")[0]
    fields = [field.name for field in dataclasses.fields(AccountSettings) if field.name != "section"]

    assert re.findall(r"`(\w+)`", named) == fields


def test_every_limit_is_the_databases() -> None:
    """The contract, the page and the tables agree on how long a value may be."""
    limits = {name: min(column_lengths(name)) for name in LONGEST}
    documented = {
        name: int(characters)
        for names, characters in re.findall(r"^\| (`.+) \| (\d+) \|$", section("Longest values"), flags=re.M)
        for name in re.findall(r"`(\w+)`", names)
    }

    assert limits == LONGEST
    assert documented == LONGEST


def column_lengths(name: str) -> Iterator[int]:
    """How long the columns are that hold what a plugin returns under this name."""
    column = {"product_id": "vendor_product_id"}.get(name, name)
    for table in models.TABLES:
        field = getattr(table, column, None)
        if isinstance(field, peewee.CharField):
            yield field.max_length
