"""Plugins that are installed, loaded and asked what they bring; one that is wrong is named."""

import sys

import pytest

from qlmhook.errors import ConfigurationError
from qlmhook.vendors.loader import Plugins
from tests.support.installed import Install, hook, plugin


def load(*names: str) -> Plugins:
    plugins = Plugins()
    plugins.load(names)
    return plugins


def test_a_plugin_is_loaded_once_however_often_it_is_asked_for(install: Install) -> None:
    install("shoplet", plugin("shoplet"))

    plugins = load("shoplet", "shoplet")
    plugins.load(["shoplet"])

    assert plugins.names() == ["shoplet"]
    assert list(plugins.vendors()) == ["shoplet"]


def test_one_module_may_have_an_entry_point_for_each_of_its_vendors(install: Install) -> None:
    install("twins", plugin("castor", "pollux"), points=("castor", "pollux"))

    assert list(load("castor", "pollux").vendors()) == ["castor", "pollux"]


def test_two_packages_with_a_plugin_of_one_name_are_both_named(install: Install) -> None:
    install("alpha", plugin("same"), points=("same",))
    install("beta", plugin("same"), points=("same",))

    with pytest.raises(ConfigurationError, match=r"Two installed packages have a plugin named 'same': alpha and beta;"):
        load("same")


def test_two_key_makers_of_one_name_are_told_with_their_plugins(install: Install) -> None:
    for name in ("alpha", "beta"):
        install(name, hook("register_key_makers", "[type('Maker', (), {'name': 'short'})]"))

    with pytest.raises(ConfigurationError, match=r"register a key maker named 'short': 'alpha' and 'beta'\."):
        load("alpha", "beta").key_makers()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "raise RuntimeError('out of\\norder')",
            r"^The plugin 'shoplet' cannot be loaded: RuntimeError: out of order\.$",
        ),
        ("import sys\nsys.exit(3)", r"^The plugin 'shoplet' cannot be loaded: SystemExit: 3\.$"),
        ("import no_such_module", r"^The plugin 'shoplet' cannot be loaded: ModuleNotFoundError: .*no_such_module"),
        (
            "from qlmhook.vendors import hookimpl\n@hookimpl\ndef register_vendors(shop): return []",
            r"^The plugin 'shoplet' cannot be loaded: PluginValidationError: .*Argument\(s\) {'shop'}",
        ),
        (
            plugin("shoplet", hook="register_vendor"),
            r"^The plugin 'shoplet' implements a hook that does not exist: unknown hook 'register_vendor'",
        ),
    ],
    ids=["raises", "ends the process", "lacks a module", "has an argument", "misspells a hook"],
)
def test_a_plugin_that_does_not_load_is_named_and_not_kept(install: Install, source: str, sentence: str) -> None:
    """Those that are loaded besides go on."""
    install("shoplet", source)
    install("alpha", plugin("alpha"))
    plugins = load("alpha")

    with pytest.raises(ConfigurationError, match=sentence):
        plugins.load(["shoplet"])

    plugins.load(["alpha"])
    assert plugins.names() == ["alpha"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (hook("register_vendors", "[1 / 0]"), r"^The plugin 'shoplet' fails in register_vendors: ZeroDivisionError"),
        (
            hook("register_vendors", "__import__('sys').exit(3)"),
            r"^The plugin 'shoplet' fails in register_vendors: SystemExit: 3\.$",
        ),
        (hook("register_vendors", "Shop"), r"^The plugin 'shoplet' fails in register_vendors: TypeError"),
        (hook("register_vendors", "[Shop]"), r"^The vendor class Shop of the plugin 'shoplet' lacks its name or one"),
        (hook("register_vendors", "[Vendor]"), r"^The vendor class Vendor of the plugin 'shoplet' lacks its name"),
        (hook("register_vendors", "['Shop']"), r"^The vendor class 'Shop' of the plugin 'shoplet' lacks its name"),
    ],
    ids=["raises", "ends the process", "returns no list", "names no vendor", "leaves methods out", "returns no class"],
)
def test_a_plugin_that_brings_what_cannot_be_used_is_named(install: Install, source: str, sentence: str) -> None:
    install("shoplet", source)

    with pytest.raises(ConfigurationError, match=sentence):
        load("shoplet").vendors()


def test_a_function_without_the_marker_is_no_hook(install: Install) -> None:
    install("shoplet", "def register_vendors():\n    return [1]\n")

    assert load("shoplet").vendors() == {}


def test_everything_that_is_installed_is_loaded_but_what_is_broken(install: Install) -> None:
    """Each complaint names its plugin."""
    install("alpha", plugin("alpha"))
    install("broken", "1 / 0")
    plugins = Plugins()

    complaints = plugins.load_installed()

    assert [str(error).partition(":")[0] for error in complaints] == ["The plugin 'broken' cannot be loaded"]
    assert {"alpha", "avangate"} <= set(plugins.names())


def test_a_built_in_part_comes_through_the_same_hooks(install: Install) -> None:
    """It is asked before those that are installed, and being added twice changes nothing."""
    install("shoplet", plugin("shoplet"))
    install("inside", plugin("inside"))
    sys.modules.pop("inside", None)
    __import__("inside")
    plugins = Plugins()

    for _ in range(2):
        plugins.add("qlmhook", sys.modules["inside"])
    plugins.load(["shoplet"])

    assert list(plugins.vendors()) == ["inside", "shoplet"]
