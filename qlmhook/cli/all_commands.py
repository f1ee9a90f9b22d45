"""The group of all commands: those that are built in, and those of the installed plugins."""

import copy

import click

from qlmhook.cli.installed import complain, load_installed
from qlmhook.errors import ConfigurationError
from qlmhook.vendors.loader import Plugins

BUILT_IN = "qlmhook.cli.builtin_commands"
"""The name that the built-in commands are registered by."""

_FOUND = "qlmhook.commands"

Commands = dict[str, click.Command]


class CommandsOfPlugins(click.Group):
    """Looks a command up among the built-in ones, and only then in the installed plugins, configured or not.

    So a plugin that is broken breaks nothing but what it brings itself: what is wrong with it is told on standard
    error, and the rest goes on.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, or None."""
        return _built_in(_plugins(ctx)).get(cmd_name) or _every(ctx).get(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(_every(ctx))


def _plugins(context: click.Context) -> Plugins:
    from qlmhook.cli import builtin_commands  # not before a command is asked for: `--version` needs none

    plugins = context.ensure_object(Plugins)
    plugins.add(BUILT_IN, builtin_commands)
    return plugins


def _built_in(plugins: Plugins) -> Commands:
    return {str(command.name): command for command in plugins.commands_of(BUILT_IN)}


def _every(context: click.Context) -> Commands:
    if _FOUND not in context.meta:
        context.meta[_FOUND] = _collect(_plugins(context))
    found: Commands = context.meta[_FOUND]
    return found


def _collect(plugins: Plugins) -> Commands:
    load_installed(plugins)
    built_in, brought = _built_in(plugins), Commands()
    for plugin in plugins.names():
        try:
            for command in plugins.commands_of(plugin) if plugin != BUILT_IN else ():
                if not isinstance(command, click.Command):
                    raise ConfigurationError(f"The plugin {plugin!r} brings {command!r}, which is no command.")
                _take_in(str(command.name), command, plugin, brought, built_in)
        except ConfigurationError as error:
            complain(error)
    return brought | built_in


def _take_in(
    name: str, command: click.Command, plugin: str, brought: Commands, built_in: Commands, path: str = "qlmhook"
) -> None:
    """Add a command; a group that another plugin brought takes in the commands of its namesake."""
    there = built_in.get(name) or brought.get(name)
    if there is None:
        brought[name] = command
    elif isinstance(there, click.Group) and isinstance(command, click.Group) and name not in built_in:
        brought[name] = joined = copy.copy(there)
        joined.commands = dict(there.commands)
        for inner, below in command.commands.items():
            _take_in(inner, below, plugin, joined.commands, {}, f"{path} {name}")
    else:
        complain(f"The plugin {plugin!r} brings a command `{path} {name}`, but there is one; it is left out.")
