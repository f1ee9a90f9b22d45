"""Reads application/x-www-form-urlencoded bodies to the letter: order, repeats and blanks are signed."""

import contextlib
import re
from urllib.parse import unquote_to_bytes

from qlmhook.errors import MalformedNotification, TooLarge

FORM = "application/x-www-form-urlencoded"

MAX_BODY = 1024 * 1024
MAX_FIELDS = 5000
MAX_VALUE = 64 * 1024

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SUSPECT = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00|\0")


def parse_form(body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the names and values of a form, percent-decoded, in the order they stand in the body.

    Raises MalformedNotification for what is no form, broken percent-encoding, bytes that are not UTF-8 and NUL
    characters; TooLarge for more than 5,000 fields or a value over 64 KiB.
    """
    pairs = [pair for pair in body.split(b"&") if pair]
    if not pairs:
        raise MalformedNotification("The body is empty; a form was expected.")
    if len(pairs) > MAX_FIELDS:
        raise TooLarge(f"The form has {len(pairs)} fields; at most {MAX_FIELDS} are read.")
    with contextlib.suppress(UnicodeDecodeError):
        if not _SUSPECT.search(body) and max(map(len, pairs)) <= MAX_VALUE:
            fields = tuple(map(_read_pair, pairs))
            if all(name for name, _ in fields):
                return fields
    return tuple(_decode_pair(number, pair) for number, pair in enumerate(pairs, start=1))


def _read_pair(pair: bytes) -> tuple[str, str]:
    """Read a field of a body in which nothing seems to be wrong."""
    name, _, value = pair.replace(b"+", b" ").partition(b"=")
    if b"%" not in pair:
        return name.decode(), value.decode()
    return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()


def _decode_pair(number: int, pair: bytes) -> tuple[str, str]:
    name, _, value = pair.partition(b"=")
    if not name:
        raise MalformedNotification(f"Field {number} of the form has no name.")
    decoded = _decode(number, value)
    if len(decoded.encode()) > MAX_VALUE:
        raise TooLarge(f"The value of field {number} of the form is over {MAX_VALUE} bytes.")
    return _decode(number, name), decoded


def _decode(number: int, quoted: bytes) -> str:
    if _BROKEN_ESCAPE.search(quoted):
        raise MalformedNotification(f"Field {number} of the form has broken percent-encoding.")
    try:
        text = unquote_to_bytes(quoted.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedNotification(f"Field {number} of the form is not UTF-8.") from None
    if "\0" in text:
        raise MalformedNotification(f"Field {number} of the form has a NUL character.")
    return text
