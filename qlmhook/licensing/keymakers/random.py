"""The key maker `random`: keys that say nothing but their license model, and that nobody can guess.

A key is a letter for the license model, 24 random characters (120 bits) and a check character: 26 characters,
the base length of QLM's keys. QLM's own encoding is proprietary; these keys only look like it.
"""

import secrets

from qlmhook.domain.license_models import LICENSE_MODELS
from qlmhook.licensing.key_format import ALPHABET, RANDOM_LENGTH, check_character
from qlmhook.vendors.key_maker import KeyMaker, KeyRequest


class RandomKeyMaker(KeyMaker):
    """Makes keys that only the database knows."""

    name = "random"

    def make(self, request: KeyRequest) -> str:
        """Return a new key of the request's license model."""
        bits = secrets.randbits(5 * RANDOM_LENGTH)
        body = "".join(ALPHABET[bits >> 5 * place & 31] for place in range(RANDOM_LENGTH))
        start = LICENSE_MODELS[request.license_model] + body
        return start + check_character(start)
