"""Finds what a signature was made with, in a time that tells nothing."""

import hmac
from collections.abc import Callable, Iterable
from typing import TypeVar

Candidate = TypeVar("Candidate")


def signed_with(received: str, candidates: Iterable[Candidate], sign: Callable[[Candidate], str]) -> Candidate | None:
    """Return the first candidate, such as a key, that `sign` makes the received signature with, or None.

    All are tried, also when one was right, and each is compared in constant time.
    """
    octets = received.encode(errors="surrogatepass")
    matching = [candidate for candidate in candidates if hmac.compare_digest(sign(candidate).encode(), octets)]
    return next(iter(matching), None)
