"""Who makes the keys: what a mapping chooses, from the property to the license."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

from qlmhook.catalog import mappings
from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE
from qlmhook.domain.events import EventKind, Item
from qlmhook.errors import ConfigurationError, KeyNotMade
from qlmhook.reports import listings
from qlmhook.vendors.key_maker import KeyMaker, KeyRequest
from tests.conftest import MAPPING, OpenPlainShop, PlainShop
from tests.support.installed import Install, hook
from tests.support.made import ANN, day
from tests.support.shop import event

pytestmark = pytest.mark.sqlite
"""What is asked here does not depend on the engine."""


POOLED = (
    f"{MAPPING}&is_keymaker=pool&is_productname=Alpha&is_features=0:3&is_expduration=30&is_numberofactivationsperkey=2"
)
UNKNOWN = (
    "is_keymaker is 'pool'; meant is one of those that are loaded: random. A plugin that brings another is named in "
    "the setting `plugins`."
)
SOLD = Item(line="1", product_id="101", quantity=3)


class Pool(KeyMaker):
    """Hands out the keys that a test puts in, and remembers what it was asked for."""

    name = "pool"
    left: ClassVar[list[str]] = []
    asked: ClassVar[list[KeyRequest]] = []

    def make(self, request: KeyRequest) -> str:
        self.asked.append(request)
        if not self.left:
            raise KeyNotMade("the pool is empty. Fill it.")
        return self.left.pop(0)


Run = Callable[..., Result]

PLUGIN = hook("register_key_makers", "[Pool]", before=f"from {__name__} import Pool")
"""A plugin that serves no shop."""


@pytest.fixture
def pool(install: Install, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an installed plugin that brings the pool and nothing else."""
    monkeypatch.setattr(Pool, "left", [])
    monkeypatch.setattr(Pool, "asked", [])
    install("pool", PLUGIN)
    return "pool"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the shop's configuration."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "qlmhook.toml"))
    return lambda *arguments: CliRunner().invoke(commands, arguments)


def shown(shop: PlainShop, kind: str = "license") -> list[str]:
    """The keys of the licenses, or why notifications are held."""
    with shop.service.database.reading():
        if kind == "license":
            return [row["key"] for row in listings.licenses(now=shop.clock())]
        return [row["reason"] for row in listings.notifications(state="held")]


def buy(shop: PlainShop, item: Item = SOLD) -> None:
    assert shop.tell(event(EventKind.PAID, item)).status_code == 200


def replay(shop: PlainShop) -> None:
    shop.service.intake.replay(1)


def test_a_mapping_that_names_none_gets_its_keys_from_random(plain_shop: PlainShop) -> None:
    plain_shop.map("101")

    buy(plain_shop)

    assert [len(key) for key in shown(plain_shop)] == [30]


def test_a_mapping_chooses_the_key_maker(open_plain_shop: OpenPlainShop, pool: str) -> None:
    shop = open_plain_shop(plugins=pool)
    Pool.left[:] = ["P123456789"]
    shop.map("101", POOLED)

    buy(shop)

    assert shown(shop) == ["P1234-56789"]


def test_a_key_maker_is_told_what_the_key_is_for(open_plain_shop: OpenPlainShop, pool: str) -> None:
    shop = open_plain_shop(plugins=pool)
    Pool.left[:] = ["P1"]
    shop.map("101", POOLED)

    buy(shop)

    assert Pool.asked == [
        KeyRequest(
            license_model="subscription",
            product_id=1,
            major_version=1,
            minor_version=0,
            product_name="Alpha",
            features="0:3",
            quantity=3,
            activations=6,
            issued_at=day(0),
            expires_at=(day(30) + timedelta(hours=11, minutes=59, seconds=59)),
            customer=ANN,
            vendor="plain",
            order_ref="1",
            line="1",
        )
    ]


def test_without_a_key_the_order_is_held_until_there_is_one(open_plain_shop: OpenPlainShop, pool: str) -> None:
    shop = open_plain_shop(plugins=pool)
    shop.map("101", POOLED)
    buy(shop)
    assert shown(shop, "held") == ["Product 101 gets no key: the pool is empty. Fill it."]

    Pool.left[:] = ["P1"]
    replay(shop)

    assert (shown(shop), shown(shop, "held")) == (["P1"], [])


def test_of_several_keys_none_is_kept_when_one_is_missing(open_plain_shop: OpenPlainShop, pool: str) -> None:
    shop = open_plain_shop(plugins=pool)
    Pool.left[:] = ["P1", "P2"]
    shop.map("101", f"{POOLED}&is_usemultipleactivationskey=false")

    buy(shop)

    assert shown(shop) == []


@pytest.mark.parametrize("key", ["", "P-1", "p1", "PO1", "P" * 65, "P\u00c9"])
def test_a_key_that_nobody_can_type_back_is_refused(open_plain_shop: OpenPlainShop, pool: str, key: str) -> None:
    shop = open_plain_shop(plugins=pool)
    Pool.left[:] = [key]
    shop.map("101", POOLED)

    buy(shop)

    assert shown(shop, "held") == [
        "Product 101 gets no key: the key maker 'pool' made one that cannot be typed. A key has up to 64 capital "
        "letters and digits, behind the first without I, L and O."
    ]


def test_an_order_is_held_whose_key_maker_is_gone(plain_shop: PlainShop) -> None:
    plain_shop.map("101", POOLED)

    buy(plain_shop)

    assert shown(plain_shop, "held") == [
        "Product 101 gets no key: the key maker 'pool' of its mapping is not loaded (loaded: random). Install the "
        "plugin that brings it and name that in the setting `plugins`, or name another key maker with is_keymaker."
    ]


def test_another_key_maker_in_the_mapping_frees_it(plain_shop: PlainShop) -> None:
    plain_shop.map("101", POOLED)
    buy(plain_shop)

    with plain_shop.service.database.transaction():
        mappings.save("pid_101", MAPPING, now=plain_shop.clock())
    for notification_id in plain_shop.service.intake.freed_by(["pid_101"]):
        plain_shop.service.intake.replay(notification_id)

    assert (len(shown(plain_shop)), shown(plain_shop, "held")) == (1, [])


def test_a_license_that_is_renewed_keeps_its_key_although_its_key_maker_is_gone(
    open_plain_shop: OpenPlainShop, pool: str
) -> None:
    shop = open_plain_shop(plugins=pool)
    Pool.left[:] = ["P1"]
    shop.map("101", POOLED)
    subscribed = Item(line="1", product_id="101", subscription_ref="S", expires_at=day(30))
    buy(shop, subscribed)
    later = open_plain_shop()

    renewal = Item(line="1", product_id="101", subscription_ref="S", expires_at=day(60))
    answer = later.tell(event(EventKind.PAID, renewal, order="2", on=30))

    assert (answer.status_code, shown(later), shown(later, "held")) == (200, ["P1"], [])


@pytest.mark.parametrize(("name", "value"), [("pid_101", POOLED), ("common", "is_keymaker=pool")])
def test_a_property_that_names_no_key_maker_that_is_there_is_not_stored(
    plain_shop: PlainShop, run: Run, name: str, value: str
) -> None:
    result = run("property", "set", name, value)

    assert str(result.exception) == UNKNOWN
    with plain_shop.service.database.reading():
        assert mappings.every() == []


def test_a_stored_property_whose_key_maker_is_gone_is_told(plain_shop: PlainShop, run: Run) -> None:
    plain_shop.map("101", POOLED)

    result = run("property", "check")

    assert f"pid_101: {UNKNOWN}" in result.output


def test_a_key_maker_of_the_name_of_the_built_in_one_stops_the_start(
    open_plain_shop: OpenPlainShop, install: Install
) -> None:
    install("second", PLUGIN.replace("[Pool]", "[type('Random', (Pool,), {'name': 'random'})]"))

    with pytest.raises(ConfigurationError, match="Two plugins register a key maker named 'random'"):
        open_plain_shop(plugins="second")


def test_an_installed_key_maker_serves_once_its_plugin_is_named(
    open_plain_shop: OpenPlainShop, pool: str, run: Run, tmp_path: Path
) -> None:
    """From the line in the configuration by way of the command line to the license."""
    open_plain_shop()
    config = tmp_path / "qlmhook.toml"
    before = run("property", "set", "pid_101", POOLED)
    config.write_text(f'plugins = ["{pool}"]\n{config.read_text(encoding="utf-8")}', encoding="utf-8")
    after = run("property", "set", "pid_101", POOLED)
    shop = open_plain_shop(plugins=pool)
    Pool.left[:] = ["P123456789"]

    buy(shop)

    assert (before.exit_code, after.exit_code) == (1, 0)
    assert shown(shop) == ["P1234-56789"]
