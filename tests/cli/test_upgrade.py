"""`qlmhook upgrade`: what it says, and what happens when it is called at the wrong time."""

import subprocess
import sys
from pathlib import Path

import pytest

from qlmhook.storage import schema_version
from tests.conftest import Configure
from tests.support.engines import engine_of, execute
from tests.support.released import load, version
from tests.support.server import PATIENCE, command, environment

pytestmark = pytest.mark.own_database

DONE = f"The tables of version 1 are of version {schema_version.VERSION} now; references and tables are checked.\n"
CURRENT = f"The tables are of version {schema_version.VERSION} and as they should be: there is nothing to be done.\n"
NO_BACKUP = "A database on a server is not backed up by this command: make sure that you have a backup of it.\n"


@pytest.fixture
def config(configure: Configure, database_url: str, tmp_path: Path) -> Path:
    """The configuration of a service whose database is of 0.1.0."""
    configure()
    load(database_url)
    return tmp_path / "qlmhook.toml"


def test_it_says_what_it_did_and_then_that_there_is_nothing_to_be_done(config: Path, database_url: str) -> None:
    first, second = (command(config, "upgrade") for _ in range(2))

    kept, _, done = first.stdout.partition("\n")
    assert (first.returncode, first.stderr, done) == (0, "", DONE)
    if engine_of(database_url) == "sqlite":
        assert Path(kept.removeprefix("The database as it was is in ").removesuffix(".")).is_file()
    else:
        assert f"{kept}\n" == NO_BACKUP
    assert (second.returncode, second.stdout, second.stderr) == (0, CURRENT, "")


def test_of_two_at_once_one_waits_and_finds_nothing_to_do(config: Path, database_url: str) -> None:
    two = [
        subprocess.Popen(
            [sys.executable, "-m", "qlmhook", "upgrade"],
            env=environment(config, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE)[0] for process in two]

    assert [process.returncode for process in two] == [0, 0]
    assert sorted(text.endswith(DONE) for text in told) == [False, True]
    assert CURRENT in told
    assert version(database_url) == schema_version.VERSION


def test_a_later_database_is_left_alone(config: Path, database_url: str) -> None:
    execute(database_url, "UPDATE schema_version SET version = 99")

    finished = command(config, "upgrade")

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        f"qlmhook: The database has tables of version 99, this qlmhook works with {schema_version.VERSION}. "
        "Install the qlmhook that upgraded it, or restore the backup from before the upgrade.\n"
    )
