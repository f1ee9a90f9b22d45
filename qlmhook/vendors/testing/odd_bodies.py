"""Bodies as no shop sends them: changed after they were signed, spelled otherwise, and of another shape."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from qlmhook.vendors.api import Notification
from qlmhook.vendors.form_body import FORM
from qlmhook.vendors.testing.messages import make_notification

RUBBISH = (b"", b"\xff\xfe", b"=", b"{", b"[]", b"{}", b"null", b"true", b"0", b'"text"', b"<xml/>", b"%", b"a=%00")
"""Bodies that no vendor sends."""

NESTED = b"[" * 100_000
"""JSON that is nested more deeply than Python reads."""

_TIMES_WITHOUT_UTC = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
"""Times that are out of the range of datetime in UTC."""
_TIME = re.compile(r"[12][0-9]{3}-?[01][0-9]-?[0-3][0-9].*", re.DOTALL)

_Tried = set[tuple[str, str]]
"""The parts that were exchanged already: where each stands, and what it is."""

_STRANGE_JSON: tuple[Any, ...] = (None, True, -1, 10**30, float("inf"), "", "x", "\ud800", [], {}, [None], {"x": "x"})
_STRANGE_TEXTS = ("", "x", "-1", "é", "9" * 30, "0000-00-00 00:00:00")


def with_one_byte_changed(notification: Notification, signature_fields: frozenset[str]) -> Iterator[Notification]:
    """Yield a notification changed at every place in turn: a form in its values, any other body in all its bytes."""
    body = notification.body
    if notification.content_type != FORM:
        for place, octet in enumerate(body):
            yield with_body(notification, body[:place] + bytes([octet ^ 1]) + body[place + 1 :])
        return
    pairs = _pairs(body)
    for place, (name, value) in enumerate(notification.fields):
        if name not in signature_fields:
            changed = value[:-1] + ("1" if value.endswith("0") else "0")
            yield with_body(notification, b"&".join([*pairs[:place], _pair(name, changed), *pairs[place + 1 :]]))


def spelled_otherwise(body: bytes) -> Iterator[bytes]:
    """Yield bodies of the same meaning in other bytes."""
    yield body + b"\n"
    try:
        data = json.loads(body)
    except ValueError:
        return
    for text in (json.dumps(data, indent=1), json.dumps(data, separators=(",", ":"))):
        if text.encode() != body:
            yield text.encode()


def without_a_part(notifications: Iterable[Notification]) -> Iterator[Notification]:
    """Yield notifications in which a part is missing."""
    for notification in notifications:
        yield from _changed_in(notification, None)


def of_another_shape(notifications: Iterable[Notification]) -> Iterator[Notification]:
    """Yield notifications in which a part is missing, or is something else than it should be.

    Each part is left out of each notification; it is exchanged where it is met first.
    """
    tried: _Tried = set()
    for notification in notifications:
        yield from _changed_in(notification, tried)


def with_times_without_utc(notification: Notification) -> Iterator[Notification]:
    """Yield notifications with a time that has no UTC in place of each text that is a time.

    Where the shop spells times otherwise than with an offset, its own spelling has the first and the last year too.
    """
    for body in _with_other_times(notification):
        yield with_body(notification, body)


def _with_other_times(notification: Notification) -> Iterator[bytes]:
    if notification.content_type == FORM:
        pairs = _pairs(notification.body)
        for place, (name, value) in enumerate(notification.fields):
            for other in _other_times(value):
                yield b"&".join([*pairs[:place], _pair(name, other), *pairs[place + 1 :]])
        return
    try:
        data = json.loads(notification.body)
    except ValueError:
        return
    for changed in _with_texts_changed(data):
        yield json.dumps(changed).encode()


def _with_texts_changed(data: Any) -> Iterator[Any]:
    """Yield JSON with one of its times exchanged."""
    if isinstance(data, dict):
        for name, part in data.items():
            yield from ({**data, name: changed} for changed in _with_texts_changed(part))
    elif isinstance(data, list):
        for place, part in enumerate(data):
            yield from ([*data[:place], changed, *data[place + 1 :]] for changed in _with_texts_changed(part))
    elif isinstance(data, str):
        yield from _other_times(data)


def _other_times(text: str) -> Iterator[str]:
    if _TIME.fullmatch(text):
        yield from (*_TIMES_WITHOUT_UTC, f"0001{text[4:]}", f"9999{text[4:]}")


def _changed_in(notification: Notification, tried: _Tried | None) -> Iterator[Notification]:
    if notification.content_type == FORM:
        bodies: Iterable[bytes] = filter(None, _forms(_pairs(notification.body), tried))
    else:
        bodies = [*RUBBISH, *_others(notification.body, tried)]
    for body in bodies:
        yield with_body(notification, body)


def _others(body: bytes, tried: _Tried | None) -> Iterator[bytes]:
    try:
        data = json.loads(body)
    except ValueError:
        yield body[: len(body) // 2]
        return
    for changed in _changed(data, "", tried):
        yield json.dumps(changed).encode()


def without_signature(notification: Notification, signature_fields: frozenset[str]) -> Notification:
    """Return a notification without headers, arguments and the fields that are signatures."""
    body = notification.body
    if notification.content_type == FORM:
        pairs = [
            pair for pair in _pairs(body) if unquote_plus(pair.partition(b"=")[0].decode()) not in signature_fields
        ]
        body = b"&".join(pairs)
    return make_notification(body, content_type=notification.content_type, received_at=notification.received_at)


def with_body(notification: Notification, body: bytes) -> Notification:
    """Return what the service makes of another body that comes with the same headers."""
    return make_notification(
        body,
        content_type=notification.content_type,
        headers=notification.headers,
        arguments=notification.arguments,
        received_at=notification.received_at,
    )


def _pairs(body: bytes) -> list[bytes]:
    return [pair for pair in body.split(b"&") if pair]


def _pair(name: str, value: str) -> bytes:
    return f"{quote_plus(name)}={quote_plus(value)}".encode()


def _forms(pairs: list[bytes], tried: _Tried | None) -> Iterator[bytes]:
    for place, pair in enumerate(pairs):
        name, _, value = pair.decode().partition("=")
        before, after = pairs[:place], pairs[place + 1 :]
        yield b"&".join([*before, *after])
        if tried is not None and (name, value) not in tried:
            tried.add((name, value))
            yield b"&".join([*before, pair, pair, *after])
            for text in _STRANGE_TEXTS:
                yield b"&".join([*before, f"{name}={quote_plus(text)}".encode(), *after])


def _changed(data: Any, path: str, tried: _Tried | None) -> Iterator[Any]:
    """Yield JSON with one part of it left out, or exchanged for something of another type."""
    if isinstance(data, dict):
        for name, part in data.items():
            yield {other: value for other, value in data.items() if other != name}
            for changed in _instead_of(part, f"{path}.{name}", tried):
                yield {**data, name: changed}
    elif isinstance(data, list):
        for place, part in enumerate(data):
            for changed in _instead_of(part, f"{path}[]", tried):
                yield [*data[:place], changed, *data[place + 1 :]]


def _instead_of(part: Any, path: str, tried: _Tried | None) -> Iterator[Any]:
    if tried is not None and (path, json.dumps(part)) not in tried:
        tried.add((path, json.dumps(part)))
        yield from _STRANGE_JSON
    yield from _changed(part, path, tried)
