"""`plugin new` writes a plugin that works: what it wrote is installed, checked and tested as its author would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qlmhook.cli import commands
from qlmhook.errors import QlmhookError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database_url() -> str:
    """A plugin has none."""
    return ""


def new(name: str, folder: Path) -> Result:
    return CliRunner().invoke(commands, ["plugin", "new", name, str(folder)])


@pytest.fixture(scope="module", params=["acme", "b2_books"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plugin, installed into the folder `site` beside it."""
    folder = tmp_path_factory.mktemp("written") / "plugin"
    assert new(request.param, folder).exit_code == 0
    install = ["install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    run(folder, "pip", *install, "--target", str(folder.with_name("site")), str(folder))
    return folder


def run(folder: Path, *module: str) -> str:
    """Run a module of Python where the plugin is, and return what it prints."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(folder.with_name("site")),
        "MYPYPATH": str(ROOT),
        "MYPY_CACHE_DIR": str(folder.parents[1] / "mypy"),  # what it knows of qlmhook serves both plugins
    }
    finished = subprocess.run(
        [sys.executable, "-m", *module], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_its_tests_pass(written: Path) -> None:
    """Those that it inherits from the contract suite."""
    passed = run(written, "pytest", "-p", "no:cacheprovider", "-q")

    assert " passed" in passed
    assert "failed" not in passed


@pytest.mark.parametrize("check", ["ruff format --check .", "ruff check .", "mypy"])
def test_the_linters_and_mypy_find_nothing(written: Path, check: str) -> None:
    run(written, *check.split())


def test_qlmhook_finds_it_and_writes_its_section(written: Path, tmp_path: Path) -> None:
    [name] = (path.name.removeprefix("qlmhook_") for path in written.glob("qlmhook_*") if "egg" not in path.name)

    run(written, "qlmhook", "init", "--vendor", name, "--dir", str(tmp_path))

    assert f"[vendors.{name}]" in (tmp_path / "qlmhook.toml").read_text(encoding="utf-8")
    assert "tolerance = 300" in (tmp_path / "qlmhook.toml").read_text(encoding="utf-8")


def test_nothing_is_left_of_the_words_of_the_template(tmp_path: Path) -> None:
    new("acme", tmp_path)

    texts = {str(path): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.*")}

    assert len(texts) == 5
    assert [path for path, text in texts.items() if "shopname" in f"{path} {text}".lower()] == []
    assert [path for path in texts if path.endswith(".txt")] == []


@pytest.mark.parametrize("name", ["Acme", "2acme", "acme-books", "acmé", "../acme", "", "a" * 33])
def test_what_cannot_be_a_modules_name_is_refused(tmp_path: Path, name: str) -> None:
    finished = new(name, tmp_path / "plugin")

    assert isinstance(finished.exception, QlmhookError)
    assert "lower-case letters, digits and _ are meant" in str(finished.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["vendor", "schema", "event"])
def test_a_name_that_the_module_uses_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    """The class would hide what it inherits."""
    finished = new(name, tmp_path / "plugin")

    assert f"{name.capitalize()} is a word of its module" in str(finished.exception)


def test_the_name_of_an_installed_plugin_is_refused(tmp_path: Path) -> None:
    """Both could not be installed beside each other: that stops the start."""
    finished = new("avangate", tmp_path / "plugin")

    assert isinstance(finished.exception, QlmhookError)
    assert str(finished.exception) == "A plugin named 'avangate' is installed already; name yours otherwise."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    finished = new("acme", tmp_path)

    assert "is there already; name a folder that is empty" in str(finished.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
