"""Checks of what the service sees of a plugin before a notification comes."""

import re
from ipaddress import ip_network

import pytest

from qlmhook.errors import ConfigurationError
from qlmhook.vendors.api import Vendor
from qlmhook.vendors.loader import Plugins
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, expect_none

_NAME = re.compile(r"[a-z0-9_-]+")


class Installation(PluginUnderTest):
    """A plugin is found, and its class says what the service has to know."""

    def test_an_entry_point_of_the_plugins_name_registers_the_vendor(self) -> None:
        """The plugin is found by the name that a configuration gives."""
        name = self.vendor_class.plugin
        plugins, registered, problem = Plugins(), list[type[Vendor]](), ""
        try:
            plugins.load([name])
            registered = list(plugins.vendors().values())
        except ConfigurationError as error:
            problem = str(error)

        assert self.vendor_class in registered, (
            f"No entry point {name!r} in the group `qlmhook` leads to a module whose register_vendors() returns "
            f"{self.vendor_class.__name__}: write it into the package's metadata, and install the package. "
            f"{problem}"
        )

    def test_the_vendors_names_are_in_lower_case(self) -> None:
        """Names are compared without letter case, so the plugin spells its own in one way."""
        names = (self.vendor_class.plugin, *self.vendor_class.aliases)

        expect_none(
            f"The name {name!r} needs lower-case letters, digits, - and _ alone: change `plugin` or `aliases`."
            for name in names
            if not _NAME.fullmatch(name)
        )

    def test_the_content_type_is_one_that_the_vendor_posts(self) -> None:
        """The service answers every other content type with 415."""
        types = self.vendor_class.content_types

        expect_none(
            f"The message `{name}` is {notification.content_type!r}, which content_types, {types}, does not have: the "
            "service would refuse it."
            for name, notification in self._notifications().items()
            if notification.content_type not in types
        )

    def test_the_published_sources_are_networks(self) -> None:
        """They are compared with the address that a request comes from."""
        expect_none(
            f"{source!r} in published_sources is no network: write it like 192.0.2.0/24."
            for source in self.vendor_class.published_sources
            if not _is_network(source)
        )

    def test_a_setting_that_does_not_exist_is_named(self) -> None:
        """A misspelt setting stops the start-up with a sentence that names its section and its key."""
        told = ""
        try:
            self.vendor_class("shop", {**self.settings(self.key), "no_such_setting": "1"})
        except ConfigurationError as error:
            told = str(error)

        assert "vendors.shop.no_such_setting" in told, (
            "A setting that does not exist must raise a ConfigurationError that names it in full, as "
            f"`vendors.shop.no_such_setting`; load_section does that with a schema. It said: {told!r}."
        )

    def test_every_key_is_shown_under_a_name(self) -> None:
        """The operator sees when each key was last used, and can remove an old one."""
        vendor = self.make_vendor(self.key, self.other_key)
        keys = vendor.keys()
        used = [verified.key for verified in map(self._verified, self._notifications().values()) if verified]
        if not used:
            pytest.skip("No message is verified, which another check says.")

        assert all(key in keys.values() for key in used), (
            "keys() lacks the key that verified a message: return each configured key, as bytes, under a name."
        )
        assert len(keys) > 1, "keys() names fewer keys than the settings have: return all, each under its own name."
        assert not any(self.key in name or self.other_key in name for name in keys), (
            "A name in keys() tells the secret: call it by its place in the settings, such as `secrets[0]`."
        )


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
