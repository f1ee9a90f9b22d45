"""The state table: what each event does to a license. docs/license-states.md shows it.

The table is applied to all facts about a license at once, not one after the other, so that the order in which
they arrive does not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from qlmhook.domain.events import EventKind


class Effect(Enum):
    """What an event does to the purchase that it is about, or to the license as a whole."""

    COUNTS = "The purchase counts: the license is issued, or extended to the purchase's end, never shortened."
    WAITS = "Nothing is issued until the payment is approved; the notification is held."
    UNDOES = (
        "The purchase counts no more. With no other purchase left the license is revoked, else it keeps their end. "
        "Of some units only: those are taken away."
    )
    RECORDED = "Shown and alerted; the license stays as it is. An order that is not issued yet is never issued."
    SUSPENDS = "The license is suspended until the dispute ends."
    RESTORES = "The suspension by the dispute ends. A loss that was told before is undone."
    LOSES = (
        "The license is revoked, unless another order pays for it: the disputed order counts no more, until the "
        "dispute is won after all."
    )
    FOLLOWS = (
        "The license follows the subscription: its end, stopped, paused, past due, its customer. The newest "
        "message counts; a purchase placed later counts beside it."
    )
    NAMES = "The licenses of orders that name this customer by reference are the customer's, and their mails go out."


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the operator chose."""

    revoke_on_refund: bool = False
    revoke_on_cancel: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What an event does, with the operator's setting on and off; `setting` is empty where there is no choice."""

    setting: str = ""
    effect: Effect
    otherwise: Effect | None = None


RULES: Mapping[EventKind, Rule] = {
    EventKind.PAID: Rule(effect=Effect.COUNTS),
    EventKind.UNDER_REVIEW: Rule(effect=Effect.WAITS),
    EventKind.REFUNDED: Rule(setting="revoke_on_refund", effect=Effect.UNDOES, otherwise=Effect.RECORDED),
    EventKind.REVERSED: Rule(setting="revoke_on_refund", effect=Effect.UNDOES, otherwise=Effect.RECORDED),
    EventKind.CANCELED: Rule(setting="revoke_on_cancel", effect=Effect.UNDOES, otherwise=Effect.RECORDED),
    EventKind.CHARGEBACK_OPENED: Rule(effect=Effect.SUSPENDS),
    EventKind.CHARGEBACK_WON: Rule(effect=Effect.RESTORES),
    EventKind.CHARGEBACK_LOST: Rule(effect=Effect.LOSES),
    EventKind.SUBSCRIPTION: Rule(effect=Effect.FOLLOWS),
    EventKind.CUSTOMER: Rule(effect=Effect.NAMES),
}


def effect_of(kind: EventKind, policy: Policy) -> Effect:
    """Return what an event does under an operator's settings."""
    rule = RULES[kind]
    if rule.otherwise is None or getattr(policy, rule.setting):
        return rule.effect
    return rule.otherwise
