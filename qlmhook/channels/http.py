"""Talks to a shop: one careful HTTP request at a time, because a URL in a configuration can be wrong."""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urlsplit

import urllib3

from qlmhook.errors import DeliveryFailed
from qlmhook.vendors.api import Answer
from qlmhook.vendors.form_body import FORM
from qlmhook.vendors.urls import is_confidential

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 30
DEADLINE = 60
"""Seconds until the whole answer must be there, however slowly it drips."""
MAX_ANSWER = 1024 * 1024
"""Bytes; an order that a shop describes at length has some ten thousand."""


def post_form(url: str, fields: Mapping[str, str], *, allow_private: bool = False) -> Answer:
    """Post a form and return the answer; redirects are not followed.

    Only https is used, except to an address of this machine. Addresses of private networks are refused unless
    `allow_private`. Raises DeliveryFailed when there is no complete answer.
    """
    return _request("POST", url, {"Content-Type": FORM}, urlencode(fields), allow_private=allow_private)


def get(url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool = False) -> Answer:
    """Ask for a page, with headers such as a plugin's credentials, by the rules of `post_form`."""
    return _request("GET", url, headers or {}, None, allow_private=allow_private)


def _request(method: str, url: str, headers: Mapping[str, str], body: str | None, *, allow_private: bool) -> Answer:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _address(host, port)
    if not is_confidential(parts.scheme, str(address)):
        raise DeliveryFailed(f"The URL {url!r} must begin with https://.", permanent=True)
    if not (address.is_global or address.is_loopback or allow_private):
        raise DeliveryFailed(f"{host} is {address}, an address of a private network.", permanent=True)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    every = {"Host": parts.netloc, **headers}
    with _pool(parts.scheme, host, str(address), port) as pool:
        return _within(DEADLINE, lambda: _exchange(pool, method, target, headers=every, body=body))


def _address(host: str, port: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Resolve a name once: the address that is checked is the one that is connected to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DeliveryFailed(f"The name {host!r} cannot be resolved: {error}.") from error
    return ipaddress.ip_address(found[0][4][0])


def _pool(scheme: str, host: str, address: str, port: int) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    if scheme == "http":
        return urllib3.HTTPConnectionPool(address, port, timeout=timeout)
    context = ssl.create_default_context()
    return urllib3.HTTPSConnectionPool(
        address, port, timeout=timeout, ssl_context=context, server_hostname=host, assert_hostname=host
    )


def _within(seconds: float, exchange: Callable[[], Answer]) -> Answer:
    """Return what `exchange` returns, or give it up: a peer can drip its answer in below every other time-out."""
    done: list[Answer | Exception] = []

    def run() -> None:
        try:
            done.append(exchange())
        except Exception as error:
            done.append(error)

    thread = threading.Thread(target=run, name="qlmhook-request", daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise DeliveryFailed("The answer is too long or too slow.")
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]


def _exchange(
    pool: urllib3.HTTPConnectionPool, method: str, target: str, *, headers: Mapping[str, str], body: str | None
) -> Answer:
    try:
        response = pool.urlopen(
            method, target, body=body, headers=headers, retries=False, redirect=False, preload_content=False
        )
        with contextlib.closing(response):
            content = response.read(MAX_ANSWER + 1)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise DeliveryFailed(f"There was no answer: {type(error).__name__}: {error}.") from error
    if len(content) > MAX_ANSWER:
        raise DeliveryFailed("The answer is too long or too slow.")
    return Answer(status=response.status, body=content.decode("utf-8", "replace"))
