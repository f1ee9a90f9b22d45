"""Sees which built-in functions a plugin calls, by whatever name it imported them."""

import gc
import hmac
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Any

_CLOCKS = frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"})
_TODAY = frozenset({"now", "utcnow", "today"})


class Calls:
    """What was called while somebody watched."""

    def __init__(self) -> None:
        self.comparisons = 0
        self.clocks: list[str] = []

    def note(self, frame: FrameType, event: str, function: Any) -> None:
        """Take a call down; a log's time stamp is no part of what a plugin says."""
        if event != "c_call":
            return
        if function is hmac.compare_digest:
            self.comparisons += 1
        elif _tells_time(function) and not str(frame.f_globals.get("__name__")).startswith("logging"):
            self.clocks.append(getattr(function, "__qualname__", repr(function)))


def _tells_time(function: Any) -> bool:
    name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, date):
        return name in _TODAY
    return name in _CLOCKS and getattr(function, "__module__", "") == "time"


@contextmanager
def watched() -> Iterator[Calls]:
    """Watch the calls of this thread."""
    calls, before, collects = Calls(), sys.getprofile(), gc.isenabled()
    gc.disable()  # others measure how long a collection takes, and it may come at any call
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
