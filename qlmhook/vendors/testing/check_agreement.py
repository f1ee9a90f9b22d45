"""Checks between messages: what is told of a sale later is about the same order, lines, customer and merchant."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from qlmhook.domain import products
from qlmhook.domain.events import Event, EventKind, Item
from qlmhook.vendors.testing.messages import BESIDE, KINDS, OF_THE_SALE
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, events_of, expect_none, lines_of, names_of


class Agreement(PluginUnderTest):
    """The messages of one sale fit together."""

    def test_every_message_is_told_as_what_it_is(self) -> None:
        """A lost dispute is no won one, and a payment under review is none yet."""
        faults = []
        for name, message in self._understood.items():
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
        assert message.order_ref in {"", *names_of(*message.events)}, (
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
            if name in OF_THE_SALE and event.kind not in BESIDE and not names & names_of(event)
        )

    def test_what_is_told_of_the_sale_names_its_lines(self) -> None:
        """A refund of a line that was never sold takes nothing back."""
        sold = lines_of(self._sale())

        told = [
            (name, item)
            for name, event in self._events()
            if name in OF_THE_SALE and event.kind not in BESIDE
            for item in event.items
        ]

        expect_none(
            f"The message `{name}` names the line {item.line!r}, and the paid order has {sorted(sold)}: name a line "
            "the same in every message, or say whole_order=True where a message names none."
            for name, item in told
            if item.line not in sold
        )
        expect_none(
            f"The message `{name}` names the line {item.line!r} and gives it {difference}: name a line by what stays, "
            "not by its place in the message, and leave out what a message does not tell of it."
            for name, item in told
            for difference in _differences(item, sold[item.line])
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

    def test_a_customer_is_joined_to_the_sale(self) -> None:
        """A customer whom nothing joins to an order gets no mail."""
        sale, names = self._sale(), self._names_of_the_sale()
        [message] = self._said("customer").values()
        told = events_of(message, EventKind.CUSTOMER)

        assert not told or any(
            event.order_ref in names or (event.customer_ref and event.customer_ref == sale.customer_ref)
            for event in told
        ), (
            f"`customer` describes {[event.customer_ref for event in told]}, and `paid` is of {sale.customer_ref!r}: "
            "use the same customer_ref in both."
        )
        assert all(event.customer.email for event in told), "`customer` has no email: it is what mails need."

    def test_every_message_is_of_one_merchant(self) -> None:
        """Another merchant under the same key is alerted, as if a stranger had it."""
        told = {message.merchant for message in self._understood.values()} - {""}

        assert len(told) <= 1, (
            f"The messages of one account call its merchant {sorted(told)}: give `merchant` what names the account, "
            "the same in all messages, or leave it out."
        )

    def test_a_batch_has_an_event_for_each_order(self) -> None:
        """Several orders may come in one request, and none of them is lost."""
        [message] = self._said("batch").values()
        orders = {event.order_ref for event in message.events}

        assert len(orders) > 1, f"`batch` is about several orders, and the events name {sorted(orders)} alone."


def _differences(item: Item, sold: Item) -> Iterator[str]:
    """Say in what an item is no item of the line that was sold; what is left out differs in nothing."""
    if item.product_id and not _ids(item) & _ids(sold):
        yield f"the product {item.product_id!r}, where {sold.product_id!r} was sold"
    if item.subscription_ref not in ("", sold.subscription_ref):
        yield f"the subscription {item.subscription_ref!r}, where {sold.subscription_ref!r} was sold"
    units = max(item.quantity, item.undone_quantity or 1)
    if units > sold.quantity or (item.undone_quantity is None and units not in (1, sold.quantity)):
        yield f"{units} units, where {sold.quantity} were sold"


def _ids(item: Item) -> set[str]:
    return {product_id.lower() for product_id in products.ids_of(item)}


def _payment(event: Event) -> tuple[datetime, datetime, tuple[Item, ...]]:
    items = tuple(replace(item, product_name="") for item in event.items)
    return event.placed_at, event.paid_at or event.at, items
