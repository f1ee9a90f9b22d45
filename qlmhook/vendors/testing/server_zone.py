"""The zone that a server is in, which a plugin must not care about."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server_in(zone: str) -> Iterator[None]:
    """Let this process be in a zone, spelled as POSIX does, such as `WEST+11`."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()
