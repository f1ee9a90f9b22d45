"""What a fact is: one thing that a notification told about one line of an order, or about a subscription."""

from dataclasses import dataclass
from datetime import datetime

from qlmhook.domain.events import Event, EventKind, Item

Place = tuple[str, str]
"""An order's reference and the name of a line in it."""

_RANKS = {kind: rank for rank, kind in enumerate(EventKind)}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """An event about one line or one subscription, or without an item about a whole order.

    `arrival` numbers the facts as they came, `told_by` is the notification that brought this one, `learned_at` when
    that was. `place` is the order and the line as the vendor named them in this message; the event and its item have
    the names under which they are known by now. `dismissed`: an operator closed the notification without applying it.
    """

    event: Event
    item: Item | None
    arrival: int
    told_by: int
    learned_at: datetime
    place: Place = ("", "")
    dismissed: bool = False

    @property
    def age(self) -> tuple[datetime, int, int, int]:
        """Sorts facts by when the vendor told them.

        Of one second the vendor's own sequence counts, then where they stand in an order's life, then their arrival.
        """
        return self.event.at, self.event.sequence, _RANKS[self.event.kind], self.arrival
