"""A message that means nothing takes nothing away from the genuine one, and marks of two kinds make no message."""

from collections.abc import Callable

import pytest

from qlmhook.reports import listings
from tests.conftest import KEY, QUERY, OpenShop, Shop
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import Fields, form_body, receipt_is_valid, signed
from tests.plugins.avangate.subscriptions import Subscription
from tests.support.looking import licenses, states, waiting

pytestmark = pytest.mark.sqlite
"""What a message may say is decided before the database is asked."""


Mutate = Callable[[Fields], Fields]

ORDER = Order()


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    shop = open_shop()
    shop.map("101")
    return shop


def renamed(name: str, other: str) -> Mutate:
    return lambda fields: [(other if field == name else field, value) for field, value in fields]


def malformed(mutate: Mutate) -> bytes:
    """The order under other names, which are not signed, with the order's own signature."""
    genuine = signed(ORDER.fields(), KEY, ["sha3_256"])
    return form_body([*mutate(ORDER.fields()), genuine[-1]])


malformations = pytest.mark.parametrize(
    "mutate",
    [renamed("REFNO", "X"), renamed("ORDERNO", "REFNO"), renamed("IPN_LICENSE_REF[]", "LICENSE_CODE")],
    ids=["no order", "two orders", "both kinds"],
)


@malformations
def test_a_malformed_message_that_comes_first_does_not_block_the_genuine_one(shop: Shop, mutate: Mutate) -> None:
    """Whoever has seen a message could otherwise keep the license from its customer."""
    first = shop.post_body(malformed(mutate))

    answer = shop.post(ORDER.fields())

    assert first.status_code == 400
    assert answer.status_code == 200
    assert receipt_is_valid(answer.text, KEY, ORDER.receipt_values(), "sha3_256")
    assert states(shop) == ["held", "done"]
    assert [row["order_ref"] for row in licenses(shop)] == [ORDER.refno]


@malformations
def test_a_malformed_message_after_the_genuine_one_is_refused_and_alerted(shop: Shop, mutate: Mutate) -> None:
    """It has the signature of a message whose meaning is known; nothing of it is kept."""
    shop.post(ORDER.fields())

    answer = shop.post_body(malformed(mutate))

    assert answer.status_code == 403
    assert states(shop) == ["done"]
    [alert] = waiting(shop, "alert")
    assert alert["subject"].startswith("A notification of avangate is refused. The signature is that of notification 1")


@pytest.mark.parametrize(
    ("message", "foreign"),
    [
        *((Subscription(), name) for name in ("REFNO", "ORDERSTATUS", "CUSTOMEREMAIL", "IPN_DATE", "IPN_QTY[]")),
        *((ORDER, name) for name in ("LICENSE_CODE", "LICENSE_PRODUCT", "EXPIRATION_DATE", "DATE_UPDATED", "DISABLED")),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_message_with_a_field_of_the_other_kind_is_malformed(
    shop: Shop, message: Order | Subscription, foreign: str
) -> None:
    """2Checkout sends none; it would be one kind that was relabelled as the other."""
    answer = shop.post([*message.fields(), (foreign, "1")])

    assert (answer.status_code, answer.text) == (
        400,
        "The notification must be either an IPN, with IPN_PID[], or an LCN, with LICENSE_CODE.\n",
    )
    assert licenses(shop) == []


def test_an_endpoint_that_nobody_configured_is_said_to_have_no_key(shop: Shop) -> None:
    """So that nobody looks for a wrong key where the URL has a typing error."""
    answer = shop.post(ORDER.fields(), query=f"{QUERY}&is_endpoint=nowhere")

    assert (answer.status_code, answer.text) == (
        403,
        "The endpoint that is_endpoint names has no key for this kind of notification.\n",
    )
    with shop.service.database.reading():
        assert listings.notifications() == []
