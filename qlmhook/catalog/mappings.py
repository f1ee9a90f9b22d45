"""Server properties in the database."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from qlmhook.catalog import parser
from qlmhook.domain import products
from qlmhook.domain.events import Item
from qlmhook.domain.terms import Terms
from qlmhook.errors import NotFound, PropertyError
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given, given

_CHANGED_SINCE = Statement[models.ServerProperty](
    lambda: models.ServerProperty.select().where(models.ServerProperty.updated_at > given("at")).limit(1)
)
_BY_NAMES = Statement[models.ServerProperty](
    lambda: models.ServerProperty.select().where(models.ServerProperty.name.in_(any_given("names")))
)
_BY_NAME = Statement[models.ServerProperty](
    lambda: models.ServerProperty.select().where(models.ServerProperty.name == given("name"))
)


def property_value(name: str) -> str | None:
    """Return a property's value, or None; names are compared without letter case."""
    row = _BY_NAME.first(name=name.strip().lower())
    return None if row is None else row.value


def mapped_terms(vendor: str, product_ids: Sequence[str], options: Collection[str] = ()) -> Terms | None:
    """Return what the mapping of a vendor's product says; of several ids the first that has a mapping counts.

    For each id `<instance>_pid_<id>` counts before `pid_<id>`. For each option that the customer chose,
    `pid_<id>_<option>` is laid over it, if there is such a property: that of the id whose mapping counts, and over
    it those of the more specific ids. None means that the product gets no license. Raises NotFound without a
    mapping, PropertyError for one that cannot be used.
    """
    mapped = (
        (place, text)
        for place, product_id in enumerate(product_ids)
        if (text := _first_value(_own_names(vendor, product_id))) is not None
    )
    place, text = next(mapped, (0, None))
    if text is None:
        raise NotFound(f"There is no property {' or '.join(f'pid_{product_id}' for product_id in product_ids)}.")
    layers = [
        _first_value(_own_names(vendor, f"{product_id}_{option}"))
        for product_id in reversed(product_ids[: place + 1])
        for option in options
    ]
    return parser.read_terms([text, *filter(None, layers)], property_value)


def usable_terms(vendor: str, item: Item) -> Terms | None:
    """Return what the mapping of an item's product says, or None if it has none that can be used."""
    try:
        return mapped_terms(vendor, products.ids_of(item), item.options)
    except (NotFound, PropertyError):
        return None


def asks_for_confirmation(vendor: str, item: Item) -> bool:
    """Tell whether a product's mapping says now that the shop waits for our confirmation."""
    terms = usable_terms(vendor, item)
    return terms is not None and terms.confirm


def terms_sold(source: str) -> Terms | None:
    """Return the terms that something was sold by, from their source; raises PropertyError."""
    return parser.read_terms([source], property_value)


def _own_names(vendor: str, about: str) -> tuple[str, str]:
    return f"{vendor}_pid_{about}", f"pid_{about}"


def _first_value(names: Iterable[str]) -> str | None:
    keys = [name.lower() for name in names]
    found = {row.name: row.value for row in _BY_NAMES.all(names=keys)}
    return next((found[key] for key in keys if key in found), None)


def is_mapped(vendor: str, product_ids: Iterable[str]) -> bool:
    """Tell whether one of a product's ids has a mapping, usable or not."""
    return any(_first_value(_own_names(vendor, product_id)) is not None for product_id in product_ids)


def is_changed_since(at: datetime) -> bool:
    """Tell whether a property was set since then; one that was removed takes nothing away that was sold."""
    return _CHANGED_SINCE.first(at=at) is not None


def is_settled(vendor: str, product_ids: Sequence[str]) -> bool:
    """Tell whether a mapping alone says all that an order of its product needs."""
    try:
        terms = mapped_terms(vendor, product_ids)
    except (NotFound, PropertyError):
        return False
    return terms is None or terms.knows_its_end


def concerns(names: Collection[str], vendor: str, product_ids: Iterable[str]) -> bool:
    """Tell whether these properties have a part in what is licensed for a product of these ids.

    They are its own, those of its options, or one that is spliced into these.
    """
    changed = {name.strip().lower() for name in names}
    own = {name.lower() for product_id in product_ids for name in _own_names(vendor, product_id)}
    of_options = tuple(f"{name}_" for name in own)
    parts = [row for row in every() if row.name in own or row.name.startswith(of_options)]
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
