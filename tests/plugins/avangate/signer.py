"""Signs as 2Checkout does, written from its documentation and not from the code under test.

Source: 2Checkout, "Calculate the IPN HASH signature": each value behind its length in bytes, empty ones as 0,
in the order in which they are sent.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

Fields = Sequence[tuple[str, str]]

SIGNATURES = {"md5": "HASH", "sha256": "SIGNATURE_SHA2_256", "sha3_256": "SIGNATURE_SHA3_256"}
TAG_NAMES = {"sha256": "sha256", "sha3-256": "sha3_256"}
VECTORS = Path(__file__).parent / "vectors"


def digest(key: str, values: Iterable[str], algorithm: str) -> str:
    """The HMAC over the length-prefixed values."""
    source = bytearray()
    for value in values:
        octets = value.encode("utf-8")
        source += f"{len(octets)}".encode("ascii")
        source += octets
    return hmac.new(key.encode("utf-8"), bytes(source), getattr(hashlib, algorithm)).hexdigest()


def signed(fields: Fields, key: str, algorithms: Iterable[str]) -> list[tuple[str, str]]:
    """The fields with their signatures behind them."""
    values = [value for _, value in fields]
    return [*fields, *((SIGNATURES[algorithm], digest(key, values, algorithm)) for algorithm in algorithms)]


def form_body(fields: Fields) -> bytes:
    """The fields as a browser's form would send them."""
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields).encode("ascii")


def receipt_is_valid(answer: str, key: str, values: Sequence[str], algorithm: str) -> bool:
    """Tell whether an answer holds the receipt that 2Checkout computes for itself."""
    if algorithm == "md5":
        found = re.search(r"<EPAYMENT>(\d{14})\|([0-9a-f]{32})</EPAYMENT>", answer)
        return found is not None and digest(key, [*values, found[1]], "md5") == found[2]
    found = re.search(r'<sig algo="(sha256|sha3-256)" date="(\d{14})">([0-9a-f]{64})</sig>', answer)
    return (
        found is not None
        and TAG_NAMES[found[1]] == algorithm
        and digest(key, [*values, found[2]], algorithm) == found[3]
    )


def vector(name: str) -> dict[str, Any]:
    """One of the vectors, with its fields as pairs."""
    data: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    if isinstance(data["fields"], list):
        data["fields"] = [(name, value) for name, value in data["fields"]]
    return data


def without_signatures(fields: Fields) -> list[tuple[str, str]]:
    """The fields that a vector's signatures are over."""
    return [(name, value) for name, value in fields if name not in SIGNATURES.values()]
