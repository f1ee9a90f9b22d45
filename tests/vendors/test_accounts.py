"""The configured vendors, with plugins that are really installed: modules with entry points on sys.path."""

import pytest

from qlmhook.errors import ConfigurationError, UnknownVendor, VendorDisabled
from qlmhook.vendors.accounts import Accounts, load_accounts
from qlmhook.vendors.loader import Plugins
from tests.support.installed import Install, plugin
from tests.support.sections import section


def names(accounts: Accounts) -> list[str]:
    return [account.name for account in accounts]


def test_each_section_becomes_an_account_with_its_own_settings(install: Install) -> None:
    """One plugin serves two merchant accounts."""
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"First": section("shoplet", key="1"), "second": section("shoplet", key="2")}, Plugins())

    assert names(accounts) == ["First", "second"]
    assert [vars(account.vendor) for account in accounts] == [
        {"name": "First", "settings": {"key": "1"}},
        {"name": "second", "settings": {"key": "2"}},
    ]


def test_an_installed_plugin_that_is_not_configured_is_not_even_imported(install: Install) -> None:
    """The built-in plugin comes through the same door."""
    install("shoplet", "raise AssertionError('imported')")

    assert names(load_accounts({"avangate": section("avangate")}, Plugins())) == ["avangate"]


def test_a_plugin_that_is_not_installed_is_named_with_those_that_are(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    with pytest.raises(ConfigurationError, match=r"'shoplit' is not installed \(installed: .*\bshoplet\b"):
        load_accounts({"first": section("shoplit")}, Plugins())


def test_a_misspelt_hook_stops_the_start(install: Install) -> None:
    install("shoplet", plugin("shoplet", hook="register_vendor"))

    with pytest.raises(ConfigurationError, match=r"hook that does not exist: .*register_vendor"):
        load_accounts({"first": section("shoplet")}, Plugins())


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
        load_accounts({"a": section("alpha"), "b": section("beta")}, Plugins())


def test_a_plugin_must_register_a_vendor_of_the_name_it_is_configured_by(install: Install) -> None:
    install("shoplet", plugin("other"))

    with pytest.raises(ConfigurationError, match=r"^vendors\.first\.plugin: the plugin 'shoplet' registers no vendor"):
        load_accounts({"first": section("shoplet")}, Plugins())


def test_a_setting_that_a_plugin_refuses_stops_the_start(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    with pytest.raises(ConfigurationError, match=r"vendors\.first\.typo"):
        load_accounts({"first": section("shoplet", typo="x")}, Plugins())


@pytest.mark.parametrize("is_vendor", ["Main", "MAIN", "shoplet", "ShopLet", "shop-let", "SHOP-LET", ""])
def test_an_account_is_found_by_its_name_its_plugin_and_its_aliases_in_any_case(
    install: Install, is_vendor: str
) -> None:
    """Without is_vendor the default counts."""
    install("shoplet", plugin("shoplet", aliases=("Shop-Let",)))

    accounts = load_accounts({"Main": section("shoplet")}, Plugins(), default="maiN")

    assert accounts.find(is_vendor).name == "Main"


def test_a_name_that_nobody_has_is_refused() -> None:
    accounts = load_accounts({"avangate": section("avangate")}, Plugins())

    with pytest.raises(UnknownVendor):
        accounts.find("other")


@pytest.mark.parametrize(
    ("enabled", "meant"), [((False, True, True), "two"), ((True, True, False), "one"), ((False, False, True), "three")]
)
def test_without_a_default_the_first_enabled_account_is_meant(
    install: Install, enabled: tuple[bool, ...], meant: str
) -> None:
    install("shoplet", plugin("shoplet"))

    names = zip(["one", "two", "three"], enabled, strict=True)
    accounts = load_accounts({name: section("shoplet", enabled=is_on) for name, is_on in names}, Plugins())

    assert accounts.find("").name == meant


def test_without_a_default_and_an_enabled_account_the_service_says_that_it_is_disabled(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"one": section("shoplet", enabled=False)}, Plugins())

    with pytest.raises(VendorDisabled):
        accounts.find("")


def test_without_any_account_nobody_is_meant() -> None:
    with pytest.raises(UnknownVendor):
        load_accounts({}, Plugins()).find("")


def test_the_plugins_name_means_the_first_of_its_accounts(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"second": section("shoplet"), "first": section("shoplet")}, Plugins())

    assert accounts.find("shoplet").name == "second"


def test_an_accounts_own_name_counts_before_an_alias(install: Install) -> None:
    install("shoplet", plugin("shoplet", aliases=("beta",)))

    accounts = load_accounts({"alpha": section("shoplet"), "beta": section("shoplet")}, Plugins())

    assert accounts.find("beta").name == "beta"


def test_a_disabled_account_takes_nothing_but_still_owns_its_rows(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"Main": section("shoplet", enabled=False)}, Plugins())

    assert accounts.named("MAIN").name == "Main"
    with pytest.raises(VendorDisabled):
        accounts.find("main")


def test_rows_belong_to_an_account_by_its_own_name_alone(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    accounts = load_accounts({"Main": section("shoplet")}, Plugins(), default="Main")

    with pytest.raises(ConfigurationError, match=r"\[vendors\.shoplet\]"):
        accounts.named("shoplet")
