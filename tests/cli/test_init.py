"""What `init` writes for the shops of the installed plugins, and what `demo` plays."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qlmhook.cli import commands
from tests.support.installed import Install, hook

SHOPLET = """
class Shoplet(Shop):
    plugin = "shoplet"
    settings_template = 'colors = ["red"]  # of the shop\\\\n'
"""


@pytest.fixture
def database_url() -> str:
    """`init` makes its own."""
    return ""


def init(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["init", "--dir", str(folder), *arguments])


def written(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "qlmhook.toml").read_text(encoding="utf-8"))


def test_every_installed_vendor_gets_its_section(install: Install, tmp_path: Path) -> None:
    """With the settings that all accounts have, and its own ones below."""
    install("shoplet", hook("register_vendors", "[Shoplet]", before=SHOPLET))

    assert init(tmp_path).exit_code == 0

    sections = written(tmp_path)["vendors"]
    assert list(sections) == ["avangate", "shoplet"]
    assert sections["shoplet"]["plugin"] == "shoplet"
    assert sections["shoplet"]["colors"] == ["red"]
    assert sections["avangate"]["password"] != sections["shoplet"]["password"]


@pytest.mark.parametrize(("arguments", "default"), [((), "avangate"), (("--vendor", "shoplet"), "shoplet")])
def test_the_first_vendor_is_the_default(
    install: Install, tmp_path: Path, arguments: tuple[str, ...], default: str
) -> None:
    install("shoplet", hook("register_vendors", "[Shoplet]", before=SHOPLET))
    init(tmp_path, *arguments)

    assert written(tmp_path)["default_vendor"] == default


def test_the_vendor_that_is_named_is_the_only_one(install: Install, tmp_path: Path) -> None:
    install("shoplet", hook("register_vendors", "[Shoplet]", before=SHOPLET))

    assert init(tmp_path, "--vendor", "shoplet").exit_code == 0

    assert list(written(tmp_path)["vendors"]) == ["shoplet"]


def test_a_broken_plugin_is_told_and_the_others_get_their_sections(install: Install, tmp_path: Path) -> None:
    install("broken", "1 / 0")

    finished = init(tmp_path)

    assert finished.exit_code == 0
    assert finished.stderr.startswith("qlmhook: The plugin 'broken' cannot be loaded: ZeroDivisionError")
    assert list(written(tmp_path)["vendors"]) == ["avangate"]


def test_a_vendor_that_is_not_installed_leaves_nothing_behind(tmp_path: Path) -> None:
    finished = init(tmp_path / "new", "--vendor", "shoplit")

    assert "'shoplit' is not installed" in str(finished.exception)
    assert list(tmp_path.iterdir()) == []
