"""The story of a notification, from the request to the receipt."""

import hmac
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial

from qlmhook.catalog import mappings
from qlmhook.channels.alert.due import Alerts
from qlmhook.domain import products
from qlmhook.domain.events import EventKind, Message
from qlmhook.errors import MalformedNotification, Refused, SignatureRejected, Unavailable, WrongCredentials
from qlmhook.inbox import fact_store, notification_store
from qlmhook.services.apply import Applying
from qlmhook.services.check_message import read
from qlmhook.services.issued_licenses import IssuedLicenses
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Account, Accounts
from qlmhook.vendors.api import Notification, Outcome, Reply, Verified, key_id

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

INTERNAL_ERROR = "An internal error"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """User and password as the request carried them."""

    user: str = ""
    password: str = field(default="", repr=False)


class Intake:
    """Takes notifications in, and applies again those that were held."""

    def __init__(
        self, *, database: Database, accounts: Accounts, applying: Applying, alerts: Alerts, clock: Clock
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._applying = applying
        self._alerts = alerts
        self._clock = clock

    def admit(self, vendor_name: str, credentials: Credentials, *, source: str) -> Account:
        """Return the account that a request is for; `source` is the address that it comes from.

        Raises UnknownVendor, VendorDisabled, SourceRefused, WrongCredentials.
        """
        account = self._accounts.find(vendor_name)
        account.refuse_stranger(source)
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
        message = notification_store.UNREADABLE
        try:
            message = read(account.vendor, notification)
            with self._database.transaction():
                row = notification_store.enter(account, notification, verified, message)
                self._note_key(account, verified, message)
                news = message
                if row.copies > 1:
                    message = self._repeated(account, row, notification, news)
                    notification_store.describe(row, message)  # what the shop was asked for is not in the repeat
                    row.save()
                is_known = row.copies > 1 and message is not news and _is_settled(row)
                if not (row.dismissed or is_known):
                    self._applying.apply(account, row, message, now=self._clock())
        except MalformedNotification as error:
            self._keep(account, notification, verified, message, str(error))
            raise
        except SignatureRejected as error:
            self._warn_of_forgery(account, error)
            raise
        except Refused:
            raise
        except Unavailable as error:
            logger.error("%s could not be stored: %s", _name_of(account, message), error)
            raise
        except Exception as error:
            logger.exception("%s could not be applied", _name_of(account, message))
            self._keep(account, notification, verified, message, f"{INTERNAL_ERROR}: {type(error).__name__}.")
            raise Unavailable("The notification was stored, but applying it failed.") from error
        now = self._clock()
        issued = () if row.dismissed else IssuedLicenses(self._database, account, message, now=now)
        return account.vendor.receipt(notification, verified, Outcome(at=now, licenses=issued))

    def replay(self, notification_id: int) -> models.Notification:
        """Apply a stored notification again, also a dismissed one; what it did already is not done twice.

        Raises NotFound.
        """
        with self._database.transaction():
            row = notification_store.get(notification_id)
            notification_store.readmit(row)
            self._applying.apply_again(self._accounts.named(row.vendor), row, now=self._clock())
        return row

    @staticmethod
    def _repeated(account: Account, row: models.Notification, again: Notification, message: Message) -> Message:
        """Return what a repeat says: what it said first, although it came later.

        A subscription's message without a date of its own is news again if it says how things stand after another one
        said otherwise.
        """
        enrichment = bytes(row.enrichment or b"")
        first = read(account.vendor, replace(again, received_at=row.received_at, enrichment=enrichment))
        undated = [event for event in message.events if event not in first.events]
        if undated and all(fact_store.is_overtaken(account.name, event, row.id) for event in undated):
            return message
        return first

    def freed_by(self, names: Collection[str]) -> list[int]:
        """Return the ids of the held notifications that a change of these properties may set free, oldest first."""
        concerns = cache(partial(mappings.concerns, frozenset(names)))

        def may_be_mended(vendor: str, cause: str) -> bool:
            """What the shop has still to say, or what cannot be read, no property can mend."""
            kind, _, about = cause.partition(" ")
            if kind == "product":
                ids = products.ids_in(about)
                return mappings.is_settled(vendor, ids) or (mappings.is_mapped(vendor, ids) and concerns(vendor, ids))
            if kind == "order":  # its quantity, or a line that nobody needs who ignores the product
                return any(concerns(vendor, ids) for ids in _paid_products(vendor, about))
            return cause.startswith(INTERNAL_ERROR)  # a mapping may have led to it

        with self._database.reading():
            causes = [cause for cause in notification_store.hold_causes() if may_be_mended(*cause)]
            return sorted(
                {notification_id for cause in causes for notification_id in notification_store.held_for(*cause)}
            )

    def _warn_of_forgery(self, account: Account, error: SignatureRejected) -> None:
        with self._database.transaction():
            self._alerts.tell(
                subject=f"A notification of {account.name} is refused. {error}",
                text="The same was sent again with another meaning, and refused. If the first one is not genuine "
                "either, make a new key.",
                now=self._clock(),
                once=True,
            )

    def _note_key(self, account: Account, verified: Verified, message: Message) -> None:
        """Remember when a key was last used; two merchants under one key are something to look at."""
        known = notification_store.note_key(account.name, key_id(verified.key), message.merchant, now=self._clock())
        if known:
            self._alerts.tell(
                subject=f"Another merchant under one key of {account.name}: {message.merchant}",
                text=f"The key of endpoint {verified.endpoint} signed for the merchant {known} until now. If you did "
                "not change accounts, somebody else has your key: make a new one in the shop's control panel.",
                now=self._clock(),
                once=True,
            )

    def _keep(
        self, account: Account, notification: Notification, verified: Verified, message: Message, reason: str
    ) -> None:
        """Store what the vendor did send although it cannot be applied, and tell the operator."""
        try:
            with self._database.transaction():
                row = notification_store.enter(account, notification, verified, message)
                self._note_key(account, verified, message)
                if not row.dismissed:
                    self._applying.hold(account, row, reason, now=self._clock())
        except SignatureRejected as error:
            self._warn_of_forgery(account, error)
            raise
        except Unavailable as error:
            logger.error("%s could not be stored: %s", _name_of(account, message), error)
            raise
        except Exception as error:
            logger.exception("%s could not be stored", _name_of(account, message))
            self._tell_of_loss(account, message, error)
            raise Unavailable("The notification could not be stored.") from error

    def _tell_of_loss(self, account: Account, message: Message, error: Exception) -> None:
        """Alert the operator, once, to a genuine message of which nothing else is kept."""
        try:
            with self._database.transaction():
                self._alerts.tell(
                    subject=f"{_name_of(account, message)} cannot be stored ({type(error).__name__})",
                    text="It is genuine, and the shop is asked to send it again, which it does for some days only. The "
                    "log says what the database has against it. Mend that, or do by hand what there is to do.",
                    now=self._clock(),
                    once=True,
                )
        except Exception:
            logger.exception("The operator could not be told of it")


def _name_of(account: Account, message: Message) -> str:
    """Return what a verified notification is about, for people."""
    about = [f"order {message.order_ref}"] if message.order_ref else []
    about += [f"subscription {message.subscription_ref}"] if message.subscription_ref else []
    return f"A verified notification of {account.name} ({', '.join(about) or 'unreadable'})"


def _is_settled(row: models.Notification) -> bool:
    """Tell whether a notification did all that it could do by the mappings of today."""
    return row.state == "done" and row.applied_at is not None and not mappings.is_changed_since(row.applied_at)


def _paid_products(vendor: str, order_ref: str) -> set[tuple[str, ...]]:
    """Return the ids of each product of an order."""
    facts = fact_store.of_order(vendor, order_ref)
    return {products.ids_of(fact.item) for fact in facts if fact.event.kind is EventKind.PAID and fact.item is not None}
