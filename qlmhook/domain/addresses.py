"""E-mail addresses: the one definition, for the settings, the properties, the customers and the mails.

An address is `local@domain`. The local part may have letters of any script, which a mail server with SMTPUTF8 can
mail to; a domain of any script has an ASCII form, which is what counts. What only stands in quotation marks or
brackets (`"john doe"@…`, `…@[192.0.2.1]`) is no address here.
"""

import re
from email.headerregistry import Address

LONGEST = 254

_ADDRESS = re.compile(r"(?P<local>[^@\s<>,;:\"\\()\[\]]{1,64})@(?P<domain>[^@\s<>,;:\"\\()\[\]]+)")
_ASCII_DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


def mailbox(text: str) -> Address:
    """Read `name <local@domain>` or `local@domain`, the domain in its ASCII form; raises ValueError."""
    name, bracket, rest = text.strip().rpartition("<")
    parts = _parts(rest.removesuffix(">").strip() if bracket else rest)
    if parts is None or rest.endswith(">") != bool(bracket) or not name.isprintable():
        raise ValueError(f"{text!r} is no address of the form name <someone@example.com>")
    local, domain = parts
    return Address(display_name=without_encoded_words(name.strip().strip('"')), username=local, domain=domain)


def address_key(email: str) -> str:
    """Return an address as addresses are compared, or nothing if it is none."""
    return email.lower() if _parts(email) is not None else ""


def without_encoded_words(text: str) -> str:
    """Return a text for a header: assigning one decodes encoded words, and one may hold a line break."""
    return text.replace("=?", "= ?")


def _parts(address: str) -> tuple[str, str] | None:
    """Return local part and domain, the domain in its ASCII form, or None for what is no address."""
    match = _ADDRESS.fullmatch(address)
    too_long = len(address.lower()) > LONGEST  # some letters become two
    if match is None or too_long or not address.isprintable() or "=?" in match["local"]:
        return None
    try:
        domain = match["domain"] if match["domain"].isascii() else match["domain"].encode("idna").decode("ascii")
    except UnicodeError:
        return None
    # IDNA makes a comma or an at sign of its wide twin, so it is the ASCII form that is looked at
    return (match["local"], domain) if _ASCII_DOMAIN.fullmatch(domain) else None
