"""How a product of several ids is named: in what is held for it, and in the sentences about it."""

from qlmhook.domain.events import Item

LONGEST_CAUSE = 190


def ids_of(item: Item) -> tuple[str, ...]:
    """Return the ids of an item's product, the most specific one first."""
    return item.product_id, *filter(None, item.general_ids)


def hold_cause(item: Item) -> str:
    """Return the cause of what is held for a product: `product <id> <id> …`, blanks in an id written `%20`.

    The most general ids are left out of one that would be longer than the database keeps.
    """
    specific, *general = ids_of(item)
    cause = f"product {_escaped(specific)}"
    for product_id in general:
        longer = f"{cause} {_escaped(product_id)}"
        if len(longer) > LONGEST_CAUSE:
            break
        cause = longer
    return cause


def ids_in(about: str) -> tuple[str, ...]:
    """Return the ids that a cause has behind its first word."""
    return tuple(part.replace("%20", " ").replace("%25", "%") for part in about.split(" "))


def _escaped(product_id: str) -> str:
    return product_id.replace("%", "%25").replace(" ", "%20")
