"""Sees which built-in functions a plugin calls, by whatever name it imported them."""

import _socket
import gc
import hmac
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Any

_CLOCKS = frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"})
_OPENERS = frozenset({open, os.open, _socket.getaddrinfo})
_TODAY = frozenset({"now", "utcnow", "today"})


class Calls:
    """What was called while somebody watched."""

    def __init__(self) -> None:
        self.comparisons = 0
        self.clocks: list[str] = []
        self.opened: list[str] = []

    def note(self, frame: FrameType, event: str, function: Any) -> None:
        """Take a call down; a log's time stamp and its file are no part of what a plugin says."""
        if event != "c_call":
            return
        if function is hmac.compare_digest:
            self.comparisons += 1
        elif str(frame.f_globals.get("__name__")).startswith("logging"):
            return
        elif _tells_time(function):
            self.clocks.append(_name_of(function))
        elif _opens(function):
            self.opened.append(_name_of(function))


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _opens(function: Any) -> bool:
    if function in _OPENERS:
        return True
    is_of_a_socket = isinstance(getattr(function, "__self__", None), _socket.socket)
    return is_of_a_socket and function.__name__ in ("connect", "connect_ex")


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
