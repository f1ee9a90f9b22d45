"""The keys of the key maker `random`."""

import pytest

from qlmhook.domain.license_models import LICENSE_MODELS
from qlmhook.licensing import key_format
from qlmhook.licensing.keymakers.random import RandomKeyMaker
from qlmhook.vendors.key_maker import KeyRequest
from tests.support.made import day


def new_key(model: str) -> str:
    request = KeyRequest(license_model=model, product_id=1, major_version=1, minor_version=0, issued_at=day(0))
    return RandomKeyMaker().make(request)


@pytest.mark.parametrize(("model", "letter"), LICENSE_MODELS.items())
def test_a_key_begins_with_the_letter_of_its_model(model: str, letter: str) -> None:
    key = new_key(model)

    assert key[0] == letter
    assert key_format.is_well_formed(key)


def test_a_key_has_120_random_bits() -> None:
    """Each of the 24 places between the letter and the check character takes any of 32 characters."""
    made = [new_key("permanent") for _ in range(2000)]

    assert {len(key) for key in made} == {26}
    assert [len({key[place] for key in made}) for place in range(1, 25)] == [32] * 24
    assert len(set(made)) == len(made)
