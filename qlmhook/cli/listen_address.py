"""Where a server listens: read from the command line, and found to be free before the server starts."""

import errno
import re
import socket
import stat
from pathlib import Path

import click

from qlmhook.vendors.commands import cannot_listen, checked_address, host_and_port

_PATH = re.compile(r"unix:(?://)?(?P<path>.+)", re.DOTALL)


def checked_bind(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check what gunicorn is to be told, HOST:PORT or unix:PATH; its own complaint is a traceback."""
    return value if _PATH.fullmatch(value) else checked_address(context, parameter, value, lowest_port=1)


def refuse_taken(bind: str) -> None:
    """Raise QlmhookError unless a server can listen there: gunicorn tries for five seconds, with tracebacks."""
    try:
        if (match := _PATH.fullmatch(bind)) is not None:
            _try_path(Path(match["path"]))
            return
        host, port = host_and_port(bind)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # as servers do: connections that one left behind are no hindrance
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise cannot_listen(bind, error) from error


def _try_path(path: Path) -> None:
    """A socket that nobody listens at is left from a server that ended; gunicorn replaces any, even one in use."""
    try:
        left_over = stat.S_ISSOCK(path.stat().st_mode)
    except FileNotFoundError:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
        return
    if not left_over:
        raise OSError(errno.EEXIST, "a file is there that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
    raise OSError(errno.EADDRINUSE, "")
