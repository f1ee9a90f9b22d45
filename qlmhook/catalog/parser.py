"""Server properties: what to license for a shop's product, in QLM's `&is_name=value` vocabulary.

Source: QLM, GetActivationKeyWithExpiryDate and "How to integrate QLM with 2Checkout, method 2".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from qlmhook.catalog import lint
from qlmhook.catalog.arguments import ALIASES, ARGUMENTS, CREDENTIALS
from qlmhook.domain.terms import Terms
from qlmhook.errors import PropertyError

IGNORE = "ignore"
"""The value of a `pid_…` property that marks a product which gets no license."""

MAX_SPLICE_DEPTH = 5


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A property value that can be used: what is stored, what it means, and what looks wrong about it.

    `effective` has what it is laid over and what is spliced in besides its own arguments.
    """

    value: str
    arguments: Mapping[str, str]
    effective: Mapping[str, str]
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
        if not equals or not name.strip():
            raise PropertyError(f"{part.strip()!r} is no argument; each is written as is_name=value.")
        try:
            decoded = unquote(value, errors="strict").strip()
        except UnicodeDecodeError:
            raise PropertyError(f"The value of {name.strip()} has percent-encoding that is not UTF-8.") from None
        arguments[_name_of(part)] = decoded
    return arguments


def _name_of(part: str) -> str:
    name = part.partition("=")[0].strip().lstrip("?").lower()
    return ALIASES.get(name, name)


def check(name: str, text: str, lookup: Callable[[str], str | None]) -> Checked:
    """Check a property before it is stored.

    `lookup` returns another property's value, for is_args. Raises PropertyError with what is wrong and what
    was meant. Unknown names are kept and warned about.
    """
    if is_mapping(name) and text.strip().lower() == IGNORE:
        return Checked(value=IGNORE, arguments={}, effective={})
    arguments = parse_arguments(text)
    warnings = lint.warnings_about(arguments)
    arguments = {key: value for key, value in arguments.items() if key not in CREDENTIALS}
    if not arguments:
        raise PropertyError("The value has no arguments; it is written as &is_productid=1&is_majorversion=1&….")
    effective = arguments
    if is_mapping(name):
        effective = {**_mapping_below(name, lookup), **splice(arguments, lookup)}
        _terms(effective, stored=False)
    else:
        _convert(arguments, stored=False)
    kept = "&".join(part for part in text.strip().split("&") if _name_of(part) not in CREDENTIALS)
    return Checked(value=kept, arguments=arguments, effective=effective, warnings=warnings)


def read_terms(texts: Sequence[str], lookup: Callable[[str], str | None]) -> Terms | None:
    """Return what a mapping says, each text laid over those before it.

    None when the last one is `ignore`. Raises PropertyError when it cannot be used.
    """
    arguments: dict[str, str] = {}
    for text in texts:
        if text.strip().lower() == IGNORE:
            arguments = {}
        else:
            arguments.update(splice(parse_arguments(text), lookup))
    return _terms(arguments, stored=True) if arguments else None


def checked_name(name: str) -> str:
    """Return a property's name as it is stored, in lower case; raises PropertyError for what is no name."""
    key = name.strip().lower()
    if not re.fullmatch(r"[a-z0-9][^&=]{0,189}", key) or not key.isprintable():
        raise PropertyError(f"{name!r} is no name for a property; one is written as pid_8019770900775.")
    return key


def is_mapping(name: str) -> bool:
    """Tell `pid_<product id>`, or `<instance>_pid_<product id>`, from a property that others splice in."""
    return re.search(r"(^|_)pid_.", name.lower()) is not None


def _mapping_below(name: str, lookup: Callable[[str], str | None]) -> dict[str, str]:
    """Return the arguments that the property of an option, `pid_<id>_<option>`, is laid over."""
    start = re.search(r"(^|_)pid_", name)
    for end in [match.start() for match in re.finditer("_", name) if start and match.start() > start.end()][::-1]:
        text = lookup(name[:end])
        if text is not None and text != IGNORE:
            return splice(parse_arguments(text), lookup)
    return {}


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


def spliced(text: str, lookup: Callable[[str], str | None]) -> set[str]:
    """Return the names, in lower case, of all properties that a value splices in, those that are missing too."""
    names: set[str] = set()
    following: str | None = text
    while following is not None and following != IGNORE:
        name = parse_arguments(following).get("is_args", "").lower()
        if not name or name in names:
            break
        names.add(name)
        following = lookup(name)
    return names


def _terms(arguments: Mapping[str, str], *, stored: bool) -> Terms:
    missing = [name for name, argument in ARGUMENTS.items() if argument.required and not arguments.get(name)]
    if missing:
        raise PropertyError(f"{', '.join(missing)} must be given: {ARGUMENTS[missing[0]].meaning}.")
    values = _convert(arguments, stored=stored)
    known = {ARGUMENTS[name].term: value for name, value in values.items() if ARGUMENTS[name].term}
    senders = known.pop("mail_from", ())
    if len(senders) > 1:
        raise PropertyError("is_emailfrom names more than one address.")
    source = "".join(f"&{name}={quote(value, safe=' :;|+/')}" for name, value in sorted(arguments.items()))
    terms = Terms(**known, mail_from="".join(senders), source=source)
    if not terms.one_key and terms.additional_activations:
        raise PropertyError("is_additionalactivations needs one key: remove it or is_usemultipleactivationskey=false.")
    return terms


def _convert(arguments: Mapping[str, str], *, stored: bool) -> dict[str, Any]:
    """Return the values of the arguments that are known and not empty."""
    values = {}
    for name, text in arguments.items():
        argument = ARGUMENTS.get(name)
        if argument is None or text == "":
            continue
        read = argument.read_stored if stored and argument.read_stored else argument.read
        try:
            values[name] = read(text)
        except ValueError as error:
            raise PropertyError(f"{name} is {text[:80]!r}; meant is {error}.") from None
    return values
