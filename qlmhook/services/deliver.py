"""Delivers the rows of the outbox."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from qlmhook.channels.alert.due import Alerts
from qlmhook.channels.confirmation import due as confirmation_due
from qlmhook.channels.confirmation.send import ShopConfirmations
from qlmhook.channels.mail import due as mail_due
from qlmhook.channels.mail.smtp import Mailer
from qlmhook.errors import DeliveryFailed, QlmhookError, Unavailable
from qlmhook.outbox import queue
from qlmhook.outbox.payloads import Kind
from qlmhook.outbox.queue import NotYet
from qlmhook.storage import models
from qlmhook.storage.database import Database

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

POLL_SECONDS = 1.0
ALIVE_FOR = timedelta(minutes=3)
"""A worker beats between two rows, so this is longer than any row takes."""


Send = Callable[[models.Outbox, datetime], str]
"""Delivers a row now and returns what is to be kept of the answer; raises NotYet, DeliveryFailed."""


class Delivery:
    """Works off what is due: claims a row, sends without a transaction, and writes down what became of it."""

    def __init__(
        self,
        *,
        database: Database,
        senders: Mapping[Kind, Send],
        mailer: Mailer,
        confirmations: ShopConfirmations,
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._database = database
        self._senders = senders
        self._mailer = mailer
        self._confirmations = confirmations
        self._alerts = alerts
        self._clock = clock

    def work_off(self, goes_on: Callable[[], bool] = lambda: True) -> int:
        """Deliver what is due, over one connection to the mail server; return how many rows were tried.

        `goes_on` is asked after each row whether another may follow.
        """
        count = 0
        with self._mailer.session():
            row = self._claim()
            while row is not None:
                row = self._deliver(row, goes_on)
                count += 1
        return count

    def _claim(self) -> models.Outbox | None:
        with self._database.reading():
            if not queue.is_any_due(self._clock()):
                return None
        with self._database.transaction():
            return queue.claim(self._clock())

    def _deliver(self, row: models.Outbox, goes_on: Callable[[], bool]) -> models.Outbox | None:
        """Deliver a row; return the next one, which is claimed where the end of this one is written down."""
        try:
            answer = self._senders[Kind(row.kind)](row, self._clock())
        except NotYet:
            self._postpone(row)
        except Exception as error:
            self._fail(row, error)
        else:
            return self._finish(row, answer, claims=goes_on())
        return self._claim() if goes_on() else None

    def close(self) -> None:
        """Close this thread's database connection."""
        self._database.close()

    def beat(self, worker: str) -> None:
        """Write down that this worker is alive, and forget those that have long been silent."""
        now = self._clock()
        with self._database.transaction():
            models.Heartbeat.delete().where(models.Heartbeat.at < now - ALIVE_FOR).execute()
            row = models.Heartbeat.get_or_none(models.Heartbeat.worker == worker) or models.Heartbeat(worker=worker)
            row.at = now
            row.save()

    def _postpone(self, row: models.Outbox) -> None:
        now = self._clock()
        with self._database.transaction():  # what it waited for may have come meanwhile
            why = self._confirmations.why_waiting(row, now)
            queue.postpone(row, why, now, again_at=confirmation_due.looked_at_again(row, now))

    def _finish(self, row: models.Outbox, answer: str, *, claims: bool) -> models.Outbox | None:
        """Write down that a row went out; insist while the lease lasts, for after it the row goes out again.

        A commit waits for the disk, so that the next row is claimed with it.
        """
        while True:
            try:
                with self._database.transaction():
                    queue.finish(row, self._clock(), answer=answer)
                    if row.kind == Kind.MAIL:
                        confirmation_due.mailed(row, self._clock())
                    return queue.claim(self._clock()) if claims else None
            except Unavailable:
                if row.leased_until is None or self._clock() >= row.leased_until:
                    raise
                time.sleep(POLL_SECONDS)

    def _fail(self, row: models.Outbox, error: Exception) -> None:
        known = isinstance(error, QlmhookError)
        reason = str(error) if known else f"An internal error: {type(error).__name__}."
        if not known:
            logger.exception("Outbox row %s could not be delivered", row.id)
        permanent = isinstance(error, DeliveryFailed) and error.permanent
        with self._database.transaction():
            if permanent and row.kind == Kind.MAIL:  # unless the customer has another address since
                permanent = mail_due.address_of(row, mail_due.licenses_in(row)) == row.to
            dead = queue.fail(row, reason, permanent=permanent, now=self._clock())
            logger.warning("Outbox row %s (%s) failed: %s", row.id, row.kind, reason)
            if dead and row.kind != Kind.ALERT:
                about = f"Order {row.order_ref}" if row.order_ref else row.subject.capitalize()
                self._alerts.tell(
                    subject=f"{about}: the {row.kind} is given up",
                    text=f"{reason} Mend the cause and run `qlmhook outbox retry {row.id}`.",
                    now=self._clock(),
                )
