"""Customers: one row for each e-mail address, filled from everything that notifications told about it."""

from dataclasses import asdict
from datetime import datetime

from qlmhook import history, models
from qlmhook.addresses import address_key
from qlmhook.events import Customer


def save(customer: Customer, told_at: datetime) -> None:
    """Create or update the row of this customer's address; without an address to mail to nothing is kept.

    For each part the newest message that has it counts. `told_at` is when the vendor made this one: a late
    message is put where it belongs among all that are known.
    """
    key = address_key(customer.email)
    if not key:
        return
    row = models.Customer.get_or_none(models.Customer.email_key == key)
    if row is None:
        models.Customer.create(email_key=key, told_at=told_at, **_columns({}, [customer]))
        return
    if told_at >= row.told_at:
        columns = _columns({name: getattr(row, name) for name in asdict(customer)}, [customer])
    else:
        facts = sorted(history.of_customer(key), key=lambda fact: fact.age)
        columns = _columns({}, [fact.event.customer for fact in facts])
    columns["told_at"] = max(told_at, row.told_at)
    changed = {name: value for name, value in columns.items() if getattr(row, name) != value}
    if changed:
        models.Customer.update(changed).where(models.Customer.id == row.id).execute()


def find(email: str) -> models.Customer | None:
    """Return the customer with this address, if it is one."""
    return models.Customer.get_or_none(models.Customer.email_key == address_key(email))


def _columns(known: dict[str, str], customers: list[Customer]) -> dict[str, str | datetime]:
    """Return the columns after these customers, oldest first: what is empty takes nothing away."""
    parts = {**asdict(Customer()), **known}
    for customer in customers:
        parts.update({name: value for name, value in asdict(customer).items() if value})
    return {**parts, "full_name": f"{parts['first_name']} {parts['last_name']}".strip()}
