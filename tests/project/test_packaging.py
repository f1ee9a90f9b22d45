"""What is delivered: a wheel and an sdist, built from a clean copy of the tree, hold what the tree holds."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from configparser import ConfigParser
from dataclasses import dataclass
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]

COMES_WITH = {"werkzeug": "flask"}
"""Libraries whose version another one decides: Werkzeug is Flask's lower half."""


def tree() -> list[PurePosixPath]:
    """The files of the project: what git knows, and what is new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [PurePosixPath(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


def packaged(files: Iterable[PurePosixPath]) -> set[str]:
    """Where the files of the core and of the plugins stand in a wheel."""
    core = {str(path) for path in files if path.parts[0] == "qlmhook"}
    plugins = {str(path.relative_to("plugins")) for path in files if path.parts[0] == "plugins"}
    return core | plugins


@dataclass(frozen=True, kw_only=True)
class Built:
    """The files of the tree that was built, the names in wheel and sdist, and the wheel's metadata."""

    files: list[PurePosixPath]
    wheel: Path
    wheel_files: set[str]
    sdist_files: set[str]
    requirements: list[str]
    entry_points: ConfigParser
    log: str

    def required(self, extra: str = "") -> set[str]:
        """The distributions that are required, those of one extra included."""
        wanted = [text for text in self.requirements if "extra ==" not in text or (extra and f'"{extra}"' in text)]
        return {normalized(re.split(r"[\[<>=!~; ]", text)[0]) for text in wanted}


def normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the sdist, and the wheel from it, as a release does; nothing is fetched."""
    folder = tmp_path_factory.mktemp("build")
    files = tree()
    for path in files:
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / "tree" / path)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "tree")]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert run.returncode == 0, run.stdout
    [wheel] = (folder / "dist").glob("*.whl")
    [sdist] = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        sdist_files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [information] = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = message_from_bytes(archive.read(f"{information}/METADATA"))
        entry_points = ConfigParser(delimiters="=")
        entry_points.read_string(archive.read(f"{information}/entry_points.txt").decode())
    return Built(
        files=files,
        wheel=wheel,
        wheel_files={name for name in names if not name.startswith(f"{information}/")},
        sdist_files=sdist_files,
        requirements=metadata.get_all("Requires-Dist", []),
        entry_points=entry_points,
        log=run.stdout,
    )


def imported_libraries(paths: Iterable[Path]) -> set[str]:
    """The distributions that the modules import, wherever in them."""
    names: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    ours = {"qlmhook", "tests", "bench", *(path.name for path in (ROOT / "plugins").iterdir())}
    distributions = packages_distributions()
    found = {distributions.get(name, [name])[0] for name in names - ours - sys.stdlib_module_names}
    return {COMES_WITH.get(name, name) for name in map(normalized, found)}


def sources(*folders: str) -> set[Path]:
    parents = {PurePosixPath(folder) for folder in folders}
    return {ROOT / path for path in tree() if path.suffix == ".py" and parents & {path, *path.parents}}


def test_the_wheel_holds_the_packages_and_nothing_else(built: Built) -> None:
    """Every module, template, py.typed and README of the packages; no tests, no benchmark."""
    assert built.wheel_files == packaged(built.files)


def test_every_package_is_typed(built: Built) -> None:
    packages = {name.partition("/")[0] for name in built.wheel_files}

    assert {package for package in packages if f"{package}/py.typed" not in built.wheel_files} == set()


def test_the_sdist_holds_what_a_build_needs(built: Built) -> None:
    """The packages where the tree has them, and the files that say what they are."""
    needed = {str(path) for path in built.files if path.parts[0] in ("qlmhook", "plugins")}

    assert needed | {"pyproject.toml", "setup.cfg", "README.md", "LICENSE"} <= built.sdist_files


def test_the_build_has_nothing_to_complain_of(built: Built) -> None:
    """setuptools warns of what a later version will refuse."""
    assert [line for line in built.log.splitlines() if "deprecat" in line.lower()] == []


def test_the_command_and_the_plugins_are_entry_points(built: Built) -> None:
    """Each plugin's folder qlmhook_<name> is offered as <name>."""
    plugins = {path.name for path in (ROOT / "plugins").iterdir() if path.name.startswith("qlmhook_")}

    assert dict(built.entry_points["console_scripts"]) == {"qlmhook": "qlmhook.cli:main"}
    assert dict(built.entry_points["qlmhook"]) == {name.removeprefix("qlmhook_"): name for name in plugins}


def test_the_wheels_command_runs_without_the_tree(built: Built, tmp_path: Path) -> None:
    """Unpacked somewhere else, the wheel is all that `qlmhook init` needs."""
    with zipfile.ZipFile(built.wheel) as archive:
        archive.extractall(tmp_path / "site")
    where = subprocess.run(
        [sys.executable, "-c", "import qlmhook, qlmhook_avangate as a; print(qlmhook.__file__, a.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    run = subprocess.run(
        [sys.executable, "-m", "qlmhook", "init", "--dir", str(tmp_path / "here")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert [str(tmp_path / "site") in place for place in where.stdout.split()] == [True, True]
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "here" / "qlmhook.toml").is_file()


def test_every_library_of_the_service_is_declared(built: Built) -> None:
    """Only the contract suite imports more, which is for tests."""
    paths = sources("qlmhook", "plugins", "wsgi.py") - sources("qlmhook/vendors/testing")

    assert imported_libraries(paths) - built.required() == set()


def test_every_library_of_the_tests_is_declared(built: Built) -> None:
    paths = sources("tests", "bench", "qlmhook/vendors/testing")

    assert imported_libraries(paths) - built.required("test") == set()


def test_every_extra_that_an_engine_needs_is_there(built: Built) -> None:
    assert built.required("postgres") - built.required() == {"psycopg"}
    assert built.required("mysql") - built.required() == {"pymysql"}


def test_what_builds_the_wheel_is_in_the_test_extra(built: Built) -> None:
    """Without it these tests could not run offline."""
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]

    assert {"build", *(re.split(r"[<>=]", text)[0] for text in requires)} <= built.required("test")
