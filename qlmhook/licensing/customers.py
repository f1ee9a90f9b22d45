"""Customers: one row for each e-mail address, filled from everything that notifications told about it."""

from dataclasses import asdict
from datetime import datetime

from qlmhook.domain import restrictions
from qlmhook.domain.addresses import address_key
from qlmhook.domain.events import Customer, Event
from qlmhook.inbox import fact_store
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, given

_BY_ADDRESS = Statement[models.Customer](
    lambda: models.Customer.select().where(models.Customer.email_key == given("email_key"))
)


def save(event: Event) -> None:
    """Create or update the row of the customer whom an event names, once it is recorded.

    Without an address to mail to nothing is kept. For each part the newest message that has it counts: a late one is
    put where it belongs among all that are known.
    """
    key = address_key(event.customer.email)
    if not key:
        return
    row = _BY_ADDRESS.first(email_key=key)
    if row is None:
        models.Customer.create(email_key=key, told_at=event.at, **_columns([event.customer]))
        return
    said = {name: value for name, value in asdict(event.customer).items() if value}
    if all(getattr(row, name) == value for name, value in said.items()):
        return
    columns = {**_columns(restrictions.namings(fact_store.of_customer(key))), "told_at": max(event.at, row.told_at)}
    models.Customer.update(columns).where(models.Customer.id == row.id).execute()


def find(email: str) -> models.Customer | None:
    """Return the customer with this address, if it is one."""
    return _BY_ADDRESS.first(email_key=address_key(email))


def _columns(customers: list[Customer]) -> dict[str, str | datetime]:
    """Return the columns after these customers, oldest first: what is empty takes nothing away."""
    parts = asdict(Customer())
    for customer in customers:
        parts.update({name: value for name, value in asdict(customer).items() if value})
    return {**parts, "full_name": f"{parts['first_name']} {parts['last_name']}".strip()}
