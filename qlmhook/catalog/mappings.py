"""Server properties in the database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from qlmhook.catalog import parser
from qlmhook.domain.events import Item
from qlmhook.domain.terms import Terms
from qlmhook.errors import NotFound, PropertyError
from qlmhook.storage import models


def property_value(name: str) -> str | None:
    """Return a property's value, or None; names are compared without letter case."""
    row = models.ServerProperty.get_or_none(models.ServerProperty.name == name.strip().lower())
    return None if row is None else row.value


def terms_of(vendor: str, product_id: str, options: Iterable[str] = ()) -> Terms | None:
    """Return what to license for a vendor's product: `<instance>_pid_<id>` counts before `pid_<id>`.

    For each option that the customer chose, `pid_<id>_<option>` is laid over it, if there is such a property.
    None means that the product gets no license. Raises NotFound without a mapping, PropertyError for one that
    cannot be used.
    """
    text = _first_value(f"{vendor}_pid_{product_id}", f"pid_{product_id}")
    if text is None:
        raise NotFound(f"There is no property pid_{product_id}.")
    layers = [_first_value(f"{vendor}_pid_{product_id}_{option}", f"pid_{product_id}_{option}") for option in options]
    return parser.read_terms([text, *filter(None, layers)], property_value)


def usable_terms(vendor: str, product_id: str, options: Iterable[str] = ()) -> Terms | None:
    """Return the terms of a product, or None if it has no mapping that can be used."""
    try:
        return terms_of(vendor, product_id, options)
    except (NotFound, PropertyError):
        return None


def asks_for_confirmation(vendor: str, item: Item) -> bool:
    """Tell whether a product's mapping says now that the shop waits for our confirmation."""
    terms = usable_terms(vendor, item.product_id, item.options)
    return terms is not None and terms.confirm


def terms_sold(source: str) -> Terms | None:
    """Return the terms that something was sold by, from their source; raises PropertyError."""
    return parser.read_terms([source], property_value)


def _first_value(*names: str) -> str | None:
    return next((text for text in map(property_value, names) if text is not None), None)


def is_mapped(vendor: str, product_id: str) -> bool:
    """Tell whether a product has a mapping, usable or not."""
    return _first_value(f"{vendor}_pid_{product_id}", f"pid_{product_id}") is not None


def is_settled(vendor: str, product_id: str) -> bool:
    """Tell whether a mapping alone says all that an order of its product needs."""
    try:
        terms = terms_of(vendor, product_id)
    except (NotFound, PropertyError):
        return False
    return terms is None or terms.knows_its_end


def concerns(names: Collection[str], vendor: str, product_id: str) -> bool:
    """Tell whether these properties have a part in what is licensed for a product.

    They are its own, those of its options, or one that is spliced into these.
    """
    changed = {name.strip().lower() for name in names}
    own = tuple(f"{begin}pid_{product_id}".lower() for begin in ("", f"{vendor}_"))
    parts = [row for row in every() if row.name in own or row.name.startswith(tuple(f"{name}_" for name in own))]
    return any(row.name in changed or changed & parser.spliced(row.value, property_value) for row in parts)


def recheck(row: models.ServerProperty) -> parser.Checked:
    """Check a stored property once more; raises PropertyError."""
    return parser.check(row.name, row.value, property_value)


def template_names(checked: parser.Checked) -> list[str]:
    """Return the names of the mail templates that a property uses."""
    names = [checked.arguments.get(name, "") for name in ("is_emailtemplate", "is_emailtemplate_renew")]
    return list(filter(None, names))


def save(name: str, text: str, *, now: datetime) -> parser.Checked:
    """Check a property and store it; raises PropertyError."""
    key = parser.checked_name(name)
    checked = parser.check(key, text, property_value)
    row = models.ServerProperty.get_or_none(models.ServerProperty.name == key) or models.ServerProperty(name=key)
    row.value, row.updated_at = checked.value, now
    row.save()
    return checked


def remove(name: str) -> None:
    """Delete a property; raises NotFound."""
    if not models.ServerProperty.delete().where(models.ServerProperty.name == name.strip().lower()).execute():
        raise NotFound(f"There is no property {name}.")


@dataclass(frozen=True, kw_only=True)
class RenamedProperty:
    """A property of one account, and the name that it would have under the account's new name."""

    old: str
    new: str
    is_moved: bool


def rename_account(old: str, new: str, *, now: datetime) -> list[RenamedProperty]:
    """Rename the properties of one account, `<instance>_pid_…`; where there is one of the new name, both stay."""
    begin = f"{old}_pid_".lower()
    renamed = []
    for row in every() if old.lower() != new.lower() else []:
        if row.name.startswith(begin):
            name = f"{new}_pid_{row.name.removeprefix(begin)}".lower()
            is_free = property_value(name) is None
            if is_free:
                models.ServerProperty.update(name=name, updated_at=now).where(
                    models.ServerProperty.id == row.id
                ).execute()
            renamed.append(RenamedProperty(old=row.name, new=name, is_moved=is_free))
    return renamed


def every() -> list[models.ServerProperty]:
    """Return all properties, by name."""
    return list(models.ServerProperty.select().order_by(models.ServerProperty.name))
