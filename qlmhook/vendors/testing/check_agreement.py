"""Checks between messages: what is told of a sale later is about the same order, lines and subscription."""

from dataclasses import replace
from datetime import datetime

from qlmhook.domain.events import Event, EventKind, Item, Message
from qlmhook.vendors.testing.messages import BESIDE, KINDS, OF_THE_SALE
from qlmhook.vendors.testing.plugin_under_test import Subject, expect_none

_TAKE_BACK = "refund", "reversal", "cancellation"
_DISPUTES = "dispute_opened", "dispute_won", "dispute_lost"


class Agreement(Subject):
    """The messages of one sale fit together."""

    def test_every_message_is_told_as_what_it_is(self) -> None:
        """A lost dispute is no won one, and a payment under review is none yet."""
        faults = []
        for name, message in self._understood().items():
            kinds = {event.kind for event in message.events}
            if name in KINDS and (KINDS[name] not in kinds or kinds - {KINDS[name]} - BESIDE):
                told = ", ".join(sorted(kind.name for kind in kinds)) or "nothing"
                faults.append(f"The message `{name}` must be told as {KINDS[name].name}, and is told as {told}.")

        expect_none(faults)

    def test_a_paid_order_has_its_lines(self) -> None:
        """The core learns which order is paid and what was bought."""
        [message] = self._said("paid").values()
        items = [item for event in message.events for item in event.items]

        assert message.kind, "The message `paid` has no `kind`: give it the vendor's name for this sort of message."
        assert message.order_status, "The message `paid` has no `order_status`: say the vendor's word for it."
        assert message.order_ref in {"", *_names(*message.events)}, (
            f"The message `paid` says order_ref={message.order_ref!r}, which is no name of its event's order."
        )
        assert len(items) > 1 or self.sells_single_lines, (
            "`paid` has fewer than two lines: hand in an order of two, or say sells_single_lines = True."
        )
        expect_none(
            f"The line {item.line!r} of `paid` is genuine, and has the problem {item.problem!r}: read it."
            for item in items
            if item.problem
        )

    def test_what_is_told_of_the_sale_names_its_order(self) -> None:
        """A refund under a name that no other message tells cannot be joined to what was sold."""
        names = self._names_of_the_sale()

        expect_none(
            f"The message `{name}` is about the order {event.order_ref!r}, which no message joins with the paid one, "
            f"{sorted(names)}: use the same order_ref, or tell the names together in also_known_as."
            for name, event in self._events()
            if name in OF_THE_SALE and event.kind not in BESIDE and not names & _names(event)
        )

    def test_what_is_told_of_the_sale_names_its_lines(self) -> None:
        """A refund of a line that was never sold takes nothing back."""
        sold = _lines(self._sale())

        expect_none(
            f"The message `{name}` names the line {item.line!r}, and the paid order has {sorted(sold)}: name a line "
            "the same in every message, or say whole_order=True where a message names none."
            for name, event in self._events()
            if name in OF_THE_SALE and event.kind not in BESIDE
            for item in event.items
            if item.line not in sold
        )

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
        [message] = self._said("partial_refund").values()

        assert not any(_takes_all(event, sale) for event in message.events), (
            "`partial_refund` takes the whole order: name only the lines that it is for, with undone_quantity where it "
            "is for some units."
        )

    def test_a_test_order_is_told_as_one(self) -> None:
        """A test is no sale, and a sale is no test."""
        expect_none(
            f"The message `{name}` is {'a test' if name == 'test_order' else 'no test'}, and an event says "
            f"test={event.test}."
            for name, event in self._events()
            if event.test != (name == "test_order") and not name.startswith("others")
        )

    def test_an_order_that_is_sent_again_is_the_same(self) -> None:
        """A payment is news once: what differs in a message that is sent again is not what names or dates it."""
        [message] = self._said("paid_again").values()
        told = [_payment(event) for event in message.events if event.kind is EventKind.PAID]

        assert _payment(self._sale()) in told or not told, (
            "`paid_again` has another placed_at, another paid_at or other items than `paid`: set paid_at to when the "
            f"customer paid, and name lines by what stays. {told} is not {_payment(self._sale())}."
        )

    def test_a_renewal_is_another_order_of_the_same_subscription(self) -> None:
        """Under the first order's name it would be taken for a repeat, under another reference for a new sale."""
        sale = self._sale()
        [message] = self._said("renewal").values()
        renewals = [event for event in message.events if event.kind is EventKind.PAID]

        assert not any(event.order_ref in self._names_of_the_sale() for event in renewals), (
            "`renewal` has the order_ref of the paid order: each payment of a subscription is an order of its own."
        )
        assert not renewals or _references(*renewals) & _references(sale), (
            f"`renewal` is of the subscriptions {sorted(_references(*renewals))}, the paid order of "
            f"{sorted(_references(sale))}: both need the same subscription_ref."
        )

    def test_a_subscription_is_called_as_in_its_order(self) -> None:
        """The order and the subscription's messages are joined by its reference."""
        sold = _references(self._sale())

        expect_none(
            f"The message `{name}` is about {sorted(_references(*_of(message, EventKind.SUBSCRIPTION)))}, and the paid "
            f"order has the subscriptions {sorted(sold)}: use one subscription_ref or group_ref in both."
            for name, message in self._said("subscription", "subscription_ended").items()
            if _of(message, EventKind.SUBSCRIPTION) and not _references(*_of(message, EventKind.SUBSCRIPTION)) & sold
        )

    def test_a_subscription_that_ended_is_told_so(self) -> None:
        """Else the license is used for ever."""
        [message] = self._said("subscription_ended").values()
        told = _of(message, EventKind.SUBSCRIPTION)

        assert not told or any(_ends(event) for event in told), (
            "`subscription_ended` says nothing that ends the use: set `stopped`, `expired` or `final` of its standing, "
            "or the expires_at of its item."
        )

    def test_a_dispute_has_one_name(self) -> None:
        """Who wins one of two disputes has not won the other."""
        cases = {event.case_ref for name, event in self._events() if name in _DISPUTES and event.kind not in BESIDE}

        assert len(cases) <= 1, f"The messages of one dispute call it {sorted(cases)}: case_ref names the dispute."

    def test_a_customer_is_joined_to_the_sale(self) -> None:
        """A customer whom nothing joins to an order gets no mail."""
        sale, names = self._sale(), self._names_of_the_sale()
        [message] = self._said("customer").values()
        told = _of(message, EventKind.CUSTOMER)

        assert not told or any(
            event.order_ref in names or (event.customer_ref and event.customer_ref == sale.customer_ref)
            for event in told
        ), (
            f"`customer` describes {[event.customer_ref for event in told]}, and `paid` is of {sale.customer_ref!r}: "
            "use the same customer_ref in both."
        )
        assert all(event.customer.email for event in told), "`customer` has no email: it is what mails need."

    def test_a_batch_has_an_event_for_each_order(self) -> None:
        """Several orders may come in one request, and none of them is lost."""
        [message] = self._said("batch").values()
        orders = {event.order_ref for event in message.events}

        assert len(orders) > 1, f"`batch` is about several orders, and the events name {sorted(orders)} alone."

    def _names_of_the_sale(self) -> set[str]:
        """Every name that some message joins with the paid order's."""
        groups = [_names(event) for _, event in self._events()]
        names = _names(self._sale())
        for _ in groups:
            names |= {name for group in groups if group & names for name in group}
        return names


def _of(message: Message, kind: EventKind) -> list[Event]:
    return [event for event in message.events if event.kind is kind]


def _names(*events: Event) -> set[str]:
    return {name for event in events for name in (event.order_ref, *event.also_known_as)} - {""}


def _lines(event: Event) -> dict[str, Item]:
    return {item.line: item for item in event.items}


def _references(*events: Event) -> set[str]:
    return {ref for event in events for item in event.items for ref in (item.subscription_ref, item.group_ref)} - {""}


def _takes_all(event: Event, sale: Event) -> bool:
    if event.kind in BESIDE or event.whole_order:
        return event.whole_order
    sold, back = _lines(sale), _lines(event)
    return all(
        line in back and (back[line].undone_quantity or item.quantity) >= item.quantity for line, item in sold.items()
    )


def _payment(event: Event) -> tuple[datetime, datetime, tuple[Item, ...]]:
    items = tuple(replace(item, product_name="") for item in event.items)
    return event.placed_at, event.paid_at or event.at, items


def _ends(event: Event) -> bool:
    standing = event.standing
    says_so = standing is not None and (standing.stopped or standing.paused or standing.expired or standing.final)
    return says_so or any(item.expires_at is not None and item.expires_at <= event.at for item in event.items)
