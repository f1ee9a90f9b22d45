"""Carries out the rows of the outbox."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from qlmhook import keys, mailing, mappings, models, outbox, properties
from qlmhook.database import Database
from qlmhook.errors import DeliveryFailed, NotFound, PropertyError, QlmhookError, Unavailable
from qlmhook.mail import Mailer
from qlmhook.mailing import Mailing
from qlmhook.templating import Rendered, Templates, Variables

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

POLL_SECONDS = 1.0
HEARTBEAT_EVERY = timedelta(seconds=10)
ALIVE_FOR = timedelta(seconds=60)


class Delivery:
    """Works off what is due: claims a row, sends without a transaction, and writes down what became of it."""

    def __init__(
        self, *, database: Database, mailer: Mailer, templates: Templates, alerts: Mailing, clock: Clock
    ) -> None:
        self._database = database
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
            if not outbox.is_any_due(self._clock()):
                return False
        with self._database.transaction():
            row = outbox.claim(self._clock())
        if row is None:
            return False
        try:
            self._deliver(row)
        except Exception as error:
            self._fail(row, error)
        else:
            self._finish(row)
        return True

    def beat(self, worker: str) -> None:
        """Write down that this worker is alive, and forget those that have long been silent."""
        now = self._clock()
        with self._database.transaction():
            models.Heartbeat.delete().where(models.Heartbeat.at < now - ALIVE_FOR).execute()
            row = models.Heartbeat.get_or_none(models.Heartbeat.worker == worker) or models.Heartbeat(worker=worker)
            row.at = now
            row.save()

    def _deliver(self, row: models.Outbox) -> None:
        deliver: Mapping[str, Callable[[models.Outbox], None]] = {"mail": self._mail, "alert": self._alert}
        if row.kind not in deliver:
            raise DeliveryFailed(f"Nothing here can deliver {row.kind!r}.", permanent=True)
        deliver[row.kind](row)

    def _mail(self, row: models.Outbox) -> None:
        payload = outbox.payload_of(row)
        with self._database.reading():
            licenses = mailing.licenses_in(row)
            items = [_variables(license, row.order_ref) for license in licenses]
            terms = _mail_terms(licenses[0])
        content = self._templates.render(payload["template"], items, subject=terms.mail_subject if terms else "")
        with self._database.transaction():
            outbox.describe(row, subject=content.subject)
        self._mailer.send(
            content,
            to=row.to,
            message_id=self._message_id(row),
            sender=terms.mail_from if terms else "",
            cc=terms.mail_cc if terms else (),
            bcc=terms.mail_bcc if terms else (),
        )

    def _alert(self, row: models.Outbox) -> None:
        content = Rendered(subject=row.subject, text=outbox.payload_of(row)["text"] + "\n", html="")
        self._mailer.send(content, to=row.to, message_id=self._message_id(row))

    def _message_id(self, row: models.Outbox) -> str:
        return f"<qlmhook.{row.id}.{row.created_at:%Y%m%d%H%M%S}@{self._mailer.message_domain()}>"

    def _finish(self, row: models.Outbox) -> None:
        """Write down that a row went out; insist while the lease lasts, for after it the row goes out again."""
        while True:
            try:
                with self._database.transaction():
                    outbox.finish(row, self._clock())
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
            dead = outbox.fail(row, reason, permanent=permanent, now=self._clock())
            logger.warning("Outbox row %s (%s) failed: %s", row.id, row.kind, reason)
            if dead and row.kind != "alert":
                self._alerts.alert(
                    subject=f"Order {row.order_ref}: the {row.kind} is given up",
                    text=f"{reason} Mend the cause and run `qlmhook outbox retry {row.id}`.",
                    now=self._clock(),
                )


class Worker:
    """A thread that works the outbox off for as long as the process lives."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="qlmhook-outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread finish the row at hand, and wait for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def request_stop(self) -> None:
        """Ask `run` to return after the row at hand; fit for a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`; a database that is away is waited for."""
        next_beat = 0.0
        while not self._stopping.is_set():
            try:
                if next_beat <= 0:
                    self._delivery.beat(self._name)
                    next_beat = HEARTBEAT_EVERY.total_seconds()
                self._delivery.work_off()
            except Unavailable as error:
                logger.warning("The outbox waits: %s", error)
            except Exception:
                logger.exception("The outbox worker met an error and goes on")
            self._stopping.wait(POLL_SECONDS)
            next_beat -= POLL_SECONDS


def _mail_terms(license: models.License) -> properties.Terms | None:
    """The mapping of today says from whom and with which copies; a broken one does not keep the mail back."""
    try:
        return mappings.terms_of(license.vendor, license.vendor_product_id)
    except (NotFound, PropertyError):
        return None


def _variables(license: models.License, order_ref: str) -> Variables:
    """Return QLM's variables for a license. Source: QLM, "Which variables are available in an email template"."""
    customer = license.customer
    values = {
        "ActivationKey": keys.grouped(license.key),
        "ProductName": license.product_name,
        "MajorVersion": str(license.major_version),
        "MinorVersion": str(license.minor_version),
        "OrderID": order_ref,
        "OrderDate": f"{license.ordered_at:%Y-%m-%d}",
        "MaintenanceRenewalDate": _day(license.maintenance_until),
        "NumLicenses": str(license.activations),
        "AvailableLicenses": str(license.activations),
        "Disabled": str(license.revoked_at is not None),
        "UserData1": license.user_data,
        "ReceiptID": license.subscription_ref,
        "SubscriptionID": license.subscription_ref,
        "SubscriptionExpiryDate": _day(license.expires_at) or "unlimited",
        "FloatingSeats": str(license.floating_seats),
        "LicenseModel": license.license_model,
        "EnabledFeatures": license.features,
        "ComputerType": str(license.computer_type),
        "LegacyKey": license.legacy_key,
        "AffiliateName": license.affiliate,
        "Quantity": str(license.quantity),
        "Properties": license.product_properties,
    }
    contact = {
        "FullName": "full_name",
        "Email": "email",
        "Company": "company",
        "OrganizationName": "company",
        "Phone": "phone",
        "Fax": "fax",
        "Address1": "address1",
        "Address2": "address2",
        "City": "city",
        "State": "state",
        "Zip": "zip",
        "Country": "country",
    }
    values.update({name: getattr(customer, column) if customer else "" for name, column in contact.items()})
    values.update(dict.fromkeys(_NEVER_FILLED, ""))
    return values


_NEVER_FILLED = (
    "ComputerKey",
    "ComputerID",
    "Comment",
    "GenericLicense",
    "SubscriptionDuration",
    "FloatingLicenseLocation",
    "BundleID",
    "OrganizationNotes",
    "Mobile",
    "Notes",
    "AuthorizationCode",
)
"""QLM variables for what qlmhook does not keep: they become nothing, so that QLM's templates can be used."""


def _day(date: datetime | None) -> str:
    return f"{date:%Y-%m-%d}" if date else ""
