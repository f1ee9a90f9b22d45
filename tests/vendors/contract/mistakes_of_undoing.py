"""Mistakes in what refunds and disputes take away, and in what a subscription is said to be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qlmhook.vendors import Item, Standing
from tests.vendors.contract.kiosk import Kiosk
from tests.vendors.contract.mistakes import fails

Data = Mapping[str, Any]


@fails("test_a_full_refund_takes_everything")
class CancelsTheFirstLine(Kiosk):
    """It reads one line where there are several."""

    def items(self, data: Data) -> tuple[Item, ...]:
        return super().items(data)[: 1 if data["kind"] == "canceled" else None]


@fails("test_a_partial_refund_leaves_the_rest")
class EveryRefundIsFull(Kiosk):
    """It takes back the whole order for a part of the money."""

    def items(self, data: Data) -> tuple[Item, ...]:
        return () if data["kind"] == "refunded" else super().items(data)

    def whole_order(self, data: Data) -> bool:
        return data["kind"] == "refunded" or super().whole_order(data)


@fails("test_a_refund_of_units_says_how_many")
class ForgetsTheUnits(Kiosk):
    """It does not read for how many units a refund is."""

    def undone_quantity(self, data: Data) -> int | None:
        return None


@fails("test_a_refund_of_units_says_how_many")
class EveryUnitOfTheLine(Kiosk):
    """It reads how many units the line had where it should read how many go."""

    def undone_quantity(self, data: Data) -> int | None:
        return data["quantity"] if "undone" in data else None


@fails("test_two_refunds_of_one_line_are_told_apart")
class RefundsWithoutNames(Kiosk):
    """It takes a second refund for the first, sent again."""

    def case_ref(self, data: Data) -> str:
        return "" if data["kind"] == "refunded" else super().case_ref(data)


@fails("test_two_refunds_of_one_line_are_told_apart")
class RefundsByTheirPayment(Kiosk):
    """It names the payment where the refund is meant."""

    def case_ref(self, data: Data) -> str:
        return self.order_ref(data) if data["kind"] == "refunded" else super().case_ref(data)


@fails("test_a_dispute_has_one_name")
class CasesByTheirMessage(Kiosk):
    """It names the message where the dispute is meant."""

    def case_ref(self, data: Data) -> str:
        return super().case_ref(data) and f"{super().case_ref(data)} {data['kind'][-6:]}"


@fails("test_two_disputes_are_told_apart")
class DisputesWithoutNames(Kiosk):
    """It takes all disputes of an order for one."""

    def case_ref(self, data: Data) -> str:
        return "" if data["kind"].startswith("chargeback") else super().case_ref(data)


@fails("test_a_renewal_is_another_order_of_the_same_subscription")
class RenewalsByTheFirstName(Kiosk):
    """It calls all payments of a subscription by the first one's name."""

    def order_ref(self, data: Data) -> str:
        return "A-1" if super().order_ref(data) == "A-2" else super().order_ref(data)


@fails("test_a_renewal_is_another_order_of_the_same_subscription")
class SubscriptionsByTheirOrder(Kiosk):
    """It calls the subscription of a renewal by another name."""

    def item(self, place: int, data: Data, event: Data) -> Item:
        item = super().item(place, data, event)
        return replace(item, subscription_ref="of A-2") if event.get("order") == "A-2" else item


@fails("test_a_subscription_is_called_as_in_its_order")
class SubscriptionsByTheirOwnName(Kiosk):
    """It calls a subscription otherwise than its orders do."""

    def item(self, place: int, data: Data, event: Data) -> Item:
        item = super().item(place, data, event)
        return replace(item, subscription_ref="S-1/2026") if event["kind"] == "subscription" else item


@fails("test_a_subscription_that_ended_is_told_so")
class EndlessSubscriptions(Kiosk):
    """It takes no end for one."""

    def standing(self, data: Data) -> Standing:
        return replace(super().standing(data), expired=False)


@fails("test_a_subscription_that_stopped_is_told_so")
class NeverStops(Kiosk):
    """It takes a stop for nothing."""

    def standing(self, data: Data) -> Standing:
        return replace(super().standing(data), stopped=False)


@fails("test_a_payment_that_is_late_takes_nothing_away_yet")
class LateIsStopped(Kiosk):
    """It stops what the shop still tries to collect."""

    def standing(self, data: Data) -> Standing:
        standing = super().standing(data)
        return replace(standing, stopped=standing.stopped or standing.grace_days > 0)


@fails("test_a_payment_that_is_late_takes_nothing_away_yet")
class LateIsOver(Kiosk):
    """It ends what the shop still tries to collect, and knows no days of grace."""

    def standing(self, data: Data) -> Standing:
        standing = super().standing(data)
        return replace(standing, expired=standing.expired or standing.grace_days > 0, grace_days=0)


@fails("test_an_upgrade_says_what_the_subscription_has_from_now_on")
class OnlyTellsThePlan(Kiosk):
    """It names the new product, and not that it replaces the old one."""

    def standing(self, data: Data) -> Standing:
        return replace(super().standing(data), replaces=False)


@fails("test_an_upgrade_says_what_the_subscription_has_from_now_on")
class KeepsThePlan(Kiosk):
    """It leaves out the new product."""

    def item(self, place: int, data: Data, event: Data) -> Item:
        item = super().item(place, data, event)
        return replace(item, product_id="") if event["kind"] == "subscription" else item
