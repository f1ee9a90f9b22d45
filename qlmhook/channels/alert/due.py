"""What the operator is told, and when: rows of the outbox, and lines of the log."""

import logging
from collections.abc import Sequence
from datetime import datetime

from qlmhook.channels.channel import Channel
from qlmhook.channels.mail.rendering import one_line
from qlmhook.domain import restrictions
from qlmhook.domain.events import Event, EventKind
from qlmhook.domain.facts import Fact
from qlmhook.domain.rules import Effect, effect_of
from qlmhook.inbox import fact_store
from qlmhook.licensing import key_format
from qlmhook.licensing.assessment import policy_of
from qlmhook.licensing.results import Applied, Concluded, Settled
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import AlertPayload
from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, given

logger = logging.getLogger(__name__)

LONGEST_ALERT = 250
"""Characters of an alert's subject."""

_TOLD_ONCE = Statement[models.OperatorTold](
    lambda: models.OperatorTold.select().where(models.OperatorTold.subject == given("subject"))
)

_BEFORE_PAYMENT = (EventKind.CANCELED, EventKind.REVERSED)
_TAKEN_BACK = (*_BEFORE_PAYMENT, EventKind.REFUNDED)
_TOLD = (Effect.UNDOES, Effect.RECORDED, Effect.SUSPENDS, Effect.RESTORES, Effect.LOSES)


class Alerts(Channel):
    """Tells the operator what a person should look at; without an operator's address it is logged only."""

    def __init__(self, *, operator: str) -> None:
        self._operator = operator

    def tell(self, *, subject: str, text: str, now: datetime, once: bool = False) -> None:
        """Tell the operator; with `once` only if the same was not mailed before.

        What a shop or a customer wrote may stand in the subject: it becomes one printable line.
        """
        subject = one_line(subject, longest=LONGEST_ALERT)
        if once and _TOLD_ONCE.first(subject=subject) is not None:
            return
        logger.warning("%s. %s", subject, one_line(text))
        if self._operator:
            if once:
                models.OperatorTold.create(subject=subject)
            queue.add(AlertPayload(text=text), now=now, to=self._operator, subject=subject)

    def settled(self, settled: Settled) -> None:
        """Tell of payments for licenses that may not be used, and of licenses that turned out to be one."""
        entitlement = settled.matter.entitlement
        if entitlement is not None and entitlement.last in settled.taking_effect:
            units = range(1, entitlement.last.units + 1)
            barred = [license for license in settled.barred if license in settled.renewed and license.unit in units]
            for license in barred:
                self._tell_of_barred(entitlement.last.order_ref, license, is_over=entitlement.final, now=settled.now)
        for license in settled.matter.retired:
            self._tell_of_retired(settled, license)

    def applied(self, applied: Applied) -> None:
        """Tell of money that went back, and of money for what was taken back before."""
        for event in applied.news:
            self._tell_of_news(applied, event)

    def concluded(self, concluded: Concluded) -> None:
        """Tell of what a person must mend, each cause once."""
        for hold in concluded.unheard:
            about = f"a notification of {concluded.account.name}"
            if order_ref := hold.order_ref or concluded.row.order_ref:
                about = f"order {order_ref}"
            elif subscription_ref := hold.subscription_ref or concluded.row.subscription_ref:
                about = f"subscription {subscription_ref}"
            self.tell(
                subject=f"Held: {about}",
                text=f"{hold.reason} See `qlmhook notification show {concluded.row.id}`.",
                now=concluded.now,
            )

    def _tell_of_news(self, applied: Applied, event: Event) -> None:
        facts = applied.facts_of(event.order_ref)
        if event.kind is EventKind.PAID and not any(one.pays_for(event.order_ref) for one in applied.settled):
            self._tell_of_idle_payment(applied, event, facts)
        if event.kind in _BEFORE_PAYMENT and not fact_store.is_paid(applied.account.name, event.order_ref):
            return  # a cart that was left is no news
        if effect_of(event.kind, policy_of(applied.account)) not in _TOLD:
            return
        known = fact_store.of_order(applied.account.name, event.order_ref)
        if not restrictions.is_repeat(event, known) and not restrictions.is_old_word(event, known):
            self._tell_of(applied, event)

    def _tell_of(self, applied: Applied, event: Event) -> None:
        account = applied.account
        what = effect_of(event.kind, policy_of(account)).value
        if unknown := applied.unknown(event):
            what = f"{unknown}: this takes effect when one arrives."
        self.tell(
            subject=f"Order {event.order_ref} of {account.name}: {event.kind.value.replace('_', ' ')}",
            text=f"{what} See `{listings.where_to_look(event.order_ref)}`.",
            now=applied.now,
        )

    def _tell_of_idle_payment(self, applied: Applied, event: Event, facts: Sequence[Fact]) -> None:
        """What was taken back or dismissed is not issued; that it is paid is for a person."""
        order_ref, where, name = event.order_ref, listings.where_to_look(event.order_ref), applied.account.name
        back = [fact for fact in facts if fact.event.kind in _TAKEN_BACK]
        closed = [fact.told_by for fact in facts if fact.dismissed and fact.event.kind is EventKind.PAID]
        if closed:
            self.tell(
                subject=f"Order {order_ref} of {name} is paid, and was dismissed",
                text=f"Nothing is issued for an order that was dismissed. `qlmhook notification replay {closed[-1]}` "
                "applies it all the same.",
                now=applied.now,
                once=True,
            )
        elif back and back[-1].event.at < event.at:
            self.tell(
                subject=f"Order {order_ref} of {name} is paid after it was {back[-1].event.kind.value}",
                text="Nothing is issued for an order that was taken back. If the customer has paid, refund it in the "
                f"shop or let the customer order again: see `{where}`.",
                now=applied.now,
                once=True,
            )
        elif back and back[-1].event.kind is not EventKind.REFUNDED:
            self._tell_of(applied, back[-1].event)  # it came before anybody knew that there was money in it

    def _tell_of_barred(self, order_ref: str, license: models.License, *, is_over: bool, now: datetime) -> None:
        key, status, why = key_format.grouped(license.key), license.status(now), license.barred_why.rstrip(".")
        if is_over and not license.is_barred(now):
            status, why = "over", "the shop ended its subscription for good"
        self.tell(
            subject=f"Order {order_ref} pays for a license that is {status}",
            text=f"License {key} is {status} ({why}). It stays so, and the order is neither mailed nor confirmed. "
            f"`qlmhook license reinstate {key}` gives it back and does both; else refund the order "
            "in the shop.",
            now=now,
        )

    def _tell_of_retired(self, settled: Settled, license: models.License) -> None:
        matter = settled.matter
        key, kept = key_format.grouped(license.key), key_format.grouped(matter.licenses[license.unit].key)
        self.tell(
            subject=f"Order {license.order_ref}: two licenses were one",
            text=f"Orders {license.order_ref} and {matter.subject.order_ref} are of one subscription, which was "
            f"not known when both were issued. {kept} goes on and is mailed; {key} is revoked. `qlmhook license "
            f"reinstate {key}` gives it back, `qlmhook mail resend {key}` mails it then.",
            now=settled.now,
        )
