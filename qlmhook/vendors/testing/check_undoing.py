"""Checks between messages: what a refund and a dispute take from a sale, and which of several they are."""

from qlmhook.domain.events import Event
from qlmhook.vendors.testing.messages import BESIDE, KINDS
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, expect_none, lines_of

_TAKE_BACK = "refund", "reversal", "cancellation"
_TAKE_A_PART = "partial_refund", "refund_of_units", "second_refund_of_units"
_TAKE_UNITS = "refund_of_units", "second_refund_of_units"
_ONE_DISPUTE = "dispute_opened", "dispute_won", "dispute_lost"


class Undoing(PluginUnderTest):
    """What is taken back is what the shop took back, and no more."""

    def test_a_full_refund_takes_everything(self) -> None:
        """What is left out of it stays with the customer."""
        sale = self._sale()

        expect_none(
            f"The message `{name}` is of the whole order, and leaves some of it: say whole_order=True, or name all "
            "lines without undone_quantity."
            for name, message in self._said(*_TAKE_BACK).items()
            if not any(_takes_all(event, sale) for event in message.events)
            and any(event.kind is KINDS[name] for event in message.events)
        )

    def test_a_partial_refund_leaves_the_rest(self) -> None:
        """Who gave back a part goes on using what is left."""
        sale = self._sale()

        expect_none(
            f"`{name}` takes the whole order: name only the lines that it is for, with undone_quantity where it is for "
            "some units."
            for name, message in self._said(*_TAKE_A_PART).items()
            if any(_takes_all(event, sale) for event in message.events)
        )

    def test_a_refund_of_units_says_how_many(self) -> None:
        """Without a number it takes all units of the line."""
        sold = lines_of(self._sale())

        expect_none(
            f"`{name}` takes {item.undone_quantity or 'all'} of the {sold[item.line].quantity} units of the line "
            f"{item.line!r}: it is for fewer, so say in undone_quantity for how many."
            for name, message in self._said(*_TAKE_UNITS).items()
            for event in message.events
            if event.kind is KINDS[name]
            for item in event.items
            if item.line in sold and not 0 < (item.undone_quantity or 0) < sold[item.line].quantity
        )

    def test_two_refunds_of_one_line_are_told_apart(self) -> None:
        """Their units add up only when each has its name; else the second may be the first, sent again."""
        cases = self._cases("refund_of_units"), self._cases("second_refund_of_units")

        assert _are_apart(*cases), (
            f"`refund_of_units` has the case_ref {_shown(cases[0])}, and `second_refund_of_units` {_shown(cases[1])}: "
            "give each refund its own id."
        )

    def test_a_dispute_has_one_name(self) -> None:
        """Who wins one of two disputes has not won the other."""
        cases = {event.case_ref for name, event in self._events() if name in _ONE_DISPUTE and event.kind not in BESIDE}

        assert len(cases) <= 1, f"The messages of one dispute call it {sorted(cases)}: case_ref names the dispute."

    def test_two_disputes_are_told_apart(self) -> None:
        """Else who wins the one has won the other."""
        cases = self._cases("dispute_opened"), self._cases("second_dispute")

        assert _are_apart(*cases), (
            f"`dispute_opened` has the case_ref {_shown(cases[0])}, and `second_dispute` {_shown(cases[1])}: give each "
            "dispute its own name."
        )

    def _cases(self, name: str) -> set[str]:
        """Return what a message calls its dispute or refund; the check is skipped where there is none of this name."""
        [message] = self._said(name).values()
        return {event.case_ref for event in message.events if event.kind is KINDS[name]}


def _are_apart(first: set[str], second: set[str]) -> bool:
    return "" not in first | second and not first & second


def _shown(cases: set[str]) -> str:
    return ", ".join(map(repr, sorted(cases)))


def _takes_all(event: Event, sale: Event) -> bool:
    if event.kind in BESIDE or event.whole_order:
        return event.whole_order
    sold, back = lines_of(sale), lines_of(event)
    return all(
        line in back and (back[line].undone_quantity or item.quantity) >= item.quantity for line, item in sold.items()
    )
