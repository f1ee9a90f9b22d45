"""What was bought: the paid lines of orders, put together from every message about each, and what undid them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from qlmhook.domain import restrictions
from qlmhook.domain.events import EventKind, Item
from qlmhook.domain.facts import Fact, Place
from qlmhook.domain.holds import Hold
from qlmhook.domain.rules import Effect, Policy, effect_of
from qlmhook.domain.terms import FOREVER, Terms
from qlmhook.domain.undoings import Undoing, take_all, units_taken

MAX_QUANTITY = 10_000
MAX_KEYS = 1_000
"""More units, or keys, than this in one line are looked at by a person first."""

TermsFor = Callable[[Place, Item], Terms | Hold | None]
"""Returns a line's terms, None for a product that gets no license, or what holds it without a usable mapping."""

Extension = tuple[datetime, datetime]
"""When an operator extended a license, and until when."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the facts are judged by.

    The mappings, where days end, the operator's choice, which lines took effect already, and by unit how the
    operator extended a license.
    """

    terms_for: TermsFor
    zone: tzinfo
    policy: Policy
    fulfilled: Mapping[Place, str]
    extensions: Mapping[int, tuple[Extension, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One paid line of one order, put together from every message about it.

    `paid_at` is when the vendor first told of its payment, as the vendor dates it; repeats are no news. `terms` are
    those it was sold by; `product_terms` those of the purchase that its product was bought with first, for a renewal
    only moves the end. Source: QLM, "Subscription workflow when integrated with an e-commerce provider".
    """

    order_ref: str
    line: str
    placed_at: datetime
    paid_at: datetime
    learned_at: datetime
    test: bool
    item: Item
    expires_at: datetime | None
    terms: Terms
    product_terms: Terms
    undone: tuple[Undoing, ...] = ()

    @property
    def place(self) -> Place:
        """Which line of which order it is."""
        return self.order_ref, self.line

    @property
    def quantity(self) -> int:
        """How many units were bought and, as long as it counts, not taken back."""
        return self.item.quantity - units_taken(self.undone, self.item.quantity) if self.counts else self.item.quantity

    @property
    def counts(self) -> bool:
        """Whether any unit of it was not taken back."""
        return not take_all(self.undone, self.item.quantity)

    @property
    def units(self) -> int:
        """How many keys it stands for."""
        return 1 if self.product_terms.one_key else self.quantity

    @property
    def sold_units(self) -> int:
        """How many keys it stood for before any unit was taken back."""
        return 1 if self.product_terms.one_key else self.item.quantity

    @property
    def product(self) -> tuple[str, tuple[str, ...]]:
        """What was bought; a renewal buys the same again."""
        return self.item.product_id, self.item.options


def of(
    facts: list[Fact], undone: Mapping[Place, tuple[Undoing, ...]], circumstances: Circumstances
) -> tuple[list[Purchase], list[Hold]]:
    """Return the purchases, oldest first, without those of products that get no license, and what is held.

    A purchase that was undone before it took effect is none.
    """
    lines: dict[Place, list[Fact]] = {}
    for fact in facts:
        if fact.event.kind is EventKind.PAID and fact.item is not None:
            lines.setdefault((fact.event.order_ref, fact.item.line), []).append(fact)
    purchases: list[Purchase] = []
    holds = []
    for place in sorted(lines, key=lambda place: _sale(place, lines[place])):
        quantity = max(fact.item.quantity for fact in lines[place] if fact.item)
        undoings = undone.get(place, ())
        if place not in circumstances.fulfilled and take_all(undoings, quantity):
            continue
        purchase = _purchase(place, lines[place], purchases, circumstances.terms_for)
        if isinstance(purchase, Hold):
            holds.append(replace(purchase, order_ref=place[0]))
        elif purchase is not None:
            purchases.append(replace(purchase, undone=tuple(undoing for undoing in undoings if undoing.binding)))
    return purchases, holds


def undone(facts: list[Fact], circumstances: Circumstances) -> dict[Place, tuple[Undoing, ...]]:
    """Return the lines that were taken back, as a whole or in part, each with what did that.

    A lost dispute takes the lines of its own order back.
    """
    found: dict[Place, dict[tuple[EventKind, str, int | None], Undoing]] = {}
    lost = {dispute.order_ref: dispute for dispute in restrictions.disputes(facts) if dispute.is_lost}
    for fact in facts:
        if fact.item is None:
            continue
        place, units = (fact.event.order_ref, fact.item.line), fact.item.undone_quantity
        of_line = found.setdefault(place, {})
        effect = effect_of(fact.event.kind, circumstances.policy)
        if effect in (Effect.UNDOES, Effect.RECORDED):
            binding = effect is Effect.UNDOES
            new = Undoing(fact=fact, units=units, learned_at=fact.learned_at, binding=binding)
            same = fact.event.kind, fact.event.case_ref, units
            known = of_line.setdefault(same, new)  # a repeat is no news
            if fact.learned_at < known.learned_at:
                of_line[same] = replace(known, learned_at=fact.learned_at)
        if (dispute := lost.get(fact.event.order_ref)) is not None:
            of_line[dispute.told.event.kind, "", None] = Undoing(
                fact=dispute.told, units=None, learned_at=dispute.learned_at
            )
    return {place: tuple(of_line.values()) for place, of_line in found.items() if of_line}


def gone(
    facts: Iterable[Fact], undone: Mapping[Place, tuple[Undoing, ...]], every: Iterable[Purchase]
) -> list[Undoing]:
    """Return what took whole purchases back, those that never took effect too.

    What is refunded or lost was paid, whether or not that was told; what is canceled may have been a cart.
    """
    purchases = {purchase.place: purchase for purchase in every}
    paid: dict[Place, int] = {}
    for fact in facts:
        if fact.item is not None and fact.event.kind is EventKind.PAID:
            place = fact.event.order_ref, fact.item.line
            paid[place] = max(fact.item.quantity, paid.get(place, 0))
    found: list[Undoing] = []
    for place, undoings in undone.items():
        if place in purchases:
            found += purchases[place].undone if not purchases[place].counts else ()
        elif place in paid:
            found += undoings if take_all(undoings, paid[place]) else ()
        else:
            found += [one for one in undoings if one.units is None and one.fact.event.kind in _AFTER_PAYMENT]
    return found


_AFTER_PAYMENT = (EventKind.REFUNDED, EventKind.CHARGEBACK_LOST)


def _sale(place: Place, facts: list[Fact]) -> tuple[datetime, int, str, str]:
    """Sorts purchases by when they were placed; of one time by the number of their order."""
    order_ref, line = place
    return min(fact.event.placed_at for fact in facts), len(order_ref), order_ref, line


def _problem(place: Place, item: Item) -> Hold:
    return Hold(reason=f"Line {place[1]}: {item.problem}", cause=f"order {place[0]}")


def _purchase(place: Place, facts: list[Fact], earlier: list[Purchase], terms_for: TermsFor) -> Purchase | Hold | None:
    """Put together what several messages told about one line: the newest counts, date and quantity only grow."""
    items = [fact.item for fact in facts if fact.item is not None]
    item = next((item for item in reversed(items) if not item.problem), items[-1])
    previous = earlier[-1] if earlier else None
    same = [purchase for purchase in earlier if purchase.item.product_id == item.product_id]
    terms = terms_for(place, item)
    if isinstance(terms, Hold):
        return _problem(place, item) if item.problem else terms
    if terms is None and same:
        terms = same[-1].terms  # a product that is ignored since goes on being renewed for those who have it
    if terms is None:
        return None
    order_ref, line = place
    if item.problem:
        return _problem(place, item)
    item = replace(item, quantity=max(item.quantity for item in items))
    limit = MAX_QUANTITY if terms.one_key else MAX_KEYS
    if item.quantity > limit:
        return Hold(reason=f"Line {line}: the quantity {item.quantity} is over {limit}.", cause=f"order {order_ref}")
    dates = [item.expires_at for item in items if item.expires_at is not None]
    sold_again = previous is not None and previous.product == (item.product_id, item.options)
    return Purchase(
        order_ref=order_ref,
        line=line,
        placed_at=min(fact.event.placed_at for fact in facts),
        paid_at=min(fact.event.paid_at or fact.event.at for fact in facts),
        learned_at=min(fact.learned_at for fact in facts),
        test=facts[-1].event.test,
        item=item,
        expires_at=FOREVER if any(item.lifetime for item in items) else max(dates, default=None),
        terms=terms,
        product_terms=previous.product_terms if sold_again and previous is not None else terms,
    )
