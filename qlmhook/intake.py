"""The story of a notification, from the request to the receipt."""

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from qlmhook import ledger, models
from qlmhook.database import Database
from qlmhook.errors import MalformedNotification, QlmhookError, Unavailable, WrongCredentials
from qlmhook.events import Message
from qlmhook.fulfillment import Fulfillment
from qlmhook.registry import Account, Accounts
from qlmhook.vendor import Notification, Reply, Verified

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """User and password as the request carried them."""

    user: str = ""
    password: str = field(default="", repr=False)


class Intake:
    """Takes notifications in, and applies again those that were held."""

    def __init__(self, *, database: Database, accounts: Accounts, fulfillment: Fulfillment, clock: Clock) -> None:
        self._database = database
        self._accounts = accounts
        self._fulfillment = fulfillment
        self._clock = clock

    def admit(self, vendor_name: str, credentials: Credentials) -> Account:
        """Return the account that a request is for; raises UnknownVendor, VendorDisabled, WrongCredentials."""
        account = self._accounts.find(vendor_name)
        settings = account.settings
        same_user = hmac.compare_digest(credentials.user.encode(), settings.user.encode())
        same_password = hmac.compare_digest(credentials.password.encode(), settings.password.encode())
        if settings.user and not (same_user and same_password):
            raise WrongCredentials("User or password are missing or wrong.")
        return account

    def receive(self, account: Account, notification: Notification) -> Reply:
        """Verify, store and apply a notification, and return the receipt.

        The receipt stops the vendor's retries, so it is made last, after the commit. Raises Refused for what is
        not the vendor's or cannot be understood, Unavailable when it could not be stored or applied.
        """
        verified = account.vendor.verify(notification)
        try:
            message = account.vendor.parse(notification)
        except MalformedNotification as error:
            self._keep(account, notification, verified, ledger.UNREADABLE, str(error))
            raise
        try:
            with self._database.transaction():
                row = ledger.enter(account.name, notification, verified, message)
                self._fulfillment.apply(account, row, message, now=self._clock())
        except QlmhookError:
            raise
        except Exception as error:
            logger.exception("A verified notification could not be applied")
            self._keep(account, notification, verified, message, f"An internal error: {type(error).__name__}.")
            raise Unavailable("The notification was stored, but applying it failed.") from error
        return account.vendor.receipt(notification, verified, self._clock())

    def replay(self, notification_id: int) -> models.Notification:
        """Apply a stored notification again; what it did already is not done twice. Raises NotFound."""
        with self._database.transaction():
            row = ledger.get(notification_id)
            self._fulfillment.reapply(self._accounts.named(row.vendor), row, now=self._clock())
        return row

    def _keep(
        self, account: Account, notification: Notification, verified: Verified, message: Message, reason: str
    ) -> None:
        """Store what the vendor did send although it cannot be applied, and tell the operator."""
        with self._database.transaction():
            row = ledger.enter(account.name, notification, verified, message)
            self._fulfillment.hold(account, row, reason, now=self._clock())
