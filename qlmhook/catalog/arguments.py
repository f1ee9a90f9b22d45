"""QLM's `is_*` arguments, each told once: its names, how its value is read, what it means and which term it sets.

`is_keymaker` is our own. Source of the others: QLM, GetActivationKeyWithExpiryDate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qlmhook.catalog import values
from qlmhook.domain.license_models import LICENSE_MODELS


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a server property.

    `read` makes the value of a text that is set, and raises ValueError with what is meant; `read_stored`, where it
    differs, reads what is stored already. An older version took more for an address: orders go on, and the mailer
    leaves out the copies that it cannot mail to. `term` is the attribute of `Terms` that the value becomes; nothing
    where it becomes none. QLM spells some names differently from page to page: `aliases` are those other spellings.
    """

    read: Callable[[str], Any]
    meaning: str
    term: str = ""
    required: bool = False
    aliases: tuple[str, ...] = ()
    read_stored: Callable[[str], Any] | None = None


ARGUMENTS: Mapping[str, Argument] = {
    "is_productid": Argument(
        term="product_id",
        read=values.integer(0),
        meaning="the license product's id; required",
        required=True,
    ),
    "is_majorversion": Argument(
        term="major_version",
        read=values.integer(0),
        meaning="the product's major version; required",
        required=True,
    ),
    "is_minorversion": Argument(
        term="minor_version",
        read=values.integer(0),
        meaning="the product's minor version; required",
        required=True,
    ),
    "is_productname": Argument(
        term="product_name",
        read=values.printable(255),
        meaning="the product's name in mails; default: the shop's name for it",
    ),
    "is_licensemodel": Argument(
        term="license_model",
        read=values.choice(*LICENSE_MODELS),
        meaning="the license model; default: subscription if the license ends, else permanent",
    ),
    "is_qlmversion": Argument(
        term="engine_version",
        read=values.choice("5.0.00", "6.0.00"),
        meaning="QLM's engine version, kept with the license",
    ),
    "is_expduration": Argument(
        term="duration_days",
        read=values.integer(1, 36500),
        meaning="days until the license ends, if the shop names no date",
    ),
    "is_expdate": Argument(
        term="end_date",
        read=values.day,
        meaning="the day the license ends (yyyy-mm-dd), if the shop names no date",
    ),
    "is_features": Argument(
        term="features",
        read=values.features,
        meaning="enabled features: set:value;set:value",
    ),
    "is_pp": Argument(
        term="product_properties",
        read=values.product_properties,
        meaning="product properties: category.name::value[::expiry], joined by ||",
    ),
    "is_quantity": Argument(
        read=values.integer(1),
        meaning="ignored: the quantity is the order's",
    ),
    "is_usemultipleactivationskey": Argument(
        term="one_key",
        read=values.boolean,
        meaning="true (default): one key for the whole quantity; false: one key for each unit",
    ),
    "is_numberofactivationsperkey": Argument(
        term="activations_per_unit",
        read=values.integer(1, 1_000_000),
        meaning="activations for each unit; default 1",
    ),
    "is_additionalactivations": Argument(
        term="additional_activations",
        read=values.integer(0, 1_000_000),
        meaning="activations on top, with one key; default 0",
    ),
    "is_floating": Argument(
        term="seats_per_unit",
        read=values.seats,
        meaning="floating seats for each unit; true means 1",
    ),
    "is_maintenance_plan": Argument(
        term="maintenance",
        read=values.boolean,
        meaning="true: the license comes with a maintenance plan",
        aliases=("is_maintplan", "is_maintenanceplan"),
    ),
    "is_maintduration": Argument(
        term="maintenance_days",
        read=values.integer(1, 36500),
        meaning="days of maintenance; default 365",
        aliases=("is_mainduration",),
    ),
    "is_maintdate": Argument(
        term="maintenance_date",
        read=values.day,
        meaning="the day maintenance ends (yyyy-mm-dd); wins over is_maintduration",
    ),
    "is_affiliateid": Argument(
        term="affiliate",
        read=values.printable(255),
        meaning="the affiliate or user group, kept with the license",
    ),
    "is_userdata1": Argument(
        term="user_data",
        read=values.printable(4000),
        meaning="free text, kept with the license",
    ),
    "is_computertype": Argument(
        term="computer_type",
        read=values.integer(0, 2),
        meaning="0 none, 1 PC, 2 virtual machine; kept with the license",
    ),
    "is_legacykey": Argument(
        term="legacy_key",
        read=values.printable(255),
        meaning="a key from before, kept with the license",
    ),
    "is_keymaker": Argument(
        term="key_maker",
        read=values.plain_name,
        meaning="what makes the keys, one of the key makers that are loaded; default random",
    ),
    "is_emailtemplate": Argument(
        term="order_template",
        read=values.template_name,
        meaning="the template of the order's mail; none: no mail is sent",
        aliases=("is_template",),
    ),
    "is_emailtemplate_renew": Argument(
        term="renewal_template",
        read=values.template_name,
        meaning="the template of a renewal's mail; default: is_emailtemplate",
        aliases=("is_renewal_emailtemplate",),
    ),
    "is_send_mail": Argument(
        term="send_mail",
        read=values.boolean,
        meaning="false: no mail is sent for an order; default true",
        aliases=("is_sendmail",),
    ),
    "is_send_renewal_mail": Argument(
        term="send_renewal_mail",
        read=values.boolean,
        meaning="false: no mail is sent for a renewal; default true",
    ),
    "is_emailfrom": Argument(
        term="mail_from",
        read=values.addresses,
        read_stored=values.listed,
        meaning="the sender of the mail; default: the setting mail.sender",
    ),
    "is_emailsubject": Argument(
        term="mail_subject",
        read=values.printable(255),
        meaning="the subject of the mail; default: the template's",
    ),
    "is_ccemail": Argument(
        term="mail_cc",
        read=values.addresses,
        read_stored=values.listed,
        meaning="further visible recipients, separated by semicolons",
    ),
    "is_bccemail": Argument(
        term="mail_bcc",
        read=values.addresses,
        read_stored=values.listed,
        meaning="further hidden recipients, separated by semicolons",
    ),
    "is_sendresponse": Argument(
        term="confirm",
        read=values.boolean,
        meaning="true: the shop waits for our confirmation of this product",
    ),
    "is_args": Argument(
        read=values.printable(190),
        meaning="the name of another property whose arguments are added to these",
    ),
}
"""Every argument by its name; one more needs its entry here, and the attribute of `Terms` that it sets."""

ALIASES: Mapping[str, str] = {alias: name for name, argument in ARGUMENTS.items() for alias in argument.aliases}
"""The other spellings of names, each with the one that is meant."""

CREDENTIALS = frozenset({"is_vendor", "is_user", "is_pwd"})
"""QLM tolerates these inside a property; here they are dropped, so that no password reaches the database."""
