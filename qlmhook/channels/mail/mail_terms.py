"""What the mapping of today says of a mail: from whom, with which template, with which copies.

A broken mapping keeps no mail back.
"""

from qlmhook.catalog import mappings
from qlmhook.domain.events import Item
from qlmhook.domain.terms import Terms
from qlmhook.inbox import fact_store
from qlmhook.storage import models


def terms_of_today(license: models.License, order_ref: str) -> Terms | None:
    """Return what the mapping of today says of a license's product as an order has it, or None for a broken one.

    A product of several ids has those that the order told.
    """
    about = fact_store.about(license.vendor, order_refs=[order_ref], subscription_refs=[license.subscription_ref])
    facts = sorted(
        (fact for told in about.values() for fact in told),
        key=lambda fact: (fact.event.order_ref != order_ref, fact.arrival),
    )
    items = (fact.item for fact in facts if fact.item and fact.item.product_id == license.vendor_product_id)
    untold = Item(line=license.line, product_id=license.vendor_product_id)
    return mappings.usable_terms(license.vendor, next(items, untold))
