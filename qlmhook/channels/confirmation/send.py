"""Tells a shop that an order is fulfilled, as its plugin says it."""

from datetime import datetime

from qlmhook.channels import http
from qlmhook.channels.alert.due import Alerts
from qlmhook.channels.confirmation import due as confirmation_due
from qlmhook.errors import DeliveryFailed
from qlmhook.inbox import notification_store
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import ConfirmationPayload
from qlmhook.outbox.queue import NotYet
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Accounts


class ShopConfirmations:
    """Confirms orders that nothing stands in the way of."""

    def __init__(self, *, database: Database, accounts: Accounts, alerts: Alerts) -> None:
        self._database = database
        self._accounts = accounts
        self._alerts = alerts

    def send(self, row: models.Outbox, now: datetime) -> str:
        """Confirm an order and return the shop's answer; raises NotYet, DeliveryFailed."""
        account = self._accounts.named(row.vendor)
        with self._database.reading():
            obstacle = confirmation_due.obstacle(account, row.order_ref)
            if obstacle is not None and obstacle.final:
                raise DeliveryFailed(
                    f"{obstacle.why} The shop is not told that the order is fulfilled: settle it there.", permanent=True
                )
            if obstacle is not None:
                raise NotYet(obstacle.why)
            told = payloads.of(row, ConfirmationPayload).notification
            notification = notification_store.restore(notification_store.get(told))
        return account.vendor.confirm(notification, http.post_form, now)

    def why_waiting(self, row: models.Outbox, now: datetime) -> str:
        """Return what a confirmation waits for, or nothing if that has come meanwhile.

        The operator is told of one that has waited for long.
        """
        obstacle = confirmation_due.obstacle(self._accounts.named(row.vendor), row.order_ref)
        if obstacle is not None and now - row.begun_at >= confirmation_due.PATIENCE:
            self._alerts.tell(
                subject=f"Order {row.order_ref}: the confirmation waits since {row.begun_at:%Y-%m-%d}",
                text=f"{obstacle.why} Until then the shop is not told that the order is fulfilled: see "
                f"`qlmhook outbox list --order {row.order_ref}`.",
                now=now,
                once=True,
            )
        return obstacle.why if obstacle else ""
