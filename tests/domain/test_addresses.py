"""One definition of an e-mail address, for the settings, the properties, the customers and the mails."""

from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlmhook.catalog import parser
from qlmhook.config import CONFIG_VARIABLE, MailSettings, load_settings
from qlmhook.domain.addresses import address_key, mailbox
from qlmhook.errors import ConfigurationError, PropertyError
from qlmhook.storage import models
from tests.conftest import MailServer, OpenShop, Shop
from tests.plugins.avangate.orders import Order

NONE: dict[str, str] = {}
PRODUCT = "&is_productid=1&is_majorversion=1&is_minorversion=0"

GOOD = [
    "a@example.com",
    "first.last+tag@sub.example.co.uk",
    "o'hara!#$%&*/=^_`{|}~-?@example.com",
    "a..b.@docomo.example",
    "jörg@example.com",
    "用户@例子.example",
    "ann@bücher.example",
    "root@localhost",
    "x" * 64 + "@example.com",
]

BAD = [
    "archive",
    "@example.com",
    "a@",
    "a@b@example.com",
    "a@example..com",
    "a@.example.com",
    "a@example.com.",
    "a@exam ple.com",
    "a b@example.com",
    "a@example.com,b@example.com",
    "<a@example.com>",
    '"a b"@example.com',
    "a@[192.0.2.1]",
    "a@exam/ple.com",
    "a@" + "x" * 64 + ".example",
    "ann@bü..example",
    "ann@" + "ü" * 64 + ".example",
    "x" * 65 + "@example.com",
    "x" * 64 + "@" + ".".join(["x" * 60] * 4),
    "a@shop.example，b＠example.com",  # noqa: RUF001 (wide twins, of which IDNA makes ASCII ones)
    "=?utf-8?q?a=0D=0ABcc:b?=@example.com",
    "a\u202e@example.com",
    "a\ud800@example.com",
    "a@example.com\nb",
]


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], MailSettings]:
    """Read the settings of mail from a text."""

    def load_(text: str) -> MailSettings:
        path = tmp_path / "qlmhook.toml"
        path.write_text(f"[mail]\n{text}", encoding="utf-8")
        return load_settings({CONFIG_VARIABLE: str(path)}).mail

    return load_


Load = Callable[[str], MailSettings]


@pytest.mark.parametrize("address", GOOD)
def test_what_is_an_address_is_one_everywhere(load: Load, address: str) -> None:
    value = f"{PRODUCT}&is_ccemail={quote(address)}"
    checked = parser.check("pid_1", value, NONE.get)
    settings = load(f'sender = "{address}"\noperator = "{address}"\nbcc = ["{address}"]')

    assert address_key(address) == address.lower()
    assert checked.arguments["is_ccemail"] == address
    assert (settings.sender, settings.operator, settings.bcc) == (address, address, [address])
    assert mailbox(address).username == address.partition("@")[0]


@pytest.mark.parametrize("address", BAD)
@pytest.mark.parametrize("name", ["is_emailfrom", "is_ccemail", "is_bccemail"])
def test_what_is_none_is_refused_when_a_property_is_set(name: str, address: str) -> None:
    with pytest.raises(PropertyError, match=f"^{name} is .*; meant is e-mail addresses, separated by semicolons"):
        parser.check("pid_1", f"{PRODUCT}&{name}={address}", NONE.get)


@pytest.mark.parametrize("address", BAD)
def test_what_is_none_is_no_customers_address_and_no_mailbox(address: str) -> None:
    assert address_key(address) == ""
    if address != "<a@example.com>":
        with pytest.raises(ValueError, match="is no address of the form"):
            mailbox(address)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("sender", 'sender = ""', "''"),
        ("sender", 'sender = "Licensing <>"', "'Licensing <>'"),
        ("sender", 'sender = "licensing@"', "'licensing@'"),
        ("sender", 'sender = "Licensing <licensing@example.com"', "'Licensing <licensing@example.com'"),
        ("operator", 'operator = "root"', "'root'"),
        ("bcc", 'bcc = ["archive"]', "'archive'"),
        ("bcc", 'bcc = "archive"', "'archive'"),
        ("bcc", 'bcc = ["a@example.com", "b@example.com, c@example.com"]', "'b@example.com, c@example.com'"),
    ],
)
def test_a_setting_that_is_no_address_stops_the_start(load: Load, key: str, text: str, value: str) -> None:
    """With its name and its value."""
    with pytest.raises(ConfigurationError, match=rf"mail\.{key}: {value} is no address of the form name <someone@"):
        load(text)


def test_a_setting_may_have_a_name_before_the_address(load: Load) -> None:
    settings = load('sender = "Müller, Söhne <a@example.com>"\nbcc = ["All <all@example.com>"]')

    assert (mailbox(settings.sender).display_name, mailbox(settings.bcc[0]).addr_spec) == (
        "Müller, Söhne",
        "all@example.com",
    )


PIECES = st.text(st.sampled_from('ab.-_=?ü株＠，．\u202e\ud800\r\n "<>,;:()[]\\℀ⅷß0'), min_size=1, max_size=6)  # noqa: RUF001


@given(PIECES, PIECES)
def test_a_customers_address_is_always_one_recipient_of_a_mail(local: str, domain: str) -> None:
    """Whatever a customer typed, if it is taken for an address."""
    message = EmailMessage(policy=SMTPUTF8)
    if address_key(f"{local}@{domain}"):
        message["To"] = [mailbox(f"{local}@{domain}")]
        header = message.as_bytes().decode()

        assert [address.username for address in message["To"].addresses] == [local]
        assert header.count("@") == 1
        assert header.splitlines()[1:] == [""]


OLD_COPIES = (
    f"{PRODUCT}&is_emailtemplate=Customer.NewOrder&is_ccemail=b@example.com;c@d,e@example.com&is_bccemail=f@[g]"
)
"""What 0.1.0 took for addresses."""


@pytest.mark.parametrize("when", ["before the order", "before the mail"])
def test_bad_copies_of_a_property_that_is_stored_stop_neither_license_nor_mail(
    open_shop: OpenShop, mail_server: MailServer, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out, and logged."""
    shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
    shop.map("101")
    if when == "before the order":
        store(shop, OLD_COPIES)
    assert shop.post(Order().fields()).status_code == 200
    store(shop, OLD_COPIES)

    shop.service.delivery.work_off()

    [envelope] = mail_server.envelopes
    assert envelope.rcpt_tos == [Order().email, "b@example.com"]
    assert [text.partition(":")[0] for text in caplog.messages if "copy" in text] == [
        "A mail goes out without its copy to 'c@d,e@example.com'",
        "A mail goes out without its copy to 'f@[g]'",
    ]


def store(shop: Shop, value: str) -> None:
    """Put a property into the database as an older version did."""
    with shop.service.database.transaction():
        models.ServerProperty.update(value=value).where(models.ServerProperty.name == "pid_101").execute()
