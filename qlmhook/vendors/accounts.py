"""The configured vendors, collected once at start-up."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from qlmhook.errors import ConfigurationError, SourceRefused, UnknownVendor, VendorDisabled
from qlmhook.vendors.api import Vendor
from qlmhook.vendors.loader import Plugins
from qlmhook.vendors.settings import AccountSettings


@dataclass(frozen=True, kw_only=True)
class Account:
    """A configured instance: the section's name, what the core was told about it, and the plugin's object.

    The name is spelled as the stored rows spell it, where there are some.
    """

    name: str
    settings: AccountSettings
    vendor: Vendor

    def refuse_stranger(self, source: str) -> None:
        """Raise SourceRefused unless the address is in a network of the setting `sources`, where there is one."""
        networks = [
            network
            for entry in self.settings.sources
            for network in (map(ip_network, self.vendor.published_sources) if isinstance(entry, str) else [entry])
        ]
        if self.settings.sources and not any(_contains(network, source) for network in networks):
            raise SourceRefused("Notifications are not taken from this address.")


class Accounts:
    """The accounts by the names that is_vendor may carry: the instance's own, then its plugin's.

    `stored` are the names of accounts that the database has rows of; `strays` are those of them that no section
    stands for any more.
    """

    def __init__(self, accounts: Iterable[Account], *, default: str = "", stored: Iterable[str] = ()) -> None:
        self._stored = list(stored)
        spelled = [replace(account, name=self._spelling(account.name)) for account in accounts]
        self._accounts = {account.name.lower(): account for account in spelled}
        self.strays = [name for name in self._stored if name not in {account.name for account in spelled}]
        self._by_name = dict(self._accounts)
        for account in sorted(self._accounts.values(), key=lambda account: not account.settings.enabled):
            for alias in (account.vendor.plugin, *account.vendor.aliases):
                self._by_name.setdefault(alias.lower(), account)
        self._default = default

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def find(self, name: str) -> Account:
        """Return the account that a notification is for.

        Raises UnknownVendor when none has that name, VendorDisabled when it is switched off.
        """
        account = self._by_name.get((name or self._default or self._first()).lower())
        if account is None:
            raise UnknownVendor("No vendor of this name is configured; check is_vendor in the URL.")
        if not account.settings.enabled:
            raise VendorDisabled("This vendor is disabled.")
        return account

    def named(self, name: str) -> Account:
        """Return the account that a stored row belongs to, enabled or not; raises ConfigurationError."""
        account = self.section(name)
        if account is None or name in self.strays:
            raise ConfigurationError(
                f"There is no [vendors.{name}] in the configuration any more; {self.command_for(name)} moves its rows."
            )
        return account

    def section(self, name: str) -> Account | None:
        """Return the account of a section, its name in any letter case, or None."""
        return self._accounts.get(name.lower())

    def knowing(self, stored: Iterable[str]) -> "Accounts":
        """Return the same accounts for a database that has rows of these, the oldest first."""
        return Accounts(self, default=self._default, stored=stored)

    def complaint(self, stray: str) -> str:
        """Return what is wrong with an account that is configured no more, and what to do."""
        return (
            f"there is no [vendors.{stray}] in the configuration, but the database has its rows; "
            f"{self.command_for(stray)} moves them. If it sells no more, keep the section with enabled = false"
        )

    def command_for(self, stray: str) -> str:
        """Return the command that moves the rows of an account that is configured no more."""
        fresh = [account.name for account in self if account.name not in self._stored]
        every = [account.name for account in self]
        heirs = next((names for names in (fresh, every) if len(names) == 1), ["NEW"])
        return f"`{shlex.join(['qlmhook', 'vendor', 'rename', stray, *heirs])}`"

    def _first(self) -> str:
        """The first account of the configuration, one that is enabled if there is any."""
        return next((account.name for account in sorted(self, key=lambda each: not each.settings.enabled)), "")

    def _spelling(self, name: str) -> str:
        """A section that was written in other letter case is still the same account."""
        same = [stored for stored in self._stored if stored.lower() == name.lower()]
        return name if name in same else next(iter(same), name)


def _contains(network: IPv4Network | IPv6Network, source: str) -> bool:
    try:
        address = ip_address(source)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in network


def load_accounts(vendors: Mapping[str, AccountSettings], plugins: Plugins, *, default: str = "") -> Accounts:
    """Load the plugins that the configuration names, and make one account for each section.

    `default` is the account that is meant where none is named; where that is empty, it is the first enabled one.
    Raises ConfigurationError for a plugin that cannot be used, two vendor classes of one name, or a setting that a
    plugin refuses.
    """
    plugins.load(settings.plugin for settings in vendors.values())
    classes = plugins.vendors()
    accounts = []
    for name, settings in vendors.items():
        if settings.plugin not in classes:
            raise ConfigurationError(
                f"vendors.{name}.plugin: the plugin {settings.plugin!r} registers no vendor of that name; one "
                "that serves no shop is named in the setting `plugins` instead."
            )
        vendor = classes[settings.plugin](name, settings.section)
        accounts.append(Account(name=name, settings=settings, vendor=vendor))
    return Accounts(accounts, default=default)
