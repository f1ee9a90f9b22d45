"""Whatever the order in which an order's notifications arrive, and however often: the licenses end up the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.reports import listings
from tests.conftest import Clock, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields

PRODUCTS = {1: "101", 2: "103", 3: "102"}
"""What each order of the subscription buys."""


@pytest.fixture(scope="module")
def open_all_hours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for all examples; each example has orders and a subscription of its own."""
    path = tmp_path_factory.mktemp("histories") / "qlmhook.toml"
    path.write_text(
        'worker = false\n[vendors.avangate]\nuser = "tom"\npassword = "planted-Passw0rd"\n'
        'shared_keys = ["synthetic-Secret1!"]\nrevoke_on_refund = true\nrevoke_on_cancel = true\n'
    )
    shop = Shop(load_settings({CONFIG_VARIABLE: str(path)}), Clock())
    shop.map("101")
    shop.map("102", "&is_productid=2&is_majorversion=1&is_minorversion=0&is_licensemodel=subscription")
    shop.map(
        "103", "&is_productid=3&is_majorversion=1&is_minorversion=0&is_usemultipleactivationskey=false&is_maintplan=1"
    )
    yield shop
    shop.service.database.close()


_number = iter(range(100_000, 10_000_000))

dates = st.integers(1, 28).map(lambda day: f"2026-02-{day:02}")
message_times = st.integers(0, 59).map(lambda minute: f"202602011000{minute:02}")


@st.composite
def ipns(draw: st.DrawFn) -> dict[str, Any]:
    """What one IPN says, for an order of the subscription."""
    return {
        "order": draw(st.integers(1, 3)),
        "status": draw(
            st.sampled_from(["PENDING", "PAYMENT_AUTHORIZED", "COMPLETE", "COMPLETE", "REFUND", "CANCELED"])
        ),
        "chargeback": draw(st.sampled_from(["", "", "", "NONE", "OPEN", "WON", "LOST"])),
        "fraud": draw(st.sampled_from(["APPROVED", "APPROVED", "UNDER REVIEW"])),
        "quantity": str(draw(st.integers(1, 3))),
        "expires": draw(
            st.one_of(st.just(""), dates.map(lambda day: f"{day} 12:00:00"), st.just("9999-12-31 23:59:59"))
        ),
        "placed": draw(dates),
        "made": draw(message_times),
        "email": draw(st.sampled_from(["a@example.com", "b@example.com"])),
    }


@st.composite
def lcns(draw: st.DrawFn) -> dict[str, Any]:
    """What one LCN says of the subscription."""
    return {
        "status": draw(st.sampled_from(["ACTIVE", "EXPIRED", "DISABLED", "PAUSED", "PAST DUE"])),
        "expires": draw(st.one_of(st.just(""), dates, st.just("9999-12-31"))),
        "updated": draw(dates),
    }


def _told_at(message: dict[str, Any]) -> str:
    told_at: str = message.get("made") or message["updated"]
    return told_at


# between two different messages that the vendor dates to the same second, either may count
histories = st.lists(st.one_of(ipns(), ipns(), lcns()), min_size=1, max_size=6, unique_by=_told_at)


def _fields(message: dict[str, Any], number: int) -> Fields:
    ref = f"S{number}"
    if "order" not in message:
        return [
            ("LICENSE_CODE", ref),
            ("EXPIRATION_DATE", message["expires"]),
            ("DATE_UPDATED", f"{message['updated']} 10:00:30"),
            ("STATUS", message["status"]),
            ("LICENSE_GRACE_PERIOD", "3"),
        ]
    line = Line(
        pid=PRODUCTS[message["order"]], name="Alpha", quantity=message["quantity"], ref=ref, expires=message["expires"]
    )
    return Order(
        refno=f"{number}{message['order']}",
        status=message["status"],
        lines=[line],
        email=message["email"],
        sale_date=f"{message['placed']} 09:00:00",
        ipn_date=message["made"],
        extra=[("CHARGEBACK_RESOLUTION", message["chargeback"]), ("FRAUD_STATUS", message["fraud"])],
    ).fields()


def _outcome(shop: Shop, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Post the messages and return the licenses that can be used, or could be again, without what is random."""
    number = next(_number)
    for message in messages:
        assert shop.post(_fields(message, number)).status_code == 200
    with shop.service.database.reading():
        licenses = listings.licenses(now=shop.clock(), subscription=f"S{number}")
    kept = [row for row in licenses if row["status"] != "revoked"]
    for row in kept:
        for name in ("order_ref", "barred_why"):
            row[name] = row[name].replace(str(number), "")
        for name in ("key", "issued_at", "subscription_ref", "customer"):
            row.pop(name)
    return sorted(kept, key=lambda row: row["unit"])


@settings(max_examples=12, deadline=None)
@given(data=st.data(), history=histories)
def test_the_order_of_arrival_does_not_matter(
    open_all_hours: Shop, data: st.DataObject, history: list[dict[str, Any]]
) -> None:
    """Any permutation of a history, with any of it repeated, ends in the same licenses."""
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=4))
    shuffled = data.draw(st.permutations([*history, *repeated]))

    assert _outcome(open_all_hours, list(shuffled)) == _outcome(open_all_hours, history)
