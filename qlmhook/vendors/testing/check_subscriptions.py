"""Checks between messages: what is told of a subscription is about that of the sale, and says how it stands."""

from qlmhook.domain.events import Event, EventKind, Item, Standing
from qlmhook.vendors.testing.plugin_under_test import PluginUnderTest, events_of, expect_none

_OF_THE_SUBSCRIPTION = "subscription", "subscription_ended", "subscription_stopped", "past_due", "upgrade"


class Subscriptions(PluginUnderTest):
    """A subscription goes on, stops and changes as the shop says."""

    def test_a_renewal_is_another_order_of_the_same_subscription(self) -> None:
        """Under the first order's name it would be taken for a repeat, under another reference for a new sale."""
        sale = self._sale()
        [message] = self._said("renewal").values()
        renewals = events_of(message, EventKind.PAID)

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
        told = {name: self._told(name) for name in self._said(*_OF_THE_SUBSCRIPTION)}

        expect_none(
            f"The message `{name}` is about {sorted(_references(*events))}, and the paid order has the subscriptions "
            f"{sorted(sold)}: use one subscription_ref or group_ref in both."
            for name, events in told.items()
            if events and not _references(*events) & sold
        )

    def test_a_subscription_that_ended_is_told_so(self) -> None:
        """Else the license is used for ever."""
        told = self._told("subscription_ended")

        assert not told or any(_ends(event) for event in told), (
            "`subscription_ended` says nothing that ends the use: set `stopped`, `expired` or `final` of its standing, "
            "or the expires_at of its item."
        )

    def test_a_subscription_that_stopped_is_told_so(self) -> None:
        """The use is taken away for now, whatever date was paid for."""
        told = self._told("subscription_stopped")

        assert not told or any(_stops(event) for event in told), (
            "`subscription_stopped` takes nothing away: set `stopped` or `paused` of its standing."
        )

    def test_a_payment_that_is_late_takes_nothing_away_yet(self) -> None:
        """The shop goes on trying to collect it, and the customer goes on using what it is for."""
        told = self._told("past_due")

        assert not any(_stops(event) or (_ends(event) and _standing(event).grace_days < 1) for event in told), (
            "`past_due` takes the use away while the shop still tries: say in `grace_days` of its standing for how "
            "long it goes on, and hand in as `subscription_stopped` what takes it away."
        )

    def test_an_upgrade_says_what_the_subscription_has_from_now_on(self) -> None:
        """Without that the license stays what it was."""
        sale, told = self._sale(), self._told("upgrade")

        assert not told or any(_standing(event).replaces for event in told), (
            "`upgrade` replaces nothing: set `replaces` of its standing, with the new product and quantity in the item."
        )
        assert not told or any(_is_another(item, sale) for event in told for item in event.items), (
            "`upgrade` has the product and the quantity that the sale had: give its item the new product_id, or the "
            "new quantity."
        )

    def _told(self, name: str) -> list[Event]:
        """What a message says of a subscription; the check is skipped where there is none of this name."""
        [message] = self._said(name).values()
        return events_of(message, EventKind.SUBSCRIPTION)


def _references(*events: Event) -> set[str]:
    return set().union(*(_named(item) for event in events for item in event.items))


def _named(item: Item) -> set[str]:
    return {item.subscription_ref, item.group_ref} - {""}


def _standing(event: Event) -> Standing:
    return event.standing or Standing()


def _stops(event: Event) -> bool:
    return _standing(event).stopped or _standing(event).paused


def _ends(event: Event) -> bool:
    says_so = _stops(event) or _standing(event).expired or _standing(event).final
    return says_so or any(item.expires_at is not None and item.expires_at <= event.at for item in event.items)


def _is_another(item: Item, sale: Event) -> bool:
    """An item without a product leaves that as it is."""
    return all(
        item.quantity != sold.quantity or item.product_id not in ("", sold.product_id)
        for sold in sale.items
        if _named(item) & _named(sold)
    )
