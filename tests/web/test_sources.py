"""The setting `sources`: from which addresses notifications are taken, also behind proxies."""

from ipaddress import ip_address

import pytest
from werkzeug.test import TestResponse

from qlmhook.errors import ConfigurationError
from qlmhook.reports import listings
from tests.conftest import KEY, QUERY, URL, USER, OpenShop, Shop
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed

ORDER = Order()
BODY = form_body(signed(ORDER.fields(), KEY, ["sha256"]))

# Source: 2Checkout, "Secure webhooks", and a later copy of it, which names the last one
PUBLISHED = {
    "91.220.121.0": "91.220.121.127",
    "5.35.210.128": "5.35.210.255",
    "184.106.7.192": "184.106.7.199",
    "85.17.14.128": "85.17.14.159",
    "162.221.60.0": "162.221.63.255",
}
"""The first and the last address of each network that 2Checkout says it posts from."""

PROXY = "10.0.0.1"
SHOP, STRANGER = "192.0.2.7", "203.0.113.5"


@pytest.fixture
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An address is judged before the database is reached."""
    return f"sqlite:///{tmp_path_factory.mktemp('sources') / 'test.db'}"


def post(shop: Shop, address: str, *headers: tuple[str, str], query: str = QUERY) -> TestResponse:
    """A signed order from an address."""
    return shop.client.post(
        f"{URL}?{query}",
        data=BODY,
        content_type="application/x-www-form-urlencoded",
        headers=list(headers),
        environ_overrides={"REMOTE_ADDR": address},
    )


def is_taken(answer: TestResponse) -> bool:
    """Whether there is a receipt; if not, the answer says that it is the address."""
    if answer.status_code == 200:
        return receipt_is_valid(answer.text, KEY, ORDER.receipt_values(), "sha256")
    assert (answer.status_code, answer.text) == (403, "Notifications are not taken from this address.\n")
    return False


def neighbours(first: str, last: str) -> list[str]:
    """The addresses just outside of a network."""
    return [str(ip_address(first) - 1), str(ip_address(last) + 1)]


@pytest.mark.parametrize(
    ("sources", "address", "taken"),
    [
        pytest.param("", STRANGER, True, id="no list"),
        pytest.param("192.0.2.0/24", SHOP, True, id="in the network"),
        pytest.param("192.0.2.0/24", "192.0.3.0", False, id="beside the network"),
        pytest.param("192.0.2.7", SHOP, True, id="the address"),
        pytest.param("192.0.2.7", "192.0.2.8", False, id="another address"),
        pytest.param('["198.51.100.0/24", "192.0.2.0/24"]', SHOP, True, id="in the second network"),
        pytest.param('["198.51.100.0/24", "192.0.2.0/24"]', STRANGER, False, id="in no network"),
        pytest.param("2001:db8::/32", "2001:db8::7", True, id="IPv6"),
        pytest.param("2001:db8::/32", "2001:db9::7", False, id="beside an IPv6 network"),
        pytest.param("2001:db8::/32", SHOP, False, id="IPv4 where IPv6 is meant"),
        pytest.param("192.0.2.0/24", "2001:db8::7", False, id="IPv6 where IPv4 is meant"),
        pytest.param("192.0.2.0/24", f"::ffff:{SHOP}", True, id="IPv4 in IPv6"),
        pytest.param("192.0.2.0/24", f"::FFFF:{SHOP}", True, id="IPv4 in IPv6 in upper case"),
        pytest.param("192.0.2.0/24", f"::ffff:{STRANGER}", False, id="a strange IPv4 in IPv6"),
        pytest.param("::/0", f"::ffff:{SHOP}", False, id="IPv4 in IPv6 is no IPv6"),
        pytest.param("0.0.0.0/0", "", False, id="a socket without an address"),
        pytest.param("0.0.0.0/0", "unix:", False, id="no address"),
        pytest.param("0.0.0.0/0", f"{SHOP}, {STRANGER}", False, id="two addresses"),
        pytest.param('["published", "192.0.2.0/24"]', SHOP, True, id="published and a network, in the network"),
        pytest.param('["published", "192.0.2.0/24"]', "91.220.121.21", True, id="published and a network, published"),
        pytest.param('["published", "192.0.2.0/24"]', STRANGER, False, id="published and a network, in neither"),
    ],
)
def test_notifications_are_taken_from_the_addresses_of_the_list(
    open_shop: OpenShop, sources: str, address: str, taken: bool
) -> None:
    """Without a list, from every address."""
    shop = open_shop(vendors__avangate__sources=sources)

    assert is_taken(post(shop, address)) is taken


def test_published_means_the_networks_that_2checkout_names(open_shop: OpenShop) -> None:
    """To their first and last address, and no further."""
    shop = open_shop(vendors__avangate__sources="published")
    inside = [*PUBLISHED.keys(), *PUBLISHED.values()]
    outside = [address for ends in PUBLISHED.items() for address in neighbours(*ends)]

    assert [address for address in inside if not is_taken(post(shop, address))] == []
    assert [address for address in outside if is_taken(post(shop, address))] == []


@pytest.mark.parametrize(
    ("hops", "address", "forwarded", "taken"),
    [
        pytest.param(0, SHOP, [STRANGER], True, id="no proxy, and a header all the same"),
        pytest.param(0, STRANGER, [SHOP], False, id="no proxy, forged"),
        pytest.param(1, PROXY, [SHOP], True, id="a proxy"),
        pytest.param(1, PROXY, [STRANGER], False, id="a stranger through a proxy"),
        pytest.param(1, PROXY, [f"{STRANGER}, {SHOP}"], True, id="a proxy adds to what the shop sent"),
        pytest.param(1, PROXY, [f"{SHOP}, {STRANGER}"], False, id="a proxy adds to what is forged"),
        pytest.param(1, PROXY, [SHOP, STRANGER], False, id="a proxy adds a header of its own to a forged one"),
        pytest.param(1, PROXY, [f'{SHOP}, ", {STRANGER}'], False, id="forged, with a quotation mark"),
        pytest.param(1, PROXY, ["not an address"], False, id="a proxy that tells no address"),
        pytest.param(1, PROXY, [], False, id="a proxy that tells nothing"),
        pytest.param(1, PROXY, [f"::ffff:{SHOP}"], True, id="a proxy that listens on IPv6"),
        pytest.param(2, PROXY, [f"{SHOP}, 10.0.0.2"], True, id="two proxies"),
        pytest.param(2, PROXY, [f"{SHOP}, {STRANGER}, 10.0.0.2"], False, id="forged before two proxies"),
        pytest.param(2, PROXY, [SHOP], False, id="one proxy where two are configured"),
    ],
)
def test_only_the_configured_number_of_hops_counts(
    open_shop: OpenShop, hops: int, address: str, forwarded: list[str], taken: bool
) -> None:
    """Counted from our end: what a client puts into X-Forwarded-For itself stands before them."""
    shop = open_shop(vendors__avangate__sources="192.0.2.0/24", trusted_proxies=str(hops))

    answer = post(shop, address, *(("X-Forwarded-For", value) for value in forwarded))

    assert is_taken(answer) is taken


@pytest.mark.parametrize("header", ["X-Real-IP", "Forwarded", "Client-IP", "True-Client-IP", "CF-Connecting-IP"])
def test_no_other_header_tells_the_address(open_shop: OpenShop, header: str) -> None:
    shop = open_shop(vendors__avangate__sources="192.0.2.0/24", trusted_proxies="1")
    value = f"for={SHOP}" if header == "Forwarded" else SHOP

    assert not is_taken(post(shop, STRANGER, (header, value)))


def test_a_stranger_learns_nothing_of_the_credentials(open_shop: OpenShop) -> None:
    """The address is judged first: right and wrong passwords are answered alike, and nothing is kept."""
    shop = open_shop(vendors__avangate__sources="192.0.2.0/24")

    answers = [post(shop, STRANGER, query=query) for query in (QUERY, f"is_user={USER}&is_pwd=wrong", "")]

    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert not is_taken(answers[0])
    with shop.service.database.reading():
        assert listings.notifications() == []


def test_a_stranger_is_named_in_the_log_by_the_address_that_counts(
    open_shop: OpenShop, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that the nearest trusted proxy saw."""
    shop = open_shop(vendors__avangate__sources="192.0.2.0/24", trusted_proxies="1")

    post(shop, PROXY, ("X-Forwarded-For", f"{SHOP}, {STRANGER}"))

    assert f"from {STRANGER} is refused (403)" in caplog.text


def test_each_account_has_its_own_list(open_shop: OpenShop) -> None:
    """One account's addresses are no other's."""
    account = {"plugin": "avangate", "user": "eve", "password": "another-Passw0rd", "shared_keys": KEY}
    sources = {"vendors__avangate__sources": "192.0.2.0/24", "vendors__east__sources": "203.0.113.0/24"}
    shop = open_shop(**sources, **{f"vendors__east__{name}": value for name, value in account.items()})
    east = "is_vendor=east&is_user=eve&is_pwd=another-Passw0rd"

    taken = [is_taken(post(shop, address, query=query)) for query in (QUERY, east) for address in (SHOP, STRANGER)]

    assert taken == [True, False, False, True]


@pytest.mark.parametrize("sources", ["192.0.2.0/33", "192.0.2.7/24", "Published", "secure.2checkout.com", "192.0.2."])
def test_what_is_no_network_stops_the_start(open_shop: OpenShop, sources: str) -> None:
    """A list that is misunderstood would keep the shop out, or let strangers in."""
    with pytest.raises(ConfigurationError, match=r"vendors\.avangate\.sources\.?.*networks like 192\.0\.2\.0/24"):
        open_shop(vendors__avangate__sources=sources)
