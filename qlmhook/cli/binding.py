"""Where a server listens: read from the command line, and found to be free before the server starts."""

import errno
import re
import socket
import stat
from pathlib import Path

import click

from qlmhook.errors import QlmhookError

_ADDRESS = re.compile(r"(?:tcp://)?(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<host>[0-9A-Za-z._-]*)):(?P<port>[0-9]{1,5})")
_PATH = re.compile(r"unix:(?://)?(?P<path>.+)", re.DOTALL)
_REASONS = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EACCES: "this user may not",
    errno.EADDRNOTAVAIL: "it is no address of this machine",
}


def checked_bind(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check what gunicorn is to be told, HOST:PORT or unix:PATH; its own complaint is a traceback."""
    return value if _PATH.fullmatch(value) else _checked(context, parameter, value, lowest=1)


def checked_address(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check HOST:PORT; the port 0 means any."""
    return _checked(context, parameter, value, lowest=0)


def _checked(context: click.Context, parameter: click.Parameter, value: str, *, lowest: int) -> str:
    match = _ADDRESS.fullmatch(value)
    if match is None or not lowest <= int(match["port"]) < 65536:
        raise click.BadParameter(f"{value!r} is not of the form HOST:PORT", ctx=context, param=parameter)
    return value


def host_and_port(bind: str) -> tuple[str, int]:
    """Take HOST:PORT apart."""
    match = _ADDRESS.fullmatch(bind)
    assert match is not None
    return match["v6"] or match["host"], int(match["port"])


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


def cannot_listen(bind: str, error: OSError) -> QlmhookError:
    """Return the sentence for an address that cannot be listened at."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return QlmhookError(f"Nothing can listen at {bind}: {reason}. Name another address with --bind.")
