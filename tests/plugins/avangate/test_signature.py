"""Signatures and receipts against 2Checkout's published vectors, and against an independent signer."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from qlmhook_avangate.signature import ALGORITHMS, Key, length_prefixed, receipt, sign, verify

from qlmhook.errors import MalformedNotification, SignatureRejected
from qlmhook.vendors.api import Verified
from tests.plugins.avangate.signer import SIGNATURES, signed, vector, without_signatures

SECRET = "synthetic-Secret1!"
KEY = Key(endpoint="DEFAULT", secret=SECRET.encode(), label="shared_keys[0]")
NAMES = {"HASH": "md5", "SIGNATURE_SHA2_256": "sha256", "SIGNATURE_SHA3_256": "sha3-256"}

SIGNED_VECTORS = (
    "ipn-sdk-99999999-complete-251610655414",
    "ipn-sdk-149279389-pending-250847481432",
    "synthetic/ipn-two-products",
    "synthetic/ipn-utf8",
    "synthetic/ipn-special-chars",
    "synthetic/ipn-empty-array-elements",
    "synthetic/ipn-minimal-tags",
    "synthetic/ipn-sha256-only",
    "synthetic/ipn-renewal",
    "synthetic/ipn-refund",
    "synthetic/lcn-expired",
)
SIGNATURES_OF_VECTORS = [(name, field) for name in SIGNED_VECTORS for field in vector(name)["expected"]["signatures"]]
RECEIPT_VALUES = {
    "ipn-doc-read-receipt-example": ("IPN_PID[]", "IPN_PNAME[]", "IPN_DATE"),
    "lcn-doc-read-receipt-example": ("LICENSE_CODE", "EXPIRATION_DATE"),
}
RECEIPTS = [(name, answer) for name in RECEIPT_VALUES for answer in vector(name)["expected"]["responses"]]

VALUES = st.text(st.characters(codec="utf-8"))


def named(values: list[str]) -> list[tuple[str, str]]:
    return [(f"FIELD_{number}", value) for number, value in enumerate(values)]


@pytest.mark.parametrize(("name", "field"), SIGNATURES_OF_VECTORS)
def test_each_signature_of_the_vectors_verifies_alone(name: str, field: str) -> None:
    """The proof names the endpoint, the algorithm and the key of the signature that is there."""
    message = vector(name)
    key = Key(endpoint="DEFAULT", secret=message["secret_key"].encode(), label="shared_keys[0]")
    fields = [*without_signatures(message["fields"]), (field, message["expected"]["signatures"][field])]

    assert verify(fields, [key], ALGORITHMS) == Verified(
        endpoint="DEFAULT",
        algorithm=NAMES[field],
        key=key.secret,
        signed=length_prefixed(value for _, value in without_signatures(message["fields"])),
    )


def test_the_signed_text_is_the_documented_one() -> None:
    """2Checkout's documentation spells out what is signed for an order of 2016."""
    example = vector("ipn-doc-hash-example-2016")

    signed_text = length_prefixed(value for _, value in example["fields"])

    assert signed_text == example["expected"]["source_string"].encode()


@pytest.mark.parametrize(("name", "answer"), RECEIPTS)
def test_the_documented_receipts_are_reproduced(name: str, answer: dict[str, str]) -> None:
    """Row 20: the examples of 2Checkout's documentation for IPN and LCN, in each algorithm."""
    example = vector(name)
    fields = dict(example["fields"])
    algorithm = answer["hash_algo"].replace("_", "-")
    verified = Verified(endpoint="DEFAULT", algorithm=algorithm, key=example["secret_key"].encode())
    now = datetime.strptime(answer["date"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)

    text = receipt(verified, [fields[value] for value in RECEIPT_VALUES[name]], now)

    assert text == answer["body"]


def test_the_receipt_that_an_sdk_publishes_is_reproduced() -> None:
    """2Checkout's Ruby SDK writes the date with dashes, which makes it part of the signed text as any other."""
    capture = vector("ipn-sdk-99999999-complete-251610655414")
    fields = dict(capture["fields"])
    [answer] = capture["expected"]["responses"]

    digest = sign(
        capture["secret_key"].encode(),
        [fields["IPN_PID[]"], fields["IPN_PNAME[]"], fields["IPN_DATE"], answer["date"]],
        "md5",
    )

    assert answer["body"] == f"<EPAYMENT>{answer['date']}|{digest}</EPAYMENT>"


def test_a_receipt_is_dated_in_utc() -> None:
    """Where the server stands does not show in its receipts."""
    verified = Verified(endpoint="DEFAULT", algorithm="sha256", key=KEY.secret)
    now = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=3)))

    text = receipt(verified, ["101"], now)

    assert text == receipt(verified, ["101"], now.astimezone(UTC))
    assert 'date="20251231223000"' in text


@pytest.mark.parametrize("algorithm", SIGNATURES)
@given(values=st.lists(VALUES))
@settings(deadline=None)
def test_whatever_was_signed_verifies(algorithm: str, values: list[str]) -> None:
    """Any values in any number, as an independent signer signs them, in each algorithm."""
    fields = signed(named(values), SECRET, [algorithm])

    assert verify(fields, [KEY], ALGORITHMS).algorithm == NAMES[SIGNATURES[algorithm]]


@st.composite
def edits(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Values, and the same with one of them changed, taken out, or one more put in."""
    values = draw(st.lists(VALUES, min_size=1))
    place = draw(st.integers(0, len(values) - 1))
    other = draw(VALUES)
    instead = draw(st.sampled_from([[other], [], [other, values[place]]]))
    edited = [*values[:place], *instead, *values[place + 1 :]]
    assume(edited != values)
    return values, edited


@given(edit=edits())
@settings(deadline=None)
def test_nothing_else_than_what_was_signed_verifies(edit: tuple[list[str], list[str]]) -> None:
    """A change of any one value, a value more and a value less are noticed."""
    values, edited = edit
    signatures = signed(named(values), SECRET, ["sha3_256"])[len(values) :]

    with pytest.raises(SignatureRejected, match=r"^The signature does not match; check the secret key of this URL\.$"):
        verify([*named(edited), *signatures], [KEY], ALGORITHMS)


def test_names_are_not_signed() -> None:
    """2Checkout signs values only, so a signature says nothing of what they are called."""
    [field, *signatures] = signed([("REFNO", "1")], SECRET, ["sha256"])

    assert verify([("ORDERNO", field[1]), *signatures], [KEY], ALGORITHMS).algorithm == "sha256"


def test_a_signature_may_stand_anywhere() -> None:
    """All captures have the signatures last, but nothing says that they must be."""
    fields = signed([("REFNO", "1"), ("ORDERNO", "2")], SECRET, ["md5", "sha256"])

    assert verify([fields[3], fields[0], fields[2], fields[1]], [KEY], ALGORITHMS).algorithm == "sha256"


@pytest.mark.parametrize("field", NAMES)
def test_two_signatures_of_one_name_are_malformed(field: str) -> None:
    """Even when both are right: 2Checkout sends each once."""
    algorithm = next(known for known, name in SIGNATURES.items() if name == field)
    fields = signed([("REFNO", "1")], SECRET, [algorithm, algorithm])

    with pytest.raises(MalformedNotification, match=rf"^The field {field} is given 2 times\.$"):
        verify(fields, [KEY], ALGORITHMS)


@pytest.mark.parametrize("endpoint", ["FIRST", "SECOND", "THIRD"])
def test_the_proof_names_the_endpoint_whose_key_matches(endpoint: str) -> None:
    """Each URL of an account may have a key of its own, and the receipt is signed with that one."""
    keys = [
        Key(endpoint=name, secret=f"secret of {name}".encode(), label="ipn_keys[0]")
        for name in ("FIRST", "SECOND", "THIRD")
    ]
    fields = signed([("REFNO", "1")], f"secret of {endpoint}", ["sha256"])

    verified = verify(fields, keys, ALGORITHMS)

    assert (verified.endpoint, verified.key) == (endpoint, f"secret of {endpoint}".encode())


def test_a_key_does_not_show_its_secret() -> None:
    """A secret in a log or a stack trace would be a secret lost."""
    assert SECRET not in repr(KEY)


@pytest.mark.parametrize("fields", [[("REFNO", "1")], [("REFNO", "1"), ("HASH", "")], []])
def test_a_notification_without_a_signature_is_rejected(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(SignatureRejected, match=r"^The notification carries no signature\.$"):
        verify(fields, [KEY], ALGORITHMS)


def test_a_signature_that_is_left_blank_is_none() -> None:
    """An account that signs with SHA2 may send the other fields without a value."""
    fields = signed([("REFNO", "1")], SECRET, ["sha256"])

    assert verify([*fields, ("SIGNATURE_SHA3_256", ""), ("HASH", "")], [KEY], ALGORITHMS).algorithm == "sha256"


def test_an_algorithm_that_is_not_allowed_is_rejected() -> None:
    fields = signed([("REFNO", "1")], SECRET, ["md5"])
    said = r"^The notification is signed with md5, which the setting algorithms does not allow\.$"

    with pytest.raises(SignatureRejected, match=said):
        verify(fields, [KEY], ["sha256", "sha3-256"])


def test_of_two_endpoints_with_one_key_the_first_is_named() -> None:
    keys = [Key(endpoint=name, secret=SECRET.encode(), label="ipn_keys[0]") for name in ("FIRST", "SECOND")]

    assert verify(signed([("REFNO", "1")], SECRET, ["sha256"]), keys, ALGORITHMS).endpoint == "FIRST"


def test_a_key_signs_orders_and_subscriptions_unless_it_is_said() -> None:
    assert KEY.kinds == {"ipn", "lcn"}
