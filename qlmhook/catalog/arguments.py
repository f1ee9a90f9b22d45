"""QLM's `is_*` arguments: how the value of each is read, and what it means.

Source: QLM, GetActivationKeyWithExpiryDate.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from qlmhook.domain.addresses import address_key
from qlmhook.domain.license_models import LICENSE_MODELS

# Source: QLM spells these differently from page to page.
ALIASES = {
    "is_template": "is_emailtemplate",
    "is_renewal_emailtemplate": "is_emailtemplate_renew",
    "is_sendmail": "is_send_mail",
    "is_maintplan": "is_maintenance_plan",
    "is_maintenanceplan": "is_maintenance_plan",
    "is_mainduration": "is_maintduration",
}


def _integer(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(text)

    return convert


def _boolean(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise ValueError("true or false")
    return known[text.lower()]


def _seats(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", text):
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
        if not re.fullmatch(r"[0-3]:[0-9]{1,3}", pair) or int(pair[2:]) > 255:
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
        if len(rest) == 2 and not _is_expiry(rest[1].strip()):
            raise ValueError("an expiry of the form 2026-12-31 or 2026-12-31 23:59:59 behind the second ::")
    return text


def _is_expiry(text: str) -> bool:
    for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S"):
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form).year > 0  # noqa: DTZ007 (only its form counts)
    return False


def _template(text: str) -> str:
    if not re.fullmatch(r"\w[\w .,-]{0,99}", text):
        raise ValueError("the name of a template: letters, digits, blanks, dots and dashes")
    return text


def _addresses(text: str) -> tuple[str, ...]:
    addresses = _listed(text)
    for address in addresses:
        if not address_key(address):
            raise ValueError(f"e-mail addresses, separated by semicolons, and {address[:80]!r} is none")
    return addresses


def _listed(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(";") if part.strip())
    if not parts:
        raise ValueError("e-mail addresses, separated by semicolons")
    return parts


def _text(maximum: int) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if len(text) > maximum or not text.isprintable():
            raise ValueError(f"at most {maximum} printable characters")
        return text

    return convert


@dataclass(frozen=True)
class Argument:
    """One name of the vocabulary: how its value is read, and what it means.

    `convert` checks a value that is set; `convert_stored`, where it differs, reads what is stored already. An older
    version took more for an address: orders go on, and the mailer leaves out the copies that it cannot mail to.
    """

    convert: Callable[[str], Any]
    meaning: str
    convert_stored: Callable[[str], Any] | None = None

    def read(self, text: str, *, stored: bool) -> Any:
        """Return the value of a text; raises ValueError that says what was meant."""
        return (self.convert_stored or self.convert)(text) if stored else self.convert(text)


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
    "is_emailfrom": Argument(_addresses, "the sender of the mail; default: the setting mail.sender", _listed),
    "is_emailsubject": Argument(_text(255), "the subject of the mail; default: the template's"),
    "is_ccemail": Argument(_addresses, "further visible recipients, separated by semicolons", _listed),
    "is_bccemail": Argument(_addresses, "further hidden recipients, separated by semicolons", _listed),
    "is_sendresponse": Argument(_boolean, "true: the shop waits for our confirmation of this product"),
    "is_args": Argument(_text(190), "the name of another property whose arguments are added to these"),
}
