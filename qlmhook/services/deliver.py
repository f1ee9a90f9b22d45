"""Carries out the rows of the outbox."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from qlmhook.channels import http
from qlmhook.channels.confirmation import plan as confirmation_plan
from qlmhook.channels.mail import plan as mail_plan
from qlmhook.channels.mail import variables
from qlmhook.channels.mail.plan import Mailing
from qlmhook.channels.mail.rendering import Rendered, Templates
from qlmhook.channels.mail.smtp import Mailer
from qlmhook.channels.mail.today import terms_of_today
from qlmhook.errors import DeliveryFailed, QlmhookError, Unavailable
from qlmhook.inbox import notification_store
from qlmhook.outbox import queue
from qlmhook.outbox.queue import Kind
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Accounts

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

POLL_SECONDS = 1.0
ALIVE_FOR = timedelta(minutes=3)
"""A worker beats between two rows, so this is longer than any row takes."""


class NotYet(Exception):
    """What a row waits for has not happened; this is no failure."""


class Delivery:
    """Works off what is due: claims a row, sends without a transaction, and writes down what became of it."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: Accounts,
        mailer: Mailer,
        templates: Templates,
        alerts: Mailing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._mailer = mailer
        self._templates = templates
        self._alerts = alerts
        self._clock = clock

    def work_off(self) -> int:
        """Carry out everything that is due now; return how many rows were tried."""
        count = 0
        while self.deliver_next():
            count += 1
        return count

    def deliver_next(self) -> bool:
        """Carry out the next row that is due; return whether there was one."""
        with self._database.reading():
            if not queue.is_any_due(self._clock()):
                return False
        with self._database.transaction():
            row = queue.claim(self._clock())
        if row is None:
            return False
        try:
            answer = self._deliver(row)
        except NotYet:
            self._postpone(row)
        except Exception as error:
            self._fail(row, error)
        else:
            self._finish(row, answer)
        return True

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

    def _deliver(self, row: models.Outbox) -> str:
        deliver: Mapping[str, Callable[[models.Outbox], str]] = {
            Kind.MAIL: self._mail,
            Kind.ALERT: self._alert,
            Kind.CONFIRMATION: self._confirm,
        }
        return deliver[row.kind](row)

    def _postpone(self, row: models.Outbox) -> None:
        now = self._clock()
        with self._database.transaction():  # what it waited for may have come meanwhile
            obstacle = confirmation_plan.obstacle(self._accounts.named(row.vendor), row.order_ref)
            queue.postpone(row, obstacle.why if obstacle else "", now)
            if obstacle and now - row.created_at > confirmation_plan.PATIENCE:
                self._alerts.alert(
                    subject=f"Order {row.order_ref}: the confirmation waits since {row.created_at:%Y-%m-%d}",
                    text=f"{obstacle.why} Until then the shop is not told that the order is fulfilled: see "
                    f"`qlmhook outbox list --order {row.order_ref}`.",
                    now=now,
                    once=True,
                )

    def _confirm(self, row: models.Outbox) -> str:
        account = self._accounts.named(row.vendor)
        with self._database.reading():
            obstacle = confirmation_plan.obstacle(account, row.order_ref)
            if obstacle is not None and obstacle.final:
                raise DeliveryFailed(
                    f"{obstacle.why} The shop is not told that the order is fulfilled: settle it there.", permanent=True
                )
            if obstacle is not None:
                raise NotYet(obstacle.why)
            notification = notification_store.restore(notification_store.get(queue.payload_of(row)["notification"]))
        return account.vendor.confirm(notification, http.post_form, self._clock())

    def _mail(self, row: models.Outbox) -> str:
        payload = queue.payload_of(row)
        with self._database.reading():
            every = mail_plan.licenses_in(row)
            if not every:
                raise DeliveryFailed("Another mail has taken the place of this one.", permanent=True)
            licenses = [license for license in every if license.revoked_at is None]
        if len(licenses) < len(every):
            with self._database.transaction():
                mail_plan.withdraw(row, [license for license in every if license.revoked_at is not None])
        if not licenses:
            return "Not sent: the license was revoked before."
        with self._database.reading():
            zone = self._accounts.named(row.vendor).vendor.timezone
            items = [variables.of_license(license, row.order_ref, zone) for license in licenses]
            terms = terms_of_today(licenses[0], row.order_ref)
        content = self._templates.render(payload["template"], items, subject=terms.mail_subject if terms else "")
        to = mail_plan.address_of(row, licenses)
        with self._database.transaction():
            queue.describe(row, subject=content.subject, to=to)
        self._mailer.send(
            content,
            to=to,
            message_id=self._message_id(row),
            sender=terms.mail_from if terms else "",
            cc=terms.mail_cc if terms else (),
            bcc=terms.mail_bcc if terms else (),
        )
        return ""

    def _alert(self, row: models.Outbox) -> str:
        content = Rendered(subject=row.subject, text=queue.payload_of(row)["text"] + "\n", html="")
        self._mailer.send(content, to=row.to, message_id=self._message_id(row))
        return ""

    def _message_id(self, row: models.Outbox) -> str:
        return f"<qlmhook.{row.id}.{row.created_at:%Y%m%d%H%M%S}@{self._mailer.message_domain()}>"

    def _finish(self, row: models.Outbox, answer: str) -> None:
        """Write down that a row went out; insist while the lease lasts, for after it the row goes out again."""
        while True:
            try:
                with self._database.transaction():
                    queue.finish(row, self._clock(), answer=answer)
                    confirmation_plan.nudge(row.vendor, row.order_ref, self._clock())
                return
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
            if row.kind == Kind.MAIL and mail_plan.address_of(row, mail_plan.licenses_in(row)) != queue.address_of(row):
                permanent = False  # the customer has another address since
            dead = queue.fail(row, reason, permanent=permanent, now=self._clock())
            logger.warning("Outbox row %s (%s) failed: %s", row.id, row.kind, reason)
            if dead and row.kind != Kind.ALERT:
                self._alerts.alert(
                    subject=f"Order {row.order_ref}: the {row.kind} is given up",
                    text=f"{reason} Mend the cause and run `qlmhook outbox retry {row.id}`.",
                    now=self._clock(),
                )
