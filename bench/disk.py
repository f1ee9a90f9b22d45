"""How often a second the disk makes a write durable: what bounds a database that syncs each commit."""

import os
import time
from pathlib import Path

BLOCK = bytes(4096)


def fsyncs_per_second(folder: Path, *, seconds: float) -> float:
    """Append 4 KiB to a file and sync it, again and again; return how often that was done in a second."""
    path = folder / "fsync"
    count, begun = 0, time.monotonic()
    with path.open("wb", buffering=0) as file:
        while time.monotonic() < begun + seconds:
            file.write(BLOCK)
            os.fsync(file.fileno())
            count += 1
        elapsed = time.monotonic() - begun
    path.unlink()
    return count / elapsed
