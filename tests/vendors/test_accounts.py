"""The configured vendors, with plugins that are really installed: modules with entry points on sys.path."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qlmhook.errors import ConfigurationError, UnknownVendor, VendorDisabled
from qlmhook.vendors.accounts import Accounts, load_accounts
from qlmhook.vendors.settings import AccountSettings

Install = Callable[..., None]

HEADER = """
from qlmhook.errors import ConfigurationError
from qlmhook.vendors import hookimpl
from qlmhook.vendors import Vendor


class Shop(Vendor):
    def __init__(self, name, settings):
        if "typo" in settings:
            raise ConfigurationError(f"vendors.{name}.typo: there is no such setting.")
        self.name, self.settings = name, settings

    def verify(self, notification):
        raise NotImplementedError

    def parse(self, notification):
        raise NotImplementedError

    def receipt(self, notification, verified, outcome):
        raise NotImplementedError
"""


def plugin(*vendors: str, aliases: tuple[str, ...] = (), hook: str = "register_vendors") -> str:
    """The source of a plugin that registers vendor classes of these names."""
    classes = ", ".join(f"type('V', (Shop,), {{'plugin': {name!r}, 'aliases': {aliases!r}}})" for name in vendors)
    return f"{HEADER}\n\n@hookimpl\ndef {hook}():\n    return [{classes}]\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a module, as pip would, with entry points of these names (by default the module's own)."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    modules: list[str] = []

    def install_(module: str, source: str, *, points: tuple[str, ...] = ()) -> None:
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        information = folder / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
        lines = "\n".join(f"{point} = {module}" for point in points or (module,))
        (information / "entry_points.txt").write_text(f"[qlmhook]\n{lines}\n", "utf-8")
        importlib.invalidate_caches()
        modules.append(module)

    yield install_
    for module in modules:
        sys.modules.pop(module, None)


def section(plugin: str, *, enabled: bool = True, **settings: str) -> AccountSettings:
    return AccountSettings(
        plugin=plugin,
        enabled=enabled,
        user="",
        password="",
        sources=[],
        test_orders="issue",
        revoke_on_refund=False,
        revoke_on_cancel=False,
        section=settings,
    )


def names(accounts: Accounts) -> list[str]:
    return [account.name for account in accounts]


def test_each_section_becomes_an_account_with_its_own_settings(install: Install) -> None:
    """One plugin serves two merchant accounts."""
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"First": section("shoplet", key="1"), "second": section("shoplet", key="2")})

    assert names(accounts) == ["First", "second"]
    assert [vars(account.vendor) for account in accounts] == [
        {"name": "First", "settings": {"key": "1"}},
        {"name": "second", "settings": {"key": "2"}},
    ]


def test_an_installed_plugin_that_is_not_configured_is_not_even_imported(install: Install) -> None:
    """The built-in plugin comes through the same door."""
    install("shoplet", "raise AssertionError('imported')")

    assert names(load_accounts({"avangate": section("avangate")})) == ["avangate"]


def test_a_plugin_that_is_not_installed_is_named_with_those_that_are(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    with pytest.raises(ConfigurationError, match=r"'shoplit' is not installed \(installed: .*\bshoplet\b"):
        load_accounts({"first": section("shoplit")})


def test_a_misspelt_hook_stops_the_start(install: Install) -> None:
    install("shoplet", plugin("shoplet", hook="register_vendor"))

    with pytest.raises(ConfigurationError, match=r"hook that does not exist: .*register_vendor"):
        load_accounts({"first": section("shoplet")})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(("alpha", "same"), ("beta", "same"), id="of two plugins"),
        pytest.param(("alpha", "same", "same"), ("beta",), id="of one plugin"),
    ],
)
def test_two_vendors_of_one_name_stop_the_start(
    install: Install, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    install("alpha", plugin(*first))
    install("beta", plugin(*second))

    with pytest.raises(ConfigurationError, match="Two plugins register a vendor named 'same'"):
        load_accounts({"a": section("alpha"), "b": section("beta")})


def test_a_plugin_must_register_a_vendor_of_the_name_it_is_configured_by(install: Install) -> None:
    install("shoplet", plugin("other"))

    with pytest.raises(ConfigurationError, match=r"^vendors\.first\.plugin: the plugin 'shoplet' registers no vendor"):
        load_accounts({"first": section("shoplet")})


def test_a_setting_that_a_plugin_refuses_stops_the_start(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    with pytest.raises(ConfigurationError, match=r"vendors\.first\.typo"):
        load_accounts({"first": section("shoplet", typo="x")})


@pytest.mark.parametrize("is_vendor", ["Main", "MAIN", "shoplet", "ShopLet", "shop-let", "SHOP-LET", ""])
def test_an_account_is_found_by_its_name_its_plugin_and_its_aliases_in_any_case(
    install: Install, is_vendor: str
) -> None:
    """Without is_vendor the default counts."""
    install("shoplet", plugin("shoplet", aliases=("Shop-Let",)))

    accounts = load_accounts({"Main": section("shoplet")}, default="maiN")

    assert accounts.find(is_vendor).name == "Main"


@pytest.mark.parametrize("is_vendor", ["other", ""])
def test_a_name_that_nobody_has_is_refused(is_vendor: str) -> None:
    accounts = load_accounts({"avangate": section("avangate")})

    with pytest.raises(UnknownVendor):
        accounts.find(is_vendor)


def test_the_plugins_name_means_the_first_of_its_accounts(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"second": section("shoplet"), "first": section("shoplet")})

    assert accounts.find("shoplet").name == "second"


def test_an_accounts_own_name_counts_before_an_alias(install: Install) -> None:
    install("shoplet", plugin("shoplet", aliases=("beta",)))

    accounts = load_accounts({"alpha": section("shoplet"), "beta": section("shoplet")})

    assert accounts.find("beta").name == "beta"


def test_a_disabled_account_takes_nothing_but_still_owns_its_rows(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"Main": section("shoplet", enabled=False)})

    assert accounts.named("MAIN").name == "Main"
    with pytest.raises(VendorDisabled):
        accounts.find("main")


def test_rows_belong_to_an_account_by_its_own_name_alone(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"Main": section("shoplet")}, default="Main")

    with pytest.raises(ConfigurationError, match=r"\[vendors\.shoplet\]"):
        accounts.named("shoplet")
