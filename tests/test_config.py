"""Settings: the file, the environment over it, and what stops the start-up."""

from collections.abc import Callable
from pathlib import Path

import pytest
from marshmallow import Schema, fields

from qlmhook.config import CONFIG_VARIABLE, MailSettings, Settings, load_settings
from qlmhook.errors import ConfigurationError
from qlmhook.vendors.settings import AccountSettings, Texts, load_section

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a file's text; keyword arguments are QLMHOOK__… overrides without the prefix."""

    def load_(text: str = "", **overrides: str) -> Settings:
        path = tmp_path / "qlmhook.toml"
        path.write_text(text, encoding="utf-8")
        environment = {f"QLMHOOK__{name.upper()}": value for name, value in overrides.items()}
        return load_settings({CONFIG_VARIABLE: str(path), **environment})

    return load_


def test_an_empty_file_gives_the_defaults(load: Load, tmp_path: Path) -> None:
    assert load("") == Settings(
        database=f"sqlite:///{tmp_path / 'qlmhook.db'}",
        worker=True,
        default_vendor="",
        trusted_proxies=0,
        plugins=[],
        mail=MailSettings(
            host="localhost",
            port=25,
            tls="none",
            username="",
            password="",
            sender="Licensing <licensing@localhost>",
            bcc=[],
            operator="",
            templates=None,
        ),
        vendors={},
    )


def test_a_vendor_has_defaults_and_its_plugin_is_the_word_in_its_name(load: Load) -> None:
    assert load("[vendors.avangate]").vendors == {
        "avangate": AccountSettings(
            plugin="avangate",
            enabled=True,
            user="",
            password="",
            sources=[],
            test_orders="issue",
            revoke_on_refund=False,
            revoke_on_cancel=False,
            section={},
        )
    }


def test_without_a_file_the_environment_alone_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_settings({"QLMHOOK__MAIL__HOST": "mx.example.com"}).mail.host == "mx.example.com"


def test_the_file_in_the_working_directory_is_read_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qlmhook.toml").write_text("trusted_proxies = 2", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)

    assert load_settings().trusted_proxies == 2


def test_the_environment_overrides_the_file(load: Load) -> None:
    settings = load(
        """
        worker = true
        trusted_proxies = 1
        [mail]
        port = 25
        [vendors.avangate]
        user = "tom"
        password = "from the file"
        """,
        worker="false",
        trusted_proxies="3",
        mail__port="2525",
        vendors__avangate__password="from the environment",
    )

    assert (settings.worker, settings.trusted_proxies, settings.mail.port) == (False, 3, 2525)
    assert settings.vendors["avangate"].password == "from the environment"
    assert settings.vendors["avangate"].user == "tom"


def test_the_environment_finds_a_section_however_the_file_spells_it(load: Load) -> None:
    settings = load(
        '[vendors.MyShop.endpoints.TestURL]\nipn_keys = ["old"]', vendors__myshop__endpoints__testurl__ipn_keys="new"
    )

    assert settings.vendors["MyShop"].section == {"endpoints": {"TestURL": {"ipn_keys": "new"}}}


def test_the_environment_can_add_a_vendor(load: Load) -> None:
    settings = load(vendors__second__plugin="avangate", vendors__second__enabled="no")

    assert (settings.vendors["second"].plugin, settings.vendors["second"].enabled) == ("avangate", False)


def test_a_plugin_gets_its_own_settings_and_not_those_of_the_core(load: Load) -> None:
    settings = load(
        """
        [vendors.avangate]
        user = "tom"
        password = "hush"
        test_orders = "ignore"
        timezone = "UTC"
        idn.url = "https://shop.example.com/idn"
        """
    )

    assert settings.vendors["avangate"].section == {
        "timezone": "UTC",
        "idn": {"url": "https://shop.example.com/idn"},
    }


@pytest.mark.parametrize("content", ["from a file", "from a file\n"])
def test_a_value_can_come_from_a_file(load: Load, tmp_path: Path, content: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(content, encoding="utf-8")

    assert load('[mail]\npassword = "x"', mail__password_file=str(secret)).mail.password == "from a file"


def test_a_list_can_come_from_the_lines_of_a_file(load: Load, tmp_path: Path) -> None:
    addresses = tmp_path / "addresses"
    addresses.write_text("a@example.com\nb@example.com\n", encoding="utf-8")

    assert load(mail__bcc_file=str(addresses)).mail.bcc == ["a@example.com", "b@example.com"]


def test_a_file_that_is_not_there_is_named_with_its_variable(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^QLMHOOK__MAIL__PASSWORD_FILE: the file '.*/gone'"):
        load(mail__password_file=str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a@example.com", ["a@example.com"], id="one text"),
        pytest.param("a@example.com\nb@example.com\n", ["a@example.com", "b@example.com"], id="lines"),
        pytest.param('["a@example.com", "b@example.com"]', ["a@example.com", "b@example.com"], id="JSON"),
    ],
)
def test_a_list_comes_from_the_environment_as_text_lines_or_json(load: Load, text: str, values: list[str]) -> None:
    assert load(mail__bcc=text).mail.bcc == values


def test_a_list_in_the_file_is_an_array(load: Load) -> None:
    assert load('[mail]\nbcc = ["a@example.com", ""]').mail.bcc == ["a@example.com"]


@pytest.mark.parametrize("secret", ["0012345", "12345", "1e5", "true", "[brackets]", "0x10"])
def test_a_secret_that_looks_like_something_else_stays_text(load: Load, secret: str) -> None:
    class PluginSchema(Schema):
        shared_keys = Texts()

    settings = load(
        vendors__avangate__user="1",
        vendors__avangate__password=secret,
        vendors__avangate__shared_keys=secret,
        mail__password=secret,
    )

    account = settings.vendors["avangate"]

    assert settings.mail.password == secret
    assert account.password == secret
    assert load_section(PluginSchema(), "avangate", account.section) == {"shared_keys": [secret]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("typo = 1", "typo: there is no such setting"),
        ("[mail]\nhots = 'x'", "mail.hots: there is no such setting"),
        ("worker = 'perhaps'", "worker: Not a valid boolean"),
        ("database = ''", "database: "),
        ("trusted_proxies = 11", "trusted_proxies: Must be greater than or equal to 0"),
        ("mail = 5", "mail._schema: Invalid input"),
        ("[mail]\nport = 'smtp'", "mail.port: Not a valid integer"),
        ("[mail]\nport = 0", "mail.port: Must be greater"),
        ("[mail]\ntls = 'ssl'", "mail.tls: Must be one of: none, starttls, tls"),
        ("[mail]\npassword = 12345", "mail.password: Not a valid string"),
        ("[mail]\nsender = ''", "mail.sender: "),
        ("[mail]\nbcc = ['a@example.com', 3]", "mail.bcc: must be a list of texts"),
        ("[mail]\ntemplates = 'gone'", "mail.templates: .*gone is not a folder"),
        ("vendors = 5", "vendors: Not a valid mapping"),
        ("[vendors]\nshop = 5", "vendors.shop._schema: Invalid input"),
        ("[vendors.shop]\nenabled = 'perhaps'", "vendors.shop.enabled: Not a valid boolean"),
        ("[vendors.shop]\ntest_orders = 'x'", "vendors.shop.test_orders: Must be one of: issue, ignore"),
        ("[vendors.shop]\nrevoke_on_refund = 'x'", "vendors.shop.revoke_on_refund: Not a valid boolean"),
        ("[vendors.shop]\nuser = 'tom'", "vendors.shop: set both user and password"),
        ("[vendors.shop]\npassword = 'hush'", "vendors.shop: set both user and password"),
        ("[vendors.shop]\n[vendors.Shop]", "vendors.shop: two sections differ only in letter case"),
        ("[mail", "qlmhook.toml is no valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(load: Load, text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load(text)


def test_all_wrong_settings_are_named_at_once(load: Load) -> None:
    with pytest.raises(ConfigurationError, match=r"mail\.hots: .* typo: "):
        load("[mail]\nhots = 'x'", typo="1")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("typo", "1", "typo: there is no such setting"),
        ("mail__hots", "x", "mail.hots: there is no such setting"),
        ("mail__port", "smtp", "mail.port: Not a valid integer"),
        ("mail__bcc", "[1]", "mail.bcc: must be a list of texts"),
        ("trusted_proxies", "two", "trusted_proxies: Not a valid integer"),
        ("database__x", "1", "^QLMHOOK__DATABASE__X: database is a value, not a section"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(load: Load, name: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load("database = 'sqlite:///x.db'", **{name: value})


def test_a_wrong_setting_of_a_plugin_is_named_with_its_section() -> None:
    class PluginSchema(Schema):
        timeout = fields.Integer()
        shared_keys = Texts()

    with pytest.raises(ConfigurationError, match=r"^vendors\.shop\.timeout: .* vendors\.shop\.typo: there is no such"):
        load_section(PluginSchema(), "shop", {"timeout": "long", "typo": 1})


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml does not exist"):
        load_settings({CONFIG_VARIABLE: str(tmp_path / "gone.toml")})


@pytest.mark.parametrize("content", [None, b"database = '\xff'"], ids=["a folder", "not UTF-8"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "qlmhook.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"qlmhook\.toml cannot be read"):
        load_settings({CONFIG_VARIABLE: str(path)})


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        ("sqlite:///data/x.db", "sqlite:///{folder}/data/x.db"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("postgresql://db.example.com/qlmhook", "postgresql://db.example.com/qlmhook"),
    ],
)
def test_a_relative_sqlite_path_is_relative_to_the_file(load: Load, tmp_path: Path, url: str, opened: str) -> None:
    assert load(database=url).database == opened.format(folder=tmp_path)


def test_a_relative_path_does_not_depend_on_where_a_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "qlmhook.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    settings = load_settings({CONFIG_VARIABLE: "etc/qlmhook.toml"})

    assert settings.database == f"sqlite:///{tmp_path.resolve() / 'etc' / 'qlmhook.db'}"


def test_the_folder_of_templates_is_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "mails").mkdir()

    assert load('[mail]\ntemplates = "mails"').mail.templates == tmp_path / "mails"


def test_no_secret_is_in_what_a_log_would_show_of_the_settings(load: Load) -> None:
    settings = load(
        """
        database = "postgresql://qlmhook:hush-1@db.example.com/qlmhook"
        [mail]
        username = "mailer"
        password = "hush-2"
        [vendors.avangate]
        user = "tom"
        password = "hush-3"
        shared_keys = ["hush-4"]
        """
    )

    assert "mailer" in repr(settings)
    assert "hush" not in repr(settings)


def test_no_secret_is_in_the_message_about_a_wrong_setting(load: Load) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load('[mail]\npassword = "hush-1"\n[vendors.shop]\nuser = ""\npassword = "hush-2"')

    assert "vendors.shop" in str(caught.value)
    assert "hush" not in str(caught.value)
