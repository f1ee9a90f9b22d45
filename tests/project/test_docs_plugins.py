"""docs/plugins.md: its example is installed and run, and nothing that a plugin can use is missing from it."""

import ast
import dataclasses
import hashlib
import hmac
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Any

import peewee
import pytest
from werkzeug.test import TestResponse

from qlmhook import vendors
from qlmhook.catalog import mappings
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.domain import addresses, events, purchases
from qlmhook.reports import listings
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.vendors import api, form_body, hooks, key_maker
from qlmhook.vendors.settings import AccountSettings
from qlmhook.vendors.testing import LONGEST, Messages, VendorContract, make_notification
from qlmhook.web.app import create_app
from tests.conftest import MAPPING, Clock, OpenPlainShop, PlainShop
from tests.support.installed import installing
from tests.support.shop import event

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

    def post(self, body: bytes, *, signature: str = "", url: str = URL) -> TestResponse:
        headers = {"acme-signature": signature or self.signature(body)}
        return self.app.test_client().post(url, data=body, content_type="application/json", headers=headers)

    def signature(self, body: bytes) -> str:
        """The header of a body that Acme signs now."""
        time = str(int(self.clock().timestamp()))
        return f"t={time},v1={signed(time.encode() + b'.' + body)}"

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


def message(name: str, **changes: object) -> bytes:
    """A message of the page's tests."""
    namespace: dict[str, Any] = {}
    exec(TESTS.replace("from qlmhook_acme import Acme", "Acme = object"), namespace)
    return json.dumps({**namespace[name], **changes}).encode()


def order() -> bytes:
    """The paid order of the page's tests."""
    return message("ORDER")


def signed(octets: bytes) -> str:
    return hmac.new(ACCOUNT["secret_keys"][0].encode(), octets, hashlib.sha256).hexdigest()


def test_the_examples_tests_pass_as_an_author_runs_them(install: Install) -> None:
    """The page's test module passes under pytest, with warnings as errors; what Acme never sends is skipped."""
    folder = install(PLUGIN)
    (folder / "test_acme.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py"]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )

    assert re.search(r"^6[0-9] passed, 7 skipped", run.stdout, flags=re.M), run.stdout + run.stderr
    assert run.returncode == 0


def test_a_signed_order_becomes_licenses(acme: AcmeShop) -> None:
    """Each line of the order of the page is licensed, with its quantity and its date."""
    answer = acme.post(order())

    assert answer.status_code == 200
    assert sorted((row["line"], row["activations"], row["expires_at"]) for row in acme.licenses()) == [
        ("1", 2, "2027-01-01T00:00:00Z"),
        ("2", 3, None),
    ]
    assert {(row["vendor"], row["order_ref"], row["customer"]["email"]) for row in acme.licenses()} == {
        ("acme", "A-1001", "ann@example.com")
    }


def test_a_dispute_under_the_payments_name_suspends_the_order(acme: AcmeShop) -> None:
    """It names no line: all of them are disputed."""
    acme.post(order())
    answer = acme.post(message("REFUND", event="dispute.opened", dispute="D-1"))

    assert answer.status_code == 200
    assert {row["status"] for row in acme.licenses()} == {"suspended"}


def test_a_refund_that_comes_before_its_order_is_held(acme: AcmeShop) -> None:
    """The order that is known under the payment's name sets it free."""
    acme.post(message("REFUND"))
    before = [row["state"] for row in acme.notifications()]
    acme.post(order())

    assert before == ["held"]
    assert [row["state"] for row in acme.notifications() if row["state"] == "held"] == []


def test_a_subscription_that_ended_for_good_ends_its_license_alone(acme: AcmeShop) -> None:
    """The other line of the order has no subscription."""
    acme.post(order())
    acme.post(message("SUBSCRIPTION", state="ended"))

    assert {row["line"]: row["status"] for row in acme.licenses()} == {"1": "expired", "2": "active"}


def test_the_receipt_goes_out_as_the_plugin_made_it(acme: AcmeShop) -> None:
    """Acme can check the answer's signature."""
    answer = acme.post(order())
    receipt = json.loads(answer.text)

    assert answer.content_type == "application/json"
    assert receipt["taken"] == acme.clock().isoformat()
    assert receipt["signature"] == signed(receipt["taken"].encode())


def test_a_forged_order_is_refused_and_not_stored(acme: AcmeShop) -> None:
    """A message with another message's signature gets 403."""
    answer = acme.post(order().replace(b"A-1001", b"A-1002"), signature=acme.signature(order()))

    assert answer.status_code == 403
    assert acme.notifications() == []
    assert acme.licenses() == []


def test_an_unreadable_order_is_held(acme: AcmeShop) -> None:
    """A genuine message that the plugin cannot read gets 400, and the operator finds it."""
    body = order().replace(b"A-1001", b"")
    answer = acme.post(body)

    assert answer.status_code == 400
    assert [row["state"] for row in acme.notifications()] == ["held"]


def test_a_message_of_an_unknown_kind_is_ignored_with_its_note(acme: AcmeShop) -> None:
    """It gets its receipt, and the listing says why nothing was done."""
    body = order().replace(b"order.paid", b"order.painted")
    answer = acme.post(body)

    assert answer.status_code == 200
    assert [(row["state"], row["reason"]) for row in acme.notifications()] == [
        ("ignored", "The event order.painted asks for nothing to be done.")
    ]


KEY_MAKER = code("A key maker", "python")
SOLD = events.Item(line="1", product_id="101")


@pytest.fixture
def numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_plain_shop: OpenPlainShop
) -> Iterator[Callable[[], PlainShop]]:
    """Open a shop whose configuration names the key maker of the page, installed with its entry point."""
    [(name, module)] = tomllib.loads(code("A key maker", "toml"))["project"]["entry-points"]["qlmhook"].items()
    [setting] = re.findall(r"^plugins = \[\"(\w+)\"\]$", section("A key maker"), flags=re.M)
    for install_ in installing(tmp_path, monkeypatch):
        install_(module, KEY_MAKER, points=(name,))
        yield lambda: open_plain_shop(plugins=setting)


@pytest.mark.sqlite
def test_the_key_maker_makes_the_keys_of_a_mapping_that_names_it(numbered: Callable[[], PlainShop]) -> None:
    shop = numbered()
    shop.map("101", MAPPING.replace("is_productid=1", "is_productid=42") + "&is_keymaker=numbered")

    answer = shop.tell(event(events.EventKind.PAID, SOLD))

    with shop.service.database.reading():
        [key] = [row["key"] for row in listings.licenses(now=shop.clock())]
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9]{3}[0-9A-HJKMNP-TV-Z]{22}", key.replace("-", ""))
    assert key.startswith("042")


@pytest.mark.sqlite
def test_where_it_makes_no_key_the_order_is_held_with_its_sentence(numbered: Callable[[], PlainShop]) -> None:
    shop = numbered()
    shop.map("101", MAPPING.replace("is_productid=1", "is_productid=1000") + "&is_keymaker=numbered")

    shop.tell(event(events.EventKind.PAID, SOLD))

    with shop.service.database.reading():
        [reason] = [row["reason"] for row in listings.notifications(state="held")]
    assert reason == (
        "Product 101 gets no key: 1000 has more than three digits. Give the product another is_productid."
    )


def test_make_notification_makes_what_the_service_makes(acme: AcmeShop) -> None:
    """Letter case, content type and arguments arrive in a plugin as `make_notification` spells them."""
    seen: list[api.Notification] = []
    [account] = acme.service.accounts
    verify = account.vendor.verify

    def watched(notification: api.Notification) -> api.Verified:
        seen.append(notification)
        return verify(notification)

    account.vendor.verify = watched  # type: ignore[method-assign]
    answer = acme.post(order(), url=f"{URL}&Source=EU")
    made = make_notification(
        order(),
        content_type="Application/JSON; charset=utf-8",
        headers={"ACME-signature": acme.signature(order())},
        arguments={"SOURCE": "EU"},
        received_at=acme.clock(),
    )

    assert answer.status_code == 200
    assert made.headers.items() <= seen[0].headers.items()
    assert dataclasses.replace(seen[0], headers=made.headers) == made


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


def class_in(file: str | None, name: str) -> ast.ClassDef:
    [found] = [node for node in tree(file).body if isinstance(node, ast.ClassDef) and node.name == name]
    return found


def test_every_method_and_every_hook_has_its_signature_for_a_heading() -> None:
    """The headings are those of the classes Vendor and KeyMaker and of hooks.py, word for word."""
    offered = [
        *signatures(class_in(api.__file__, "Vendor").body),
        *signatures(class_in(key_maker.__file__, "KeyMaker").body),
        *signatures(tree(hooks.__file__).body),
    ]

    assert headings() == offered


def test_every_name_that_a_plugin_may_import_is_named() -> None:
    named = re.findall(r"`(\w+)`", section("What a plugin is").partition("| what is in it |")[2])

    assert {name for name in named if name in dir(vendors)} == set(vendors.__all__)


def test_every_word_that_is_written_already_is_told_with_its_arguments() -> None:
    """Those that stand in the rows can be called so."""
    told = re.findall(r"^\| `(\w+)\(([^)]*)\)` \|", section("What is written already"), flags=re.M)

    assert len(told) > 3
    for name, arguments in told:
        inspect.signature(getattr(vendors, name)).bind(*arguments.split(", "))


def rows(heading: str) -> list[str]:
    """What the rows of a section's first column name."""
    return re.findall(r"^\| `(\w+)` \|", section(heading), flags=re.M)


def defaults(heading: str) -> dict[str, str]:
    """The second column of a section's tables, by the first."""
    return dict(re.findall(r"^\| `(\w+)` \| (\S[^|]*?) \|", section(heading), flags=re.M))


MODELS = [
    api.Notification,
    api.Verified,
    api.Reply,
    api.Outcome,
    api.IssuedLicense,
    api.Answer,
    events.Message,
    events.Event,
    events.Item,
    events.Standing,
    key_maker.KeyRequest,
]


def spelled(field: "dataclasses.Field[Any]") -> str:
    """A field's default as the page spells it."""
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if default is dataclasses.MISSING:
        return "required"
    if default == events.Customer():
        return "`Customer()`"
    return "`" + repr(default).replace("'", '"') + "`"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_of_the_model_is_explained_with_its_default(model: type[Any]) -> None:
    told = defaults(model.__name__)
    fields = {field.name: spelled(field) for field in dataclasses.fields(model)}

    assert {name: told.get(name) for name in fields} == fields
    assert model is events.Event or list(told) == list(fields)


def test_every_kind_of_event_is_explained() -> None:
    fields = [field.name for field in dataclasses.fields(events.Event)]

    assert rows("Event")[: len(fields) + len(events.EventKind)] == [*fields, *(kind.name for kind in events.EventKind)]
    assert [kind for kind in events.EventKind if f"| `{kind.name}` | `{kind.value}` |" not in section("Event")] == []


def test_every_message_of_the_contract_suite_is_explained() -> None:
    """Those that an author must hand in are marked so."""
    fields = dataclasses.fields(Messages)
    required = [field.name for field in fields if field.default is dataclasses.MISSING]
    told = defaults("Testing")

    assert {field.name for field in fields} - set(told) == set()
    assert [name for name in told if told[name].startswith("required:")] == ["paid", *required[1:]]


def test_everything_that_an_author_may_override_is_explained() -> None:
    offered = {name for name in dir(VendorContract) if not name.startswith(("_", "test_"))}
    named = set(re.findall(r"`(\w+)[`(]", section("Testing")))

    assert offered | {"vendor_class", "key"} <= named | {"make_vendor"}


def test_every_part_of_a_customer_is_named() -> None:
    named = re.findall(r"`(\w+)`", section("Customer").strip().splitlines()[0])

    assert named == [field.name for field in dataclasses.fields(events.Customer)]


def test_every_attribute_of_the_class_is_explained() -> None:
    assert rows("The class") == list(api.Vendor.__annotations__)
    assert defaults("The class") == {name: default_of_attribute(name) for name in api.Vendor.__annotations__}


def default_of_attribute(name: str) -> str:
    if not hasattr(api.Vendor, name):
        return "required"
    default = getattr(api.Vendor, name)
    told = str(default) if isinstance(default, tzinfo) else repr(default).replace(repr(form_body.FORM), "FORM")
    return "`" + told.replace("'", '"') + "`"


def test_every_setting_that_the_service_keeps_for_itself_is_named() -> None:
    named = section("Settings").partition("a plugin does not see them:")[2].partition("\n\n")[0].partition(".")[0]
    fields = [field.name for field in dataclasses.fields(AccountSettings) if field.name != "section"]

    assert re.findall(r"`(\w+)`", named) == fields


WITHOUT_A_COLUMN = {"case_ref", "general_ids"}
"""What is kept inside a fact's JSON."""


def test_every_limit_is_the_databases() -> None:
    """The contract, the page and the tables agree on how long a value may be."""
    limits = {name: min(column_lengths(name)) for name in LONGEST.keys() - WITHOUT_A_COLUMN}
    documented = {
        name: int(characters)
        for names, characters in re.findall(r"^\| (`.+) \| (\d+) \|$", section("Longest values"), flags=re.M)
        for name in re.findall(r"`(\w+)`", names)
    }

    assert limits.items() <= LONGEST.items()
    assert documented == LONGEST


def test_the_other_limits_are_the_services() -> None:
    limits = section("Longest values")

    assert f"more than {purchases.MAX_QUANTITY:,} units" in limits
    assert f"more than {purchases.MAX_KEYS:,} where" in limits
    assert f"has more than {addresses.LONGEST} characters" in section("Customer")
    assert f"{form_body.MAX_FIELDS:,} fields and {form_body.MAX_VALUE // 1024} KiB" in section(
        "The life of a notification"
    )
    assert f"{form_body.MAX_BODY // 1024**2} MiB" in section("The life of a notification")


def column_lengths(name: str) -> Iterator[int]:
    """How long the columns are that hold what a plugin returns under this name."""
    if name == "also_known_as":
        yield models.OrderName.name.max_length
    column = {"product_id": "vendor_product_id"}.get(name, name)
    for table in models.TABLES:
        field = getattr(table, column, None)
        if isinstance(field, peewee.CharField):
            yield field.max_length
