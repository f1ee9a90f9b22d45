"""How the text of an argument's value is read: each function raises ValueError with what is meant instead.

Source: QLM, GetActivationKeyWithExpiryDate.
"""

import contextlib
import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from qlmhook.domain.addresses import address_key


def integer(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    """Return the reader of a whole number in this range."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(text)

    return read


def boolean(text: str) -> bool:
    """Read yes or no."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ValueError("true or false")
    return known[text.lower()]


def seats(text: str) -> int:
    """Read a number of seats; yes means one."""
    if re.fullmatch(r"[0-9]{1,6}", text):
        return int(text)
    return int(boolean(text))


def choice(*choices: str) -> Callable[[str], str]:
    """Return the reader of one of these words, in any letter case."""

    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text.lower()

    return read


def day(text: str) -> date:
    """Read a date of the form yyyy-mm-dd."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError("a date of the form 2026-12-31") from None


def features(text: str) -> str:
    """Read sets of features, `set:value;…`; a lone 0 means none."""
    pairs = [pair.strip() for pair in text.split(";") if pair.strip()]
    if pairs == ["0"]:
        return ""
    for pair in pairs:
        if not re.fullmatch(r"[0-3]:[0-9]{1,3}", pair) or int(pair[2:]) > 255:
            raise ValueError("sets of features such as 0:3;1:128 (set 0 to 3, sum of 1, 2, 4 … 128)")
    sets = [pair[0] for pair in pairs]
    if len(set(sets)) != len(sets):
        raise ValueError("each set of features (0 to 3) at most once")
    return ";".join(pairs)


def product_properties(text: str) -> str:
    """Read `category.name::value[::expiry]`, joined by two bars."""
    for entry in text.split("||"):
        name, *rest = entry.split("::")
        if not re.fullmatch(r"[^.]+\.[^.].*", name.strip()) or not 1 <= len(rest) <= 2:
            raise ValueError("category.name::value, joined by ||, each with an optional ::2026-12-31 behind it")
        if len(rest) == 2 and not _is_expiry(rest[1].strip()):
            raise ValueError("an expiry of the form 2026-12-31 or 2026-12-31 23:59:59 behind the second ::")
    return text


def _is_expiry(text: str) -> bool:
    for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S"):
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form).year > 0  # noqa: DTZ007 (only its form counts)
    return False


def template_name(text: str) -> str:
    """Read the name of a mail template, which is no path."""
    if not re.fullmatch(r"\w[\w .,-]{0,99}", text):
        raise ValueError("the name of a template: letters, digits, blanks, dots and dashes")
    return text


def plain_name(text: str) -> str:
    """Read the name of a plugin's part, in any letter case."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        raise ValueError("a name of letters, digits, - and _")
    return text.lower()


def addresses(text: str) -> tuple[str, ...]:
    """Read e-mail addresses, separated by semicolons."""
    addresses = listed(text)
    for address in addresses:
        if not address_key(address):
            raise ValueError(f"e-mail addresses, separated by semicolons, and {address[:80]!r} is none")
    return addresses


def listed(text: str) -> tuple[str, ...]:
    """Read what is separated by semicolons, whatever it is."""
    parts = tuple(part.strip() for part in text.split(";") if part.strip())
    if not parts:
        raise ValueError("e-mail addresses, separated by semicolons")
    return parts


def printable(maximum: int) -> Callable[[str], str]:
    """Return the reader of printable characters, at most so many."""

    def read(text: str) -> str:
        if len(text) > maximum or not text.isprintable():
            raise ValueError(f"at most {maximum} printable characters")
        return text

    return read
