"""Settings: a TOML file, overridden by the environment, checked into one typed object."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from qlmhook.domain.addresses import mailbox
from qlmhook.errors import ConfigurationError
from qlmhook.vendors.settings import AccountSchema, AccountSettings, Texts, explain

CONFIG_VARIABLE = "QLMHOOK_CONFIG"
DEFAULT_CONFIG = "qlmhook.toml"
ENVIRONMENT_PREFIX = "QLMHOOK__"


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """Where mail goes out, and from whom."""

    host: str
    port: int
    tls: str
    username: str
    password: str = field(repr=False)
    sender: str
    bcc: list[str]
    operator: str
    templates: Path | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an operator can set."""

    database: str = field(repr=False)
    worker: bool
    default_vendor: str
    trusted_proxies: int
    plugins: list[str]
    mail: MailSettings
    vendors: Mapping[str, AccountSettings]


def _address(text: str) -> None:
    try:
        mailbox(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _addresses(texts: list[str]) -> None:
    for text in texts:
        _address(text)


def _address_or_nothing(text: str) -> None:
    _addresses([text] if text else [])


class _MailSchema(Schema):
    host = fields.String(load_default="localhost")
    port = fields.Integer(load_default=25, validate=validate.Range(1, 65535))
    tls = fields.String(load_default="none", validate=validate.OneOf(["none", "starttls", "tls"]))
    username = fields.String(load_default="")
    password = fields.String(load_default="")
    sender = fields.String(load_default="Licensing <licensing@localhost>", validate=_address)
    bcc = Texts(load_default=list, validate=_addresses)
    operator = fields.String(load_default="", validate=_address_or_nothing)
    templates = fields.String(load_default="")


class _SettingsSchema(Schema):
    database = fields.String(load_default="sqlite:///qlmhook.db", validate=validate.Length(min=1))
    worker = fields.Boolean(load_default=True)
    default_vendor = fields.String(load_default="")
    trusted_proxies = fields.Integer(load_default=0, validate=validate.Range(0, 10))
    plugins = Texts(load_default=list)
    mail = fields.Nested(_MailSchema, load_default=lambda: _MailSchema().load({}))
    vendors = fields.Dict(keys=fields.String(), values=fields.Nested(AccountSchema), load_default=dict)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file that QLMHOOK_CONFIG names, then the environment, and check the result.

    Raises ConfigurationError with a sentence for each wrong or unknown setting.
    """
    environ = os.environ if environ is None else environ
    path = config_path(environ)
    overrides = {name: value for name, value in sorted(environ.items()) if name.startswith(ENVIRONMENT_PREFIX)}
    raw = _read_file(path, required=CONFIG_VARIABLE in environ or not overrides)
    for name, value in overrides.items():
        _override(raw, name, value)
    try:
        data = _SettingsSchema().load(raw)
    except ValidationError as error:
        raise ConfigurationError(_explain(error.messages, path)) from error
    return _build(data, folder=path.resolve().parent)


def config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the configuration file, there or not."""
    return Path(environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))


def _explain(messages: Any, path: Path) -> str:
    return f"The configuration ({path} and the environment) is wrong. {explain(messages)}"


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigurationError(
                f"There is no configuration: {path.absolute()} does not exist. Run this where {DEFAULT_CONFIG} is, "
                f"name the file in {CONFIG_VARIABLE}, or make one with `qlmhook init`."
            ) from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration file {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The configuration file {path} is no valid TOML: {error}.") from error


def _override(raw: dict[str, Any], name: str, value: str) -> None:
    *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).split("__")
    if key.endswith("_FILE"):
        key = key.removesuffix("_FILE")
        try:
            value = Path(value).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{name}: the file {value!r} cannot be read: {error}.") from error
    table = raw
    for section in sections:
        table = table.setdefault(_spelling(table, section), {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{name}: {section.lower()} is a value, not a section.")
    table[_spelling(table, key)] = value


def _spelling(table: Mapping[str, Any], name: str) -> str:
    """Environment names are upper case: find the key as the file spells it, else take lower case."""
    return next((key for key in table if key.lower() == name.lower()), name.lower())


def _build(data: dict[str, Any], *, folder: Path) -> Settings:
    mail = data["mail"]
    vendors = {name: _vendor(name, section) for name, section in data["vendors"].items()}
    _refuse_same_names(vendors)
    templates = folder / mail.pop("templates") if mail["templates"] else mail.pop("templates") or None
    if templates is not None and not templates.is_dir():
        raise ConfigurationError(f"mail.templates: {templates} is not a folder.")
    return Settings(
        database=_database_url(data["database"], folder),
        worker=data["worker"],
        default_vendor=data["default_vendor"],
        trusted_proxies=data["trusted_proxies"],
        plugins=data["plugins"],
        mail=MailSettings(**mail, templates=templates),
        vendors=vendors,
    )


def _vendor(name: str, section: dict[str, Any]) -> AccountSettings:
    if bool(section["user"]) != bool(section["password"]):
        raise ConfigurationError(f"vendors.{name}: set both user and password, or neither.")
    return AccountSettings(**{**section, "plugin": section["plugin"] or name})


def _refuse_same_names(vendors: Mapping[str, AccountSettings]) -> None:
    lowered = [name.lower() for name in vendors]
    for name in lowered:
        if lowered.count(name) > 1:
            raise ConfigurationError(f"vendors.{name}: two sections differ only in letter case.")


def _database_url(url: str, folder: Path) -> str:
    """A relative SQLite path is relative to the configuration file, so that every command finds the same one."""
    scheme = "sqlite:///"
    path = url.removeprefix(scheme)
    if path == url or path in ("", ":memory:") or path.startswith("/"):
        return url
    return f"{scheme}{folder / path}"
