"""Several URLs, several keys, several merchants: which key counts for what, and what is remembered of it.

Source: 2Checkout, "IPN and LCN URL Settings": a merchant has a default URL with the account's key, and up to eight
custom URLs for IPN and for LCN, each with a key of its own.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from qlmhook.catalog import mappings
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.reports import listings
from tests.conftest import MAPPING, Clock, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import Fields, receipt_is_valid
from tests.support.server import command

ACCOUNT_KEY = "the account's Secret1!"
ENDPOINTS = ("MYTESTNOTIFICATIONS", "shop-eu", "Shop_US", "beta", "Resellers", "ALPHA2", "7", "the last one")
KINDS = ("ipn", "lcn")

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For which key verifies, the engine makes no difference."""


def key_of(endpoint: str, kind: str, number: int = 0) -> str:
    return f"{kind} key {number} of {endpoint}"


def account(
    name: str = "avangate",
    *,
    shared_keys: Sequence[str] = (ACCOUNT_KEY,),
    endpoints: Sequence[str] = (),
    keys_each: int = 1,
    **settings: str,
) -> str:
    """A section of the configuration; endpoints have as many keys for IPN, and as many for LCN."""
    lines = [f"[vendors.{name}]", 'plugin = "avangate"', f"shared_keys = {json.dumps(list(shared_keys))}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    for endpoint in endpoints:
        lines.append(f'[vendors.{name}.endpoints."{endpoint}"]')
        for kind in KINDS:
            lines.append(f"{kind}_keys = {json.dumps([key_of(endpoint, kind, n) for n in range(keys_each)])}")
    return "\n".join(lines)


EIGHT = account(endpoints=ENDPOINTS, keys_each=8)
"""Eight endpoints, each with eight keys for IPN and eight for LCN, beside the account's key."""

OpenWith = Callable[[str], Shop]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "qlmhook.toml"


@pytest.fixture
def open_with(config: Path, database_url: str, clock: Clock) -> Iterator[OpenWith]:
    """Open a shop with these sections in its configuration; a second time as after a restart."""
    shops: list[Shop] = []

    def open_(sections: str) -> Shop:
        head = f'database = "{database_url}"\nworker = false\ndefault_vendor = "avangate"\n'
        head += '[mail]\noperator = "operator@example.com"\n'
        config.write_text(head + sections, encoding="utf-8")
        shops.append(Shop(load_settings({CONFIG_VARIABLE: str(config)}), clock))
        return shops[-1]

    yield open_
    for shop in shops:
        shop.service.database.close()


def ipn(number: int = 1) -> Order:
    return Order(refno=f"{900000000 + number}", lines=[Line(ref=f"REF{number}")])


def lcn(number: int = 1, *, status: str = "ACTIVE") -> Fields:
    return [
        ("LICENSE_CODE", f"REF{number}"),
        ("EXPIRATION_DATE", "2028-01-01"),
        ("DATE_UPDATED", "2026-01-01 11:00:00"),
        ("STATUS", status),
    ]


def message(kind: str, number: int = 1) -> Fields:
    return ipn(number).fields() if kind == "ipn" else lcn(number)


def receipt_values(fields: Fields) -> tuple[str, ...]:
    """What the receipt of a message is over: for an IPN its first product and date, for an LCN code and end."""
    told = dict(reversed(fields))
    names = ("IPN_PID[]", "IPN_PNAME[]", "IPN_DATE") if "IPN_PID[]" in told else ("LICENSE_CODE", "EXPIRATION_DATE")
    return tuple(told[name] for name in names)


def receipted(shop: Shop, fields: Fields, key: str, query: str = "") -> bool:
    """Post a message signed with a key; whether it is receipted with that same key, else it must be refused."""
    answer = shop.post(fields, key=key, query=query)
    if answer.status_code == 200:
        return receipt_is_valid(answer.text, key, receipt_values(fields), "sha3_256")
    assert answer.status_code == 403
    assert "<sig" not in answer.text
    return False


def endpoints_recorded(config: Path) -> list[str]:
    """What `notification list --json` tells, oldest first."""
    finished = command(config, "notification", "list", "--json")
    return [row["endpoint"] for row in json.loads(finished.stdout)]


def doctor_on(config: Path, account: str) -> dict[str, str]:
    """What `doctor` says of an account's keys: when each was last used, by what it is called."""
    lines = command(config, "doctor").stdout.splitlines()
    found = (re.fullmatch(rf"ok    vendor {account}: key (.+) \([0-9a-f]{{8}}\) (.+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def set_property(shop: Shop, name: str, value: str) -> None:
    with shop.service.database.transaction():
        mappings.save(name, value, now=shop.clock())


def alerts(shop: Shop) -> list[str]:
    with shop.service.database.reading():
        return [row["subject"] for row in listings.outbox_rows() if row["kind"] == "alert"]


def licenses(shop: Shop) -> list[tuple[str, str, str]]:
    """Account, order and expiry of each license."""
    with shop.service.database.reading():
        rows = listings.licenses(now=shop.clock())
    return [(row["vendor"], row["order_ref"], row["expires_at"]) for row in rows]


@sqlite_only
class TestWhichKeyCounts:
    """Each endpoint's keys verify what is sent to its URL, for their own kind of message."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_every_key_of_every_endpoint_verifies_its_own_kind(
        self, open_with: OpenWith, endpoint: str, kind: str
    ) -> None:
        """Whether the URL names the endpoint or not; it signs the receipt, and the endpoint is recorded."""
        shop = open_with(EIGHT)
        queries = ["", f"is_endpoint={endpoint}"]

        answers = [
            receipted(shop, message(kind, number), key_of(endpoint, kind, number), queries[number % 2])
            for number in range(8)
        ]

        assert answers == [True] * 8
        with shop.service.database.reading():
            assert [row["endpoint"] for row in listings.notifications()] == [endpoint] * 8

    def test_the_matched_endpoint_is_listed(self, open_with: OpenWith, config: Path) -> None:
        """DEFAULT is 2Checkout's own name for the account's URL."""
        shop = open_with(EIGHT)
        for number, endpoint in enumerate(ENDPOINTS):
            receipted(shop, ipn(number).fields(), key_of(endpoint, "ipn"))
        receipted(shop, ipn(99).fields(), ACCOUNT_KEY)

        assert endpoints_recorded(config) == [*ENDPOINTS, "DEFAULT"]

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_no_key_of_an_endpoint_verifies_the_other_kind(self, open_with: OpenWith, endpoint: str, kind: str) -> None:
        """An IPN key no LCN, an LCN key no IPN; naming the endpoint does not help."""
        shop = open_with(EIGHT)
        other = "lcn" if kind == "ipn" else "ipn"

        for query in ("", f"is_endpoint={endpoint}"):
            assert [n for n in range(8) if receipted(shop, message(kind), key_of(endpoint, other, n), query)] == []

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("query", ["", "is_endpoint=", "is_endpoint=DEFAULT", "IS_ENDPOINT=default"])
    def test_the_accounts_key_verifies_both_kinds_at_the_default_url(
        self, open_with: OpenWith, kind: str, query: str
    ) -> None:
        shop = open_with(EIGHT)

        assert receipted(shop, message(kind), ACCOUNT_KEY, query)

    @pytest.mark.parametrize(
        "query",
        [
            "is_endpoint=Shop_US",
            "is_endpoint=shop_us",
            "is_endpoint=SHOP_US",
            "IS_ENDPOINT=Shop_US",
            "Is_Endpoint=sHOP_us",
            "is_vendor=avangate&is_endpoint=Shop_US",
            "?is_endpoint=Shop_US",
        ],
    )
    def test_a_url_may_name_its_endpoint_in_any_letter_case(self, open_with: OpenWith, query: str) -> None:
        shop = open_with(EIGHT)

        assert receipted(shop, ipn().fields(), key_of("Shop_US", "ipn", 7), query)

    @pytest.mark.parametrize(
        ("key", "query"),
        [
            pytest.param(key_of("beta", "ipn"), "is_endpoint=Shop_US", id="another endpoint's key"),
            pytest.param(ACCOUNT_KEY, "is_endpoint=Shop_US", id="the account's key at an endpoint"),
            pytest.param(key_of("Shop_US", "ipn"), "is_endpoint=DEFAULT", id="an endpoint's key at the default URL"),
            pytest.param(key_of("Shop_US", "ipn"), "is_endpoint=Shop", id="a part of the name"),
            pytest.param(key_of("Shop_US", "ipn"), "is_endpoint=Shop_US%20", id="the name and a blank"),
            pytest.param(key_of("Shop_US", "ipn"), "is_endpoint=nowhere", id="an unknown name"),
            pytest.param(ACCOUNT_KEY, "is_endpoint=nowhere", id="an unknown name, the account's key"),
        ],
    )
    def test_at_a_named_endpoint_no_other_key_counts(self, open_with: OpenWith, key: str, query: str) -> None:
        """Neither those of other endpoints nor the account's."""
        shop = open_with(EIGHT)

        assert not receipted(shop, ipn().fields(), key, query)

    def test_an_endpoint_named_twice_is_refused(self, open_with: OpenWith) -> None:
        """Neither name wins."""
        shop = open_with(EIGHT)

        answer = shop.post(ipn().fields(), key=ACCOUNT_KEY, query="is_endpoint=DEFAULT&IS_ENDPOINT=beta")

        assert answer.status_code == 400

    def test_an_account_may_have_endpoints_alone(self, open_with: OpenWith) -> None:
        """Without the account's key the default URL takes nothing."""
        shop = open_with(account(shared_keys=[], endpoints=["beta"]))

        assert receipted(shop, ipn().fields(), key_of("beta", "ipn"))
        assert not receipted(shop, ipn(2).fields(), key_of("beta", "ipn"), "is_endpoint=DEFAULT")

    def test_an_endpoint_without_keys_takes_nothing(self, open_with: OpenWith) -> None:
        """Not even what is signed with the empty key."""
        shop = open_with(account(endpoints=["beta"], keys_each=0))

        assert not receipted(shop, ipn().fields(), "", "is_endpoint=beta")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_message_at_two_urls_is_one(open_with: OpenWith, kind: str) -> None:
    """Two signatures, two receipts; one license, one mail, one notification that came in two copies."""
    shop = open_with(EIGHT)
    shop.map("101", MAPPING)
    if kind == "lcn":
        assert receipted(shop, ipn().fields(), ACCOUNT_KEY)
    fields = message(kind)

    assert receipted(shop, fields, ACCOUNT_KEY)
    assert receipted(shop, fields, key_of("beta", kind), "is_endpoint=beta")

    end = {"ipn": "2026-12-31T22:00:00Z", "lcn": "2028-01-01T21:59:59Z"}[kind]
    assert licenses(shop) == [("avangate", "900000001", end)]
    with shop.service.database.reading():
        rows = [(row["endpoint"], row["copies"]) for row in listings.notifications() if row["kind"] == kind]
        mails = [row for row in listings.outbox_rows() if row["kind"] == "mail"]
    assert rows == [("DEFAULT", 2)]
    assert len(mails) == 1
    assert alerts(shop) == []


@sqlite_only
class TestRotation:
    """A key is changed without losing a message."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("endpoint", ["", "beta"])
    def test_the_old_key_verifies_until_it_is_removed(self, open_with: OpenWith, endpoint: str, kind: str) -> None:
        """First the old alone, then the new before it, then the new alone; of the account and of an endpoint."""
        old, new = "the old Secret1!", "the new Secret2!"

        def configured(*keys: str) -> str:
            if not endpoint:
                return account(shared_keys=keys)
            return f"{account()}\n[vendors.avangate.endpoints.{endpoint}]\n{kind}_keys = {json.dumps(keys)}"

        def verified(*keys: str) -> list[bool]:
            shop = open_with(configured(*keys))
            return [receipted(shop, message(kind, number), key) for number, key in enumerate((old, new))]

        assert verified(old) == [True, False]
        assert verified(new, old) == [True, True]
        assert verified(new) == [False, True]

    def test_doctor_and_metrics_show_when_each_key_was_last_used(
        self, open_with: OpenWith, config: Path, clock: Clock
    ) -> None:
        """So that an old one can be removed knowingly. They name keys by an id that tells nothing of the key."""
        shop = open_with(account(shared_keys=["new-Secret2!", "old-Secret1!"], endpoints=["beta"]))
        used = {
            "DEFAULT shared_keys[0]": "new-Secret2!",
            "DEFAULT shared_keys[1]": "old-Secret1!",
            "beta lcn_keys[0]": key_of("beta", "lcn"),
        }
        last: dict[str, float] = {}
        for number, (name, key) in enumerate([*used.items(), *used.items()]):
            clock.now += timedelta(hours=1)
            receipted(shop, message("lcn" if "lcn" in name else "ipn", number), key)
            last[name] = clock.now.timestamp()

        metrics = shop.client.get("/metrics").text
        said = command(config, "doctor").stdout

        assert doctor_on(config, "avangate") == {
            "DEFAULT shared_keys[0]": "last used 2026-01-01 16:00 UTC",
            "DEFAULT shared_keys[1]": "last used 2026-01-01 17:00 UTC",
            "beta ipn_keys[0]": "never used",
            "beta lcn_keys[0]": "last used 2026-01-01 18:00 UTC",
        }
        ids = dict(re.findall(r"key (.+) \(([0-9a-f]{8})\)", said))
        shown = {
            (vendor, key): float(value)
            for vendor, key, value in re.findall(
                r'^qlmhook_key_last_used_timestamp_seconds{key_id="(.*)",vendor="(.*)"} (.*)$', metrics, re.MULTILINE
            )
        }
        assert shown == {(ids[name], "avangate"): timestamp for name, timestamp in last.items()}
        assert [key for key in [*used.values(), key_of("beta", "ipn")] if key in metrics + said] == []

    def test_a_refused_message_uses_no_key(self, open_with: OpenWith, config: Path) -> None:
        """Else an attacker could keep an old key alive."""
        shop = open_with(account())
        receipted(shop, ipn().fields(), "wrong")

        assert doctor_on(config, "avangate") == {"DEFAULT shared_keys[0]": "never used"}

    def test_a_copy_uses_its_key(self, open_with: OpenWith, config: Path, clock: Clock) -> None:
        """A message that is known already proves that its key is still in use."""
        shop = open_with(account())
        receipted(shop, ipn().fields(), ACCOUNT_KEY)
        clock.now += timedelta(hours=1)
        receipted(shop, ipn().fields(), ACCOUNT_KEY)

        assert doctor_on(config, "avangate") == {"DEFAULT shared_keys[0]": "last used 2026-01-01 13:00 UTC"}


WEST = account("avangate", shared_keys=["west-Secret1!"], user="tom", password="west-Passw0rd")
EAST = account(
    "east",
    shared_keys=["east-Secret1!"],
    endpoints=["beta"],
    user="eve",
    password="east-Passw0rd",
    timezone="Asia/Tokyo",
    test_orders="ignore",
)
AT_WEST, AT_EAST = "is_user=tom&is_pwd=west-Passw0rd", "is_vendor=East&is_user=eve&is_pwd=east-Passw0rd"


@pytest.fixture
def both(open_with: OpenWith) -> Shop:
    """Two merchants: one plugin, two names."""
    return open_with(f"{WEST}\n{EAST}")


@sqlite_only
class TestTwoMerchants:
    """Two instances of the plugin, each with its own keys, properties and settings."""

    @pytest.mark.parametrize(
        ("query", "key", "taken"),
        [
            pytest.param(AT_WEST, "west-Secret1!", True, id="west"),
            pytest.param(AT_EAST, "east-Secret1!", True, id="east"),
            pytest.param(f"{AT_EAST}&is_endpoint=beta", key_of("beta", "ipn"), True, id="east's endpoint"),
            pytest.param(AT_WEST, "east-Secret1!", False, id="east's key at west"),
            pytest.param(AT_EAST, "west-Secret1!", False, id="west's key at east"),
            pytest.param(AT_WEST, key_of("beta", "ipn"), False, id="the key of east's endpoint at west"),
            pytest.param(f"{AT_WEST}&is_endpoint=beta", key_of("beta", "ipn"), False, id="east's endpoint at west"),
        ],
    )
    def test_each_has_its_own_keys(self, both: Shop, query: str, key: str, taken: bool) -> None:
        assert receipted(both, ipn().fields(), key, query) is taken

    @pytest.mark.parametrize(
        "query",
        ["is_vendor=east&is_user=tom&is_pwd=west-Passw0rd", "is_vendor=avangate&is_user=eve&is_pwd=east-Passw0rd"],
    )
    def test_each_has_its_own_credentials(self, both: Shop, query: str) -> None:
        key = "east-Secret1!" if "east&" in query else "west-Secret1!"

        assert both.post(ipn().fields(), key=key, query=query).status_code == 401

    def test_each_has_its_own_orders_and_time_zone(self, both: Shop) -> None:
        """The same reference at two merchants is two orders; a wall time is that of the account."""
        both.map("101", MAPPING)

        assert receipted(both, ipn().fields(), "west-Secret1!", AT_WEST)
        assert receipted(both, ipn().fields(), "east-Secret1!", AT_EAST)

        assert licenses(both) == [
            ("avangate", "900000001", "2026-12-31T22:00:00Z"),
            ("east", "900000001", "2026-12-31T15:00:00Z"),
        ]

    def test_each_has_its_own_properties_before_the_common_ones(self, both: Shop) -> None:
        """`<instance>_pid_<id>` wins over `pid_<id>`, which counts for whoever has no property of its own."""
        for name, product in {"pid_101": "Common", "east_pid_101": "Eastern", "pid_102": "Second"}.items():
            set_property(both, name, f"{MAPPING}&is_productname={product}")
        lines = [Line(ref="REF1"), Line(pid="102", ref="REF2")]

        for key, query in (("west-Secret1!", AT_WEST), ("east-Secret1!", AT_EAST)):
            assert receipted(both, Order(lines=lines).fields(), key, query)

        with both.service.database.reading():
            rows = listings.licenses(now=both.clock())
        assert [(row["vendor"], row["product_name"]) for row in rows] == [
            ("avangate", "Common"),
            ("avangate", "Second"),
            ("east", "Eastern"),
            ("east", "Second"),
        ]

    def test_a_property_of_one_instance_maps_nothing_for_the_other(self, both: Shop) -> None:
        set_property(both, "east_pid_101", MAPPING)

        for key, query in (("west-Secret1!", AT_WEST), ("east-Secret1!", AT_EAST)):
            assert receipted(both, ipn().fields(), key, query)

        assert [vendor for vendor, _, _ in licenses(both)] == ["east"]

    def test_each_has_its_own_settings(self, both: Shop) -> None:
        """East takes no test orders."""
        both.map("101", MAPPING)
        fields = Order(extra=[("TEST_ORDER", "1")]).fields()

        for key, query in (("west-Secret1!", AT_WEST), ("east-Secret1!", AT_EAST)):
            assert receipted(both, fields, key, query)

        assert [vendor for vendor, _, _ in licenses(both)] == ["avangate"]

    def test_each_is_shown_with_its_own_keys(self, both: Shop, config: Path) -> None:
        """By doctor, under its name."""
        receipted(both, ipn().fields(), "east-Secret1!", AT_EAST)

        assert doctor_on(config, "avangate") == {"DEFAULT shared_keys[0]": "never used"}
        assert doctor_on(config, "east") == {
            "DEFAULT shared_keys[0]": "last used 2026-01-01 12:00 UTC",
            "beta ipn_keys[0]": "never used",
            "beta lcn_keys[0]": "never used",
        }


@sqlite_only
class TestAnotherMerchantUnderOneKey:
    """A VENDOR_CODE that changes may mean that somebody else has the key."""

    @staticmethod
    def of_merchant(code: str, number: int) -> Fields:
        return ipn(number).changed(extra=[("VENDOR_CODE", code)]).fields()

    def post_each(self, shop: Shop, codes: Sequence[str], key: str = ACCOUNT_KEY) -> list[bool]:
        return [receipted(shop, self.of_merchant(code, number), key) for number, code in enumerate(codes)]

    def test_it_is_alerted_once_and_the_orders_are_taken(self, open_with: OpenWith) -> None:
        """The operator decides what it means."""
        shop = open_with(account())
        shop.map("101", MAPPING)

        assert self.post_each(shop, ["ONE", "ONE", "TWO", "TWO", "TWO"]) == [True] * 5

        assert alerts(shop) == ["Another merchant under one key of avangate: TWO"]
        assert len(licenses(shop)) == 5

    def test_a_message_without_it_says_nothing(self, open_with: OpenWith) -> None:
        """It is a tick box."""
        shop = open_with(account())

        self.post_each(shop, ["", "ONE", "", "ONE"])

        assert [subject for subject in alerts(shop) if "merchant" in subject] == []

    def test_two_merchants_with_a_key_each_are_no_surprise(self, open_with: OpenWith) -> None:
        shop = open_with(account(endpoints=["beta"]))

        receipted(shop, self.of_merchant("ONE", 1), ACCOUNT_KEY)
        receipted(shop, self.of_merchant("TWO", 2), key_of("beta", "ipn"))

        assert [subject for subject in alerts(shop) if "merchant" in subject] == []
