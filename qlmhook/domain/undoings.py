"""What takes a purchase back: refunds, cancellations, lost disputes, fewer units; as a whole, or some units of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from qlmhook.domain.events import EventKind
from qlmhook.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """What took a purchase back, or only so many `units` of it, and when that was learned.

    `binding` when it takes back what is issued, too.
    """

    fact: Fact
    units: int | None
    learned_at: datetime
    binding: bool = True

    @property
    def why(self) -> str:
        """A sentence for the license's history."""
        order_ref, kind = self.fact.event.order_ref, self.fact.event.kind
        if kind is EventKind.SUBSCRIPTION:
            return "The subscription has fewer units since then."
        if kind is EventKind.CHARGEBACK_LOST:
            return f"The chargeback of order {order_ref} is lost."
        return f"Order {order_ref} is {kind.value}."


def units_taken(undoings: Iterable[Undoing], quantity: int) -> int:
    """Return how many of so many units were taken back.

    Refunds that the vendor tells apart by their case add up. Those without one may be the same, told again: of them
    the largest counts.
    """
    of_cases: dict[str, int] = {}
    for undoing in undoings:
        case, units = undoing.fact.event.case_ref, quantity if undoing.units is None else undoing.units
        of_cases[case] = max(units, of_cases.get(case, 0))
    without_case = of_cases.pop("", 0)
    return min(quantity, max(without_case, sum(of_cases.values())))


def take_all(undoings: Iterable[Undoing], quantity: int) -> bool:
    """Tell whether nothing is left of so many units."""
    return units_taken(undoings, quantity) == quantity
