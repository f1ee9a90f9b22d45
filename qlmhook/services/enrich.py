"""The story of a message that only names what happened: the shop is asked, and it is applied with the answer."""

from datetime import datetime

from qlmhook.channels import http
from qlmhook.inbox import notification_store
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import EnrichmentPayload
from qlmhook.services.apply import Applying
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Accounts


class Enrichment:
    """Asks shops, and stores their answers beside the notifications that they are about."""

    def __init__(self, *, database: Database, accounts: Accounts, applying: Applying) -> None:
        self._database = database
        self._accounts = accounts
        self._applying = applying

    def send(self, row: models.Outbox, now: datetime) -> str:
        """Ask the shop about a notification and apply it again; raises DeliveryFailed."""
        account = self._accounts.named(row.vendor)
        with self._database.reading():
            stored = notification_store.get(payloads.of(row, EnrichmentPayload).notification)
            notification = notification_store.restore(stored)
        answer = account.vendor.enrich(notification, http.get)
        with self._database.transaction():
            stored = notification_store.get(stored.id)
            notification_store.enrich(stored, answer)
            if not stored.dismissed:
                self._applying.apply_again(account, stored, now=now)
        return f"{len(answer)} bytes were told."
