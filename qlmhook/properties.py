"""Server properties: what to license for a shop's product, in QLM's `&is_name=value` vocabulary.

Source: QLM, GetActivationKeyWithExpiryDate and "How to integrate QLM with 2Checkout, method 2".
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from urllib.parse import unquote

from qlmhook.errors import PropertyError
from qlmhook.keys import LICENSE_MODELS

IGNORE = "ignore"
"""The value of a `pid_…` property that marks a product which gets no license."""

MAX_SPLICE_DEPTH = 5

# Source: QLM spells these differently from page to page.
ALIASES = {
    "is_template": "is_emailtemplate",
    "is_renewal_emailtemplate": "is_emailtemplate_renew",
    "is_sendmail": "is_send_mail",
    "is_maintplan": "is_maintenance_plan",
    "is_maintenanceplan": "is_maintenance_plan",
    "is_mainduration": "is_maintduration",
}

CREDENTIALS = frozenset({"is_vendor", "is_user", "is_pwd"})
"""QLM tolerates these inside a property; here they are dropped, so that no password reaches the database."""


def _integer(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(r"\d{1,10}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(text)

    return convert


def _boolean(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ValueError("true or false")
    return known[text.lower()]


def _seats(text: str) -> int:
    if re.fullmatch(r"\d{1,6}", text):
        return int(text)
    return int(_boolean(text))


def _choice(*choices: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text.lower()

    return convert


def _date(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError("a date of the form 2026-12-31") from None


def _features(text: str) -> str:
    pairs = [pair.strip() for pair in text.split(";") if pair.strip()]
    if pairs == ["0"]:
        return ""
    for pair in pairs:
        if not re.fullmatch(r"[0-3]:\d{1,3}", pair) or int(pair[2:]) > 255:
            raise ValueError("sets of features such as 0:3;1:128 (set 0 to 3, sum of 1, 2, 4 … 128)")
    sets = [pair[0] for pair in pairs]
    if len(set(sets)) != len(sets):
        raise ValueError("each set of features (0 to 3) at most once")
    return ";".join(pairs)


def _product_properties(text: str) -> str:
    for entry in text.split("||"):
        name, *rest = entry.split("::")
        if not re.fullmatch(r"[^.]+\.[^.].*", name.strip()) or not 1 <= len(rest) <= 2:
            raise ValueError("category.name::value, joined by ||, each with an optional ::2026-12-31 behind it")
        if len(rest) == 2 and not re.fullmatch(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?", rest[1].strip()):
            raise ValueError("an expiry of the form 2026-12-31 or 2026-12-31 23:59:59 behind the second ::")
    return text


def _template(text: str) -> str:
    if not re.fullmatch(r"\w[\w .,-]{0,99}", text):
        raise ValueError("the name of a template: letters, digits, blanks, dots and dashes")
    return text


def _addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(part.strip() for part in text.split(";") if part.strip())
    if not addresses or not all(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) for address in addresses):
        raise ValueError("e-mail addresses, separated by semicolons")
    return addresses


def _text(maximum: int) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if len(text) > maximum or not text.isprintable():
            raise ValueError(f"at most {maximum} printable characters")
        return text

    return convert


@dataclass(frozen=True)
class Argument:
    """One name of the vocabulary: how its value is read, and what it means."""

    convert: Callable[[str], Any]
    meaning: str


VOCABULARY: Mapping[str, Argument] = {
    "is_productid": Argument(_integer(0), "the license product's id; required"),
    "is_majorversion": Argument(_integer(0), "the product's major version; required"),
    "is_minorversion": Argument(_integer(0), "the product's minor version; required"),
    "is_productname": Argument(_text(255), "the product's name in mails; default: the shop's name for it"),
    "is_licensemodel": Argument(
        _choice(*LICENSE_MODELS),
        "the license model; default: subscription if the license ends, else permanent",
    ),
    "is_qlmversion": Argument(_choice("5.0.00", "6.0.00"), "QLM's engine version, kept with the license"),
    "is_expduration": Argument(_integer(1, 36500), "days until the license ends, if the shop names no date"),
    "is_expdate": Argument(_date, "the day the license ends (yyyy-mm-dd), if the shop names no date"),
    "is_features": Argument(_features, "enabled features: set:value;set:value"),
    "is_pp": Argument(_product_properties, "product properties: category.name::value[::expiry], joined by ||"),
    "is_quantity": Argument(_integer(1), "ignored: the quantity is the order's"),
    "is_usemultipleactivationskey": Argument(
        _boolean, "true (default): one key for the whole quantity; false: one key for each unit"
    ),
    "is_numberofactivationsperkey": Argument(_integer(1, 1_000_000), "activations for each unit; default 1"),
    "is_additionalactivations": Argument(_integer(0, 1_000_000), "activations on top, with one key; default 0"),
    "is_floating": Argument(_seats, "floating seats for each unit; true means 1"),
    "is_maintenance_plan": Argument(_boolean, "true: the license comes with a maintenance plan"),
    "is_maintduration": Argument(_integer(1, 36500), "days of maintenance; default 365"),
    "is_maintdate": Argument(_date, "the day maintenance ends (yyyy-mm-dd); wins over is_maintduration"),
    "is_affiliateid": Argument(_text(255), "the affiliate or user group, kept with the license"),
    "is_userdata1": Argument(_text(4000), "free text, kept with the license"),
    "is_computertype": Argument(_integer(0, 2), "0 none, 1 PC, 2 virtual machine; kept with the license"),
    "is_legacykey": Argument(_text(255), "a key from before, kept with the license"),
    "is_emailtemplate": Argument(_template, "the template of the order's mail; none: no mail is sent"),
    "is_emailtemplate_renew": Argument(_template, "the template of a renewal's mail; default: is_emailtemplate"),
    "is_send_mail": Argument(_boolean, "false: no mail is sent for an order; default true"),
    "is_send_renewal_mail": Argument(_boolean, "false: no mail is sent for a renewal; default true"),
    "is_emailfrom": Argument(_addresses, "the sender of the mail; default: the setting mail.sender"),
    "is_emailsubject": Argument(_text(255), "the subject of the mail; default: the template's"),
    "is_ccemail": Argument(_addresses, "further visible recipients, separated by semicolons"),
    "is_bccemail": Argument(_addresses, "further hidden recipients, separated by semicolons"),
    "is_sendresponse": Argument(_boolean, "true: the shop waits for our confirmation of this product"),
    "is_args": Argument(_text(190), "the name of another property whose arguments are added to these"),
}

REQUIRED = ("is_productid", "is_majorversion", "is_minorversion")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a license of a product is, as its property says."""

    product_id: int
    major_version: int
    minor_version: int
    product_name: str = ""
    license_model: str = ""
    engine_version: str = "6.0.00"
    duration_days: int | None = None
    end_date: date | None = None
    features: str = ""
    product_properties: str = ""
    one_key: bool = True
    activations_per_unit: int = 1
    additional_activations: int = 0
    seats_per_unit: int = 0
    maintenance: bool = False
    maintenance_days: int = 365
    maintenance_date: date | None = None
    affiliate: str = ""
    user_data: str = ""
    computer_type: int = 0
    legacy_key: str = ""
    order_template: str = ""
    renewal_template: str = ""
    send_mail: bool = True
    send_renewal_mail: bool = True
    mail_from: str = ""
    mail_subject: str = ""
    mail_cc: tuple[str, ...] = ()
    mail_bcc: tuple[str, ...] = ()
    confirm: bool = False

    def mail_template(self, *, renewal: bool) -> str:
        """Return the name of the template to mail with; empty for no mail."""
        if renewal:
            return (self.renewal_template or self.order_template) if self.send_renewal_mail else ""
        return self.order_template if self.send_mail else ""

    def end(self, start: datetime, zone: tzinfo) -> datetime | None:
        """Return when a license that starts then ends, the earlier of date and duration; None without either.

        Days end at 23:59:59 in `zone`, so that nobody is cut off during the last one.
        """
        ends = [end_of_day(self.end_date, zone)] if self.end_date else []
        if self.duration_days is not None:
            ends.append(days_after(start, self.duration_days, zone))
        return min(ends, default=None)

    def maintenance_end(self, start: datetime, zone: tzinfo) -> datetime | None:
        """Return when maintenance bought then ends; None without a maintenance plan."""
        if not self.maintenance:
            return None
        if self.maintenance_date:
            return end_of_day(self.maintenance_date, zone)
        return days_after(start, self.maintenance_days, zone)


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the last second of a day in `zone`, in UTC."""
    return datetime.combine(day, time(23, 59, 59), tzinfo=zone).astimezone(UTC)


def days_after(start: datetime, days: int, zone: tzinfo) -> datetime:
    """Return the end of the day that is so many calendar days after `start` in `zone`, in UTC."""
    return end_of_day(start.astimezone(zone).date() + timedelta(days=days), zone)


_TERMS_FIELDS: Mapping[str, str] = {
    "is_productid": "product_id",
    "is_majorversion": "major_version",
    "is_minorversion": "minor_version",
    "is_productname": "product_name",
    "is_licensemodel": "license_model",
    "is_qlmversion": "engine_version",
    "is_expduration": "duration_days",
    "is_expdate": "end_date",
    "is_features": "features",
    "is_pp": "product_properties",
    "is_usemultipleactivationskey": "one_key",
    "is_numberofactivationsperkey": "activations_per_unit",
    "is_additionalactivations": "additional_activations",
    "is_floating": "seats_per_unit",
    "is_maintenance_plan": "maintenance",
    "is_maintduration": "maintenance_days",
    "is_maintdate": "maintenance_date",
    "is_affiliateid": "affiliate",
    "is_userdata1": "user_data",
    "is_computertype": "computer_type",
    "is_legacykey": "legacy_key",
    "is_emailtemplate": "order_template",
    "is_emailtemplate_renew": "renewal_template",
    "is_send_mail": "send_mail",
    "is_send_renewal_mail": "send_renewal_mail",
    "is_emailsubject": "mail_subject",
    "is_ccemail": "mail_cc",
    "is_bccemail": "mail_bcc",
    "is_sendresponse": "confirm",
}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A property value that can be used: what is stored, what it means, and what looks wrong about it."""

    value: str
    arguments: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)


def parse_arguments(text: str) -> dict[str, str]:
    """Split a property's value into its arguments, names in lower case and canonical spelling.

    QLM's own examples are not URL-encoded: a leading & or ? is optional, blanks around names and values do
    not count, a plus sign is a plus sign. Of a repeated name the last counts. Raises PropertyError.
    """
    arguments: dict[str, str] = {}
    for part in text.strip().lstrip("?&").split("&"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals:
            raise PropertyError(f"{part.strip()!r} is no argument; each is written as is_name=value.")
        try:
            decoded = unquote(value, errors="strict").strip()
        except UnicodeDecodeError:
            raise PropertyError(f"The value of {name.strip()} has percent-encoding that is not UTF-8.") from None
        key = name.strip().lower()
        arguments[ALIASES.get(key, key)] = decoded
    return arguments


def check(name: str, text: str, lookup: Callable[[str], str | None]) -> Checked:
    """Check a property before it is stored.

    `lookup` returns another property's value, for is_args. Raises PropertyError with what is wrong and what
    was meant. Unknown names are kept and warned about.
    """
    if is_mapping(name) and text.strip().lower() == IGNORE:
        return Checked(value=IGNORE, arguments={})
    arguments = parse_arguments(text)
    warnings = [
        f"{dropped} does not belong into a property; it was left out."
        for dropped in sorted(CREDENTIALS & arguments.keys())
    ]
    arguments = {key: value for key, value in arguments.items() if key not in CREDENTIALS}
    if not arguments:
        raise PropertyError("The value has no arguments; it is written as &is_productid=1&is_majorversion=1&….")
    for key in sorted(arguments):
        if key not in VOCABULARY:
            warnings.append(f"{key} is not known; it is kept and has no effect. {_nearest(key)}".rstrip())
    if is_mapping(name):
        _terms(splice(arguments, lookup))
    else:
        _convert(arguments)
    kept = text.strip() if len(warnings) == 0 else "".join(f"&{key}={value}" for key, value in arguments.items())
    return Checked(value=kept, arguments=arguments, warnings=warnings)


def terms_of(text: str, lookup: Callable[[str], str | None]) -> Terms | None:
    """Return what a mapping says, or None for `ignore`; raises PropertyError when it cannot be used."""
    if text.strip().lower() == IGNORE:
        return None
    return _terms(splice(parse_arguments(text), lookup))


def checked_name(name: str) -> str:
    """Return a property's name as it is stored, in lower case; raises PropertyError for what is no name."""
    key = name.strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9 _.-]{0,189}", key):
        raise PropertyError(f"{name!r} is no name for a property; one is written as pid_8019770900775.")
    return key


def is_mapping(name: str) -> bool:
    """Tell `pid_<product id>`, or `<instance>_pid_<product id>`, from a property that others splice in."""
    return re.search(r"(^|_)pid_.", name.lower()) is not None


def splice(arguments: Mapping[str, str], lookup: Callable[[str], str | None]) -> dict[str, str]:
    """Add the arguments of the property that is_args names; explicit ones win. Raises PropertyError."""
    merged = dict(arguments)
    seen: list[str] = []
    while "is_args" in merged:
        name = merged.pop("is_args")
        if name.lower() in seen or len(seen) == MAX_SPLICE_DEPTH:
            raise PropertyError(f"is_args={name} leads in a circle or deeper than {MAX_SPLICE_DEPTH} properties.")
        seen.append(name.lower())
        text = lookup(name)
        if text is None:
            raise PropertyError(f"is_args names the property {name!r}, which does not exist; set it first.")
        merged = {**parse_arguments(text), **merged}
    return merged


def _terms(arguments: Mapping[str, str]) -> Terms:
    missing = [name for name in REQUIRED if not arguments.get(name)]
    if missing:
        raise PropertyError(f"{', '.join(missing)} must be given: {VOCABULARY[missing[0]].meaning}.")
    values = _convert(arguments)
    known = {_TERMS_FIELDS[name]: value for name, value in values.items() if name in _TERMS_FIELDS}
    sender = values.get("is_emailfrom", ("",))
    if len(sender) > 1:
        raise PropertyError("is_emailfrom names more than one address.")
    terms = Terms(**known, mail_from=sender[0])
    if not terms.one_key and terms.additional_activations:
        raise PropertyError("is_additionalactivations needs one key: remove it or is_usemultipleactivationskey=false.")
    return terms


def _convert(arguments: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, text in arguments.items():
        argument = VOCABULARY.get(name)
        if argument is None or text == "":
            continue
        try:
            values[name] = argument.convert(text)
        except ValueError as error:
            raise PropertyError(f"{name} is {text[:80]!r}; meant is {error}.") from None
    return values


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, VOCABULARY, n=1)
    return f"Is {close[0]} meant?" if close else ""
