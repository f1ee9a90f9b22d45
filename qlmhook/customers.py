"""Customers: one row for each e-mail address, filled from everything that notifications told about it."""

from dataclasses import asdict

from qlmhook import history, models
from qlmhook.events import Customer


def save(customer: Customer) -> models.Customer | None:
    """Create or update the row of this customer's address; None when there is no address to mail to.

    For each part the newest message that has it counts, so a late message changes nothing.
    """
    key = history.address_key(customer.email)
    if not key:
        return None
    known = {"email": customer.email}
    for fact in sorted(history.of_customer(customer.email), key=lambda fact: fact.age):
        known.update({name: value for name, value in asdict(fact.event.customer).items() if value})
    columns = {**asdict(Customer()), **known}
    columns["full_name"] = f"{columns['first_name']} {columns['last_name']}".strip()

    row = models.Customer.get_or_none(models.Customer.email_key == key)
    if row is None:
        return models.Customer.create(email_key=key, **columns)
    changed = {name: value for name, value in columns.items() if getattr(row, name) != value}
    if changed:
        models.Customer.update(changed).where(models.Customer.id == row.id).execute()
    return row
