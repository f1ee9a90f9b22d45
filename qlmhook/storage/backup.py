"""A copy of SQLite's file, whole and private."""

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from qlmhook.errors import Unavailable
from qlmhook.storage import engines


def back_up(file: Path, target: Path) -> None:
    """Copy a database of SQLite to a file that is not there yet, for its owner alone; raises Unavailable.

    The copy has its name when it is complete. Others may read meanwhile; a writer makes it begin again.
    """
    if target.exists():
        raise Unavailable(f"The backup {target} is there already; it is never overwritten.")
    unfinished = Path(f"{file}.backup")
    unfinished.unlink(missing_ok=True)  # of an upgrade that was interrupted
    engines.create_private(unfinished)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(unfinished)) as copy:
            copy.execute("PRAGMA journal_mode = off")
            source.backup(copy)
        unfinished.replace(target)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise Unavailable(f"The backup {target} cannot be written: {error}. Nothing was changed.") from error
    _sync(target.absolute().parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
