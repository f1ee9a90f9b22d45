"""Commands that installed plugins bring, beside those that are built in."""

import pytest
from click.testing import CliRunner, Result

from qlmhook.cli import commands
from tests.support.installed import Install, hook, plugin

COMMANDS = """
import click

@click.command()
def hello():
    click.echo("hello from {name}")

@click.group()
def simulate():
    "Play a shop."

@simulate.command()
def {name}():
    click.echo("{name} is played")

@click.group("license")
def license_():
    "Not the one that is built in."
"""


@pytest.fixture
def database_url() -> str:
    """None of these commands has a database."""
    return ""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def bringing(name: str, *brought: str) -> str:
    """The source of a plugin that brings some of its commands."""
    return hook("register_commands", f"[{', '.join(brought)}]", before=COMMANDS.format(name=name))


def test_a_plugins_command_needs_no_configuration(install: Install) -> None:
    """It is there when the plugin is installed."""
    install("alpha", bringing("alpha", "hello"))

    finished = run("hello")

    assert (finished.exit_code, finished.stdout, finished.stderr) == (0, "hello from alpha\n", "")


def test_a_group_of_several_plugins_has_the_commands_of_all(install: Install) -> None:
    """As `simulate`: each shop is played by its own."""
    install("alpha", bringing("alpha", "simulate"))
    install("beta", bringing("beta", "simulate"))

    assert [run("simulate", name).stdout for name in ("alpha", "beta")] == ["alpha is played\n", "beta is played\n"]
    assert {"alpha", "beta", "ipn", "lcn"} <= set(run("simulate", "--help").stdout.split())


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (("hello",), ("hello",), "qlmhook hello"),
        (("simulate",), ("hello, click.Group('simulate', {'alpha': hello})",), "qlmhook simulate alpha"),
    ],
    ids=["a command", "a command of a group"],
)
def test_two_commands_of_one_name_leave_the_first(
    install: Install, first: tuple[str, ...], second: tuple[str, ...], taken: str
) -> None:
    """The second plugin is named."""
    install("alpha", bringing("alpha", *first))
    install("beta", bringing("beta", *second))

    finished = run("--help")

    assert finished.exit_code == 0
    assert f"The plugin 'beta' brings a command `{taken}`, but there is one; it is left out.\n" in finished.stderr


def test_no_plugin_takes_the_name_of_a_built_in_command(install: Install) -> None:
    install("alpha", bringing("alpha", "license_"))

    assert "Not the one" not in run("license", "--help").stdout
    assert "`qlmhook license`, but there is one; it is left out.\n" in run("--help").stderr


BROKEN = {
    "cannot be imported": "raise RuntimeError('broken')",
    "misspells a hook": plugin("broken", hook="register_vendor"),
    "fails in its hook": hook("register_commands", "[1 / 0]"),
    "brings what is no command": hook("register_commands", "[42]"),
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_told_and_breaks_nothing_else(install: Install, source: str) -> None:
    """In one sentence, once."""
    install("alpha", bringing("alpha", "hello"))
    install("broken", source)

    finished = run("hello")
    help_ = run("--help")

    assert (finished.exit_code, finished.stdout) == (0, "hello from alpha\n")
    assert finished.stderr.startswith("qlmhook: The plugin 'broken' ")
    assert finished.stderr.count("\n") == help_.stderr.count("\n") == 1
    assert {"hello", "license", "simulate"} <= set(help_.stdout.split())


def test_a_built_in_command_does_not_even_look_for_plugins(install: Install) -> None:
    """What is installed and not configured is not imported: one that hangs is not waited for."""
    install("broken", "raise AssertionError('imported')")

    finished = run("license", "--help")

    assert (finished.exit_code, finished.stderr) == (0, "")
