"""How license keys are shown and read back, and how those of the key maker `random` are recognized."""

import re

from qlmhook.domain.license_models import LICENSE_MODELS

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: without I, L, O and U, which are misread or misheard."""

RANDOM_LENGTH = 24
LENGTH = 1 + RANDOM_LENGTH + 1
GROUP = 5

_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0"})


def check_character(start: str) -> str:
    """Return the character that closes a key of `random`: ISO 7064's hybrid system, with modulus 33 and 32.

    It catches every wrong character and nearly every exchange of neighbours.
    """
    size = len(ALPHABET)
    product = size
    for character in start:
        total = (product + _value(character)) % size or size
        product = total * 2 % (size + 1)
    return ALPHABET[(1 - product) % size]


def _value(character: str) -> int:
    # L, the letter of trial_floating, stands outside the alphabet; U is free
    return ALPHABET.index("1") if character == "L" else ALPHABET.index(character)


def normalize(text: str) -> str:
    """Return what a person typed as keys are stored: no dashes or blanks, upper case, misread letters mended."""
    stripped = re.sub(r"[\W_]", "", text).upper()  # word processors make other dashes
    return stripped[:1] + stripped[1:].translate(_MISREAD)


def is_well_formed(key: str) -> bool:
    """Tell whether a normalized key can be one of `random`: its length, characters, letter and check character."""
    return (
        len(key) == LENGTH
        and key[0] in LICENSE_MODELS.values()
        and all(character in ALPHABET for character in key[1:])
        and key[-1] == check_character(key[:-1])
    )


def grouped(key: str) -> str:
    """Return a key with dashes: groups of five, the last one takes the rest, as QLM shows its keys."""
    cut = max(len(key) // GROUP - 1, 0) * GROUP
    return "-".join([*(key[place : place + GROUP] for place in range(0, cut, GROUP)), key[cut:]])
