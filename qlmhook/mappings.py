"""Server properties in the database."""

from datetime import datetime

from qlmhook import models, properties
from qlmhook.errors import NotFound


def property_value(name: str) -> str | None:
    """Return a property's value, or None; names are compared without letter case."""
    row = models.ServerProperty.get_or_none(models.ServerProperty.name == name.strip().lower())
    return None if row is None else row.value


def terms_of(vendor: str, product_id: str) -> properties.Terms | None:
    """Return what to license for a vendor's product: `<instance>_pid_<id>` counts before `pid_<id>`.

    None means that it gets no license. Raises NotFound without a mapping, PropertyError for one that cannot be
    used.
    """
    for name in (f"{vendor}_pid_{product_id}", f"pid_{product_id}"):
        text = property_value(name)
        if text is not None:
            return properties.terms_of(text, property_value)
    raise NotFound(f"There is no property pid_{product_id}.")


def save(name: str, text: str, *, now: datetime) -> properties.Checked:
    """Check a property and store it; raises PropertyError."""
    key = properties.checked_name(name)
    checked = properties.check(key, text, property_value)
    row = models.ServerProperty.get_or_none(models.ServerProperty.name == key) or models.ServerProperty(name=key)
    row.value, row.updated_at = checked.value, now
    row.save()
    return checked


def remove(name: str) -> None:
    """Delete a property; raises NotFound."""
    if not models.ServerProperty.delete().where(models.ServerProperty.name == name.strip().lower()).execute():
        raise NotFound(f"There is no property {name}.")


def every() -> list[models.ServerProperty]:
    """Return all properties, by name."""
    return list(models.ServerProperty.select().order_by(models.ServerProperty.name))
