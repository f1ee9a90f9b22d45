"""What the commands of a plugin may use: a shop that `qlmhook demo` plays, posting to the service, addresses.

This module needs click and urllib3. A vendor's own modules do without: `from qlmhook.vendors import ...`.
"""

import errno
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

import click
import urllib3

from qlmhook.errors import QlmhookError
from qlmhook.vendors.api import Answer

__all__ = ["Demonstration", "QlmhookError", "cannot_listen", "checked_address", "host_and_port", "post"]

TIMEOUT = 30
"""Seconds that the service has for an answer."""

_ADDRESS = re.compile(r"(?:tcp://)?(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<host>[0-9A-Za-z._-]*)):(?P<port>[0-9]{1,5})")
_REASONS = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EACCES: "this user may not",
    errno.EADDRNOTAVAIL: "it is no address of this machine",
}


class Demonstration(ABC):
    """A shop that plays its part in `qlmhook demo`, on this machine alone.

    It is entered before the service starts and left after it ended: a shop that takes confirmations listens meanwhile.
    """

    plugin: ClassVar[str]
    """The name of the vendor class that is shown."""
    shop: ClassVar[str]
    """What people call the shop."""
    confirmation: ClassVar[str] = ""
    """What the shop calls the confirmation of an order; empty where it takes none."""
    product_id: ClassVar[str]
    """The shop's product that is bought."""

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 (a shop that starts nothing has nothing to end)
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what `__enter__` started."""

    @abstractmethod
    def settings(self) -> str:
        """Return the lines of TOML that the account needs beside plugin, user and password."""

    @abstractmethod
    def buy(self, url: str) -> str:
        """Post a signed test order to the service's URL, check the receipt, and return the order's reference.

        Prints what a person wants to see of it. Raises QlmhookError for a receipt that the shop would not take.
        """

    def has_confirmed(self, order_ref: str) -> bool:
        """Tell whether the shop took the confirmation of an order."""
        return False


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post a notification to a running service, as a shop does: without following redirects, once.

    Raises QlmhookError when no answer comes; its sentence does not tell the URL's password.
    """
    try:
        response = urllib3.request(
            "POST", url, body=body, headers=dict(headers), timeout=TIMEOUT, retries=False, redirect=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise QlmhookError(f"{url.partition('?')[0]} cannot be reached: {error}.") from error
    return Answer(status=response.status, body=response.data.decode("utf-8", "replace"))


def checked_address(context: click.Context, parameter: click.Parameter, value: str, *, lowest_port: int = 0) -> str:
    """Check the HOST:PORT of an option, as its callback; the port 0 means any. Raises BadParameter."""
    match = _ADDRESS.fullmatch(value)
    if match is None or not lowest_port <= int(match["port"]) < 65536:
        raise click.BadParameter(f"{value!r} is not of the form HOST:PORT", ctx=context, param=parameter)
    return value


def host_and_port(bind: str) -> tuple[str, int]:
    """Take HOST:PORT apart."""
    match = _ADDRESS.fullmatch(bind)
    assert match is not None
    return match["v6"] or match["host"], int(match["port"])


def cannot_listen(bind: str, error: OSError) -> QlmhookError:
    """Return the error for an address that cannot be listened at."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return QlmhookError(f"Nothing can listen at {bind}: {reason}. Name another address with --bind.")
