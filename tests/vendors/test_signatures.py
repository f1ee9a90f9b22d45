"""What a signature was made with is found without telling by the time how much of a guess is right."""

import hmac

import pytest

from qlmhook.vendors import signed_with
from qlmhook.vendors.testing.watched_builtins import watched

KEYS = [b"first", b"second", b"third"]


def sign(key: bytes) -> str:
    return hmac.new(key, b"a message", "sha256").hexdigest()


@pytest.mark.parametrize("key", KEYS)
def test_the_key_that_signed_is_found(key: bytes) -> None:
    assert signed_with(sign(key), KEYS, sign) == key


@pytest.mark.parametrize(
    "received", ["", sign(b"another"), sign(KEYS[0])[:-1], sign(KEYS[0]) + "0", sign(KEYS[0]).upper(), "é", "\ud800"]
)
def test_nothing_else_was_signed_with_a_key(received: str) -> None:
    """Neither text outside ASCII nor half of a character is an error."""
    assert signed_with(received, KEYS, sign) is None


def test_without_a_key_nothing_was_signed() -> None:
    assert signed_with(sign(b""), [], sign) is None


def test_of_two_that_match_the_first_is_meant() -> None:
    """Such as one key of two endpoints."""
    assert signed_with(sign(b"key"), [("a", b"key"), ("b", b"key")], lambda pair: sign(pair[1])) == ("a", b"key")


@pytest.mark.parametrize("key", [*KEYS, b"another"])
def test_all_keys_are_compared_whichever_is_right(key: bytes) -> None:
    received = sign(key)
    with watched() as calls:
        signed_with(received, KEYS, sign)

    assert calls.comparisons == len(KEYS)
