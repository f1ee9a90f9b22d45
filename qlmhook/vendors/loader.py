"""The plugins of a process: those that are built in, and installed ones as they are asked for."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from qlmhook.errors import ConfigurationError
from qlmhook.vendors import hooks
from qlmhook.vendors.api import Vendor

if TYPE_CHECKING:
    import click
    from flask import Blueprint

    from qlmhook.vendors.commands import Demonstration
    from qlmhook.vendors.key_maker import KeyMaker


class Plugins:
    """What plugins bring, collected behind one pluggy manager that lives as long as the process does.

    A plugin is named as its entry point in the group `qlmhook` is. One that fails is not kept: the others go on.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(hooks)

    def add(self, name: str, module: object) -> None:
        """Take in a module of the core that implements hooks; a second time is no other than once."""
        if not self._manager.is_registered(module):
            self._manager.register(module, name)

    def load(self, names: Iterable[str]) -> None:
        """Load installed plugins; one that is loaded stays as it is.

        Raises ConfigurationError, naming the plugin, for one that is not installed, that two packages offer, that
        cannot be imported or would end the process then, or that implements a hook which does not exist.
        """
        for name in sorted(set(names)):
            self._load(name)

    def load_installed(self) -> list[ConfigurationError]:
        """Load every installed plugin, and return what is wrong with those that cannot be."""
        complaints = []
        for name in installed_names():
            try:
                self._load(name)
            except ConfigurationError as error:
                complaints.append(error)
        return complaints

    def vendors(self) -> dict[str, type[Vendor]]:
        """Return the vendor classes by their names; raises ConfigurationError for two of one name."""
        return self._by_name("register_vendors", "vendor", "plugin")

    def key_makers(self) -> dict[str, type[KeyMaker]]:
        """Return the key maker classes by their names; raises ConfigurationError for two of one name."""
        return self._by_name("register_key_makers", "key maker", "name")

    def demonstrations(self) -> dict[str, type[Demonstration]]:
        """Return the shops that can be played, by their vendors' names; raises ConfigurationError for two of one."""
        return self._by_name("register_demonstrations", "demonstration", "plugin")

    def names(self) -> list[str]:
        """Return the names of the plugins, in the order in which they were taken in."""
        return [name for name, _ in self._manager.list_name_plugin()]

    def commands_of(self, name: str) -> list[click.Command]:
        """Return the commands of one plugin; raises ConfigurationError where its hook fails."""
        return self._brought(name, "register_commands")

    def blueprints(self) -> Iterator[tuple[str, Blueprint]]:
        """Yield each blueprint with the name of the plugin that brings it; raises ConfigurationError."""
        return self._each("register_blueprints")

    def _load(self, name: str) -> None:
        point = _entry_point(name)
        try:
            if self._manager.is_registered(point.load()):  # one module may have an entry point for each of its vendors
                return
            self._manager.load_setuptools_entrypoints(hooks.PROJECT, name=name)
        except (Exception, SystemExit) as error:
            self._manager.unregister(name=name)
            raise ConfigurationError(
                f"The plugin {name!r} cannot be loaded: {type(error).__name__}: {_one_line(error)}."
            ) from error
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(name=name)
            raise ConfigurationError(
                f"The plugin {name!r} implements a hook that does not exist: {_one_line(error)}."
            ) from error

    def _by_name(self, hook: str, noun: str, attribute: str) -> dict[str, Any]:
        found: dict[str, tuple[str, Any]] = {}
        for plugin, brought in self._each(hook):
            name = getattr(brought, attribute, "")
            if not name or not inspect.isclass(brought) or inspect.isabstract(brought):
                said = getattr(brought, "__name__", repr(brought))
                raise ConfigurationError(
                    f"The {noun} class {said} of the plugin {plugin!r} lacks its name or one of its methods."
                )
            if name in found:
                both = " and ".join(dict.fromkeys(repr(owner) for owner in (found[name][0], plugin)))
                raise ConfigurationError(f"Two plugins register a {noun} named {name!r}: {both}.")
            found[name] = plugin, brought
        return {name: brought for name, (_, brought) in found.items()}

    def _each(self, hook: str) -> Iterator[tuple[str, Any]]:
        return ((name, part) for name in self.names() for part in self._brought(name, hook))

    def _brought(self, name: str, hook: str) -> list[Any]:
        """Ask one plugin alone, so that what it does wrong is told under its name."""
        others = self._manager.get_plugins() - {self._manager.get_plugin(name)}
        try:
            return [part for parts in self._manager.subset_hook_caller(hook, others)() for part in parts]
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f"The plugin {name!r} fails in {hook}: {type(error).__name__}: {_one_line(error)}."
            ) from error


def installed_names() -> list[str]:
    """Return the names of the plugins that are installed, loaded or not."""
    return sorted({point.name for point in entry_points(group=hooks.PROJECT)})


def _entry_point(name: str) -> EntryPoint:
    found = {point.value: point for point in entry_points(group=hooks.PROJECT, name=name)}
    if not found:
        installed = ", ".join(installed_names()) or "none"
        raise ConfigurationError(f"The plugin {name!r} is not installed (installed: {installed}).")
    if len(found) > 1:
        offered = " and ".join(sorted(found))
        raise ConfigurationError(f"Two installed packages have a plugin named {name!r}: {offered}; uninstall one.")
    [point] = found.values()
    return point


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
