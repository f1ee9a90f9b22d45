"""How license keys are shown and read back."""

import random
import string

import pytest

from qlmhook.domain.license_models import LICENSE_MODELS
from qlmhook.licensing import key_format

MODELS = {
    "permanent": "A",
    "permanent_floating": "K",
    "permanent_cloud": "R",
    "trial": "B",
    "trial_floating": "L",
    "trial_cloud": "S",
    "subscription": "F",
    "subscription_floating": "M",
    "subscription_cloud": "T",
}
"""Source: QLM, "QLM License Models", engine version 6."""

# A key of each model as version 0.1 issues them: what customers hold must stay well-formed.
ISSUED = [
    "AM9S3-46Q3D-25VT4-F5V37-E3S3E1",
    "K28JT-97KB6-CQ643-DZVMX-XQKFB7",
    "RF5KZ-NWJ47-TAN9Z-T24MN-PZX45T",
    "BHY43-KWJRP-1XPA7-Z3DJ8-FSSZ5C",
    "LAWSH-8VHTP-RE95B-9EE0Z-BGJ09S",
    "STQM8-3XSSS-S6YS3-C4DWA-7N3607",
    "F96Q1-4DR9G-PQY77-ZXYYK-596NG6",
    "MYA1D-Q91K5-GQAPE-NECFS-ECZP1Q",
    "T1HYG-CPWPQ-5E6EY-CNDY0-YP57RW",
]


def test_there_are_no_other_models() -> None:
    assert dict(LICENSE_MODELS) == MODELS


@pytest.mark.parametrize("grouped", ISSUED)
def test_a_key_that_was_issued_stays_well_formed(grouped: str) -> None:
    assert key_format.is_well_formed(key_format.normalize(grouped))


@pytest.mark.parametrize("grouped", ISSUED)
def test_every_wrong_character_is_caught(grouped: str) -> None:
    key = key_format.normalize(grouped)

    accepted = [
        wrong
        for place in range(len(key))
        for character in string.ascii_uppercase + string.digits
        if character != key[place] and key_format.is_well_formed(wrong := key[:place] + character + key[place + 1 :])
    ]
    assert accepted == []


def test_nearly_every_exchange_of_neighbors_is_caught() -> None:
    chance = random.Random(7064)
    exchanged = caught = 0
    for _ in range(200):
        start = "F" + "".join(chance.choices(key_format.ALPHABET, k=24))
        key = start + key_format.check_character(start)
        for place in range(1, 25):
            wrong = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
            exchanged += wrong != key
            caught += wrong != key and not key_format.is_well_formed(wrong)

    assert caught / exchanged > 0.97


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="nothing"),
        pytest.param("F", id="a letter"),
        pytest.param("FGGH0S0K0071B18S868R1F1J2UQKPUN", id="QLM's own sample, which is longer"),
        pytest.param("É" * 26, id="other letters"),
    ],
)
def test_what_is_no_key_is_not_well_formed(key: str) -> None:
    assert not key_format.is_well_formed(key)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("ABCDEFGHJKMNPQRSTVWXYZ0123", "ABCDE-FGHJK-MNPQR-STVWX-YZ0123"),
        # Source: QLM, a key with features
        ("FGGH0S0K0071B18S868R1F1J2UQKPUN", "FGGH0-S0K00-71B18-S868R-1F1J2-UQKPUN"),
        ("ABCDE", "ABCDE"),
        ("", ""),
    ],
)
def test_a_key_is_shown_in_groups_of_five_whose_last_takes_the_rest(key: str, shown: str) -> None:
    assert key_format.grouped(key) == shown


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        pytest.param("fgh01-23456-789ab-cdefg-hjkmnp", "FGH0123456789ABCDEFGHJKMNP", id="lower case and dashes"),
        pytest.param(" FGH01 23456\t789AB\ncdefg--HJKMNP ", "FGH0123456789ABCDEFGHJKMNP", id="blanks"),
        pytest.param("FO-IL-oil", "F011011", id="misread letters"),
        pytest.param("LOIL0", "L0110", id="the L of a floating trial stays"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_what_a_person_types_is_read_as_keys_are_stored(typed: str, stored: str) -> None:
    assert key_format.normalize(typed) == stored


def test_a_key_reads_back_as_it_was_shown() -> None:
    stored = [key_format.normalize(grouped) for grouped in ISSUED]

    assert [key_format.normalize(key_format.grouped(key).lower()) for key in stored] == stored
