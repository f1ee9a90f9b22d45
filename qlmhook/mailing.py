"""Which mails and alerts a change calls for: rows in the outbox, in the change's own transaction."""

import logging
import shlex
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from qlmhook import keys, mappings, models, outbox
from qlmhook.addresses import address_key
from qlmhook.entitlement import Entitlement
from qlmhook.errors import NotFound, QlmhookError
from qlmhook.templating import one_line

logger = logging.getLogger(__name__)


DEFAULT_TEMPLATE = "Customer.NewOrder"

LONGEST_ALERT = 250
"""Characters of an alert's subject."""


class Mailing:
    """Writes mails to customers and alerts to the operator; without an operator's address alerts are logged."""

    def __init__(self, *, operator: str) -> None:
        self._operator = operator

    def announce(self, entitlement: Entitlement, licenses: Iterable[models.License], *, now: datetime) -> None:
        """Mail the newest order's licenses to the customer, each once for an order.

        A mail of the same order and template that is still waiting takes them up, so that one mail lists all.
        """
        renewal = entitlement.last.order_ref != entitlement.first.order_ref
        template = entitlement.last.terms.mail_template(renewal=renewal)
        order_ref = entitlement.last.order_ref
        new = [license for license in licenses if _needs_mail(license, order_ref)]
        if not template or not new:
            return
        customer = new[0].customer
        if customer is None:
            self.alert(
                subject=f"Order {order_ref}: the license is issued, but not mailed",
                text=f"Order {order_ref} came without an e-mail address that can be mailed to. Its license is "
                f"issued: see `qlmhook license list --order {shlex.quote(order_ref)}`.",
                now=now,
                once=True,
            )
            return
        row = _waiting_mail(new[0].vendor, order_ref, template, customer.email)
        if row is None:
            payload = {"template": template}
            row = outbox.add(
                "mail",
                payload,
                now=now,
                vendor=new[0].vendor,
                order_ref=order_ref,
                to=customer.email,
                subject=template,
            )
        for license in new:
            entry = _entries(license, order_ref).first()
            entry = entry or models.MailedLicense(vendor=license.vendor, order_ref=order_ref, license=license)
            entry.outbox = row
            entry.save()

    def resend(self, license: models.License, *, to: str, now: datetime) -> models.Outbox:
        """Write a new mail with one license, with its product's order template.

        Raises NotFound without an address, QlmhookError for a license that is revoked.
        """
        if license.revoked_at is not None:
            key, why = keys.grouped(license.key), one_line(license.barred_why).rstrip(".") or "no reason is known"
            raise QlmhookError(
                f"The license {key} is revoked: {why}. If the customer shall use it, give it back first: "
                f"`qlmhook license reinstate {key}`."
            )
        address = to or (license.customer.email if license.customer else "")
        if not address_key(address):
            raise NotFound(f"There is no address to mail to: {address!r}. Name one with --to.")
        terms = mappings.usable_terms(license.vendor, license.vendor_product_id)
        template = (terms.order_template if terms else "") or DEFAULT_TEMPLATE
        return outbox.add(
            "mail",
            {"template": template, "license": license.id},
            now=now,
            vendor=license.vendor,
            order_ref=_newest_mailed_order(license),
            to=address,
            subject=template,
        )

    def alert(self, *, subject: str, text: str, now: datetime, once: bool = False) -> None:
        """Tell the operator; with `once` only if the same was not mailed before. Without an address it is logged.

        What a shop or a customer wrote may stand in the subject: it becomes one printable line.
        """
        subject = one_line(subject, longest=LONGEST_ALERT)
        known = models.Outbox.select().where(models.Outbox.kind == "alert", models.Outbox.subject == subject)
        if once and known.exists():
            return
        logger.warning("%s. %s", subject, one_line(text))
        if self._operator:
            outbox.add("alert", {"text": text}, now=now, to=self._operator, subject=subject)


def licenses_in(row: models.Outbox) -> list[models.License]:
    """Return the licenses that a mail is about, in the order in which they were added."""
    if (resent := outbox.payload_of(row).get("license")) is not None:
        return [models.License.get_by_id(resent)]
    mailed = models.MailedLicense
    return [entry.license for entry in mailed.select().where(mailed.outbox == row).order_by(mailed.id)]


def is_planned(license: models.License, order_ref: str) -> bool:
    """Tell whether a mail with this license was written for this order."""
    return bool(_entries(license, order_ref).exists())


def gone_out(vendor: str, order_ref: str) -> set[int]:
    """Return the ids of the licenses whose mail for this order the mail server took, by itself or by hand."""
    table, mailed = models.Outbox, models.MailedLicense
    of_order = (table.vendor == vendor) & (table.order_ref == order_ref) & (table.kind == "mail")
    sent = table.select().where(of_order, table.done_at.is_null(False))
    by_hand = {outbox.payload_of(row).get("license") for row in sent}
    by_itself = {row.license_id for row in mailed.select().where(mailed.outbox.in_(sent.select(table.id)))}
    return by_itself | {license_id for license_id in by_hand if license_id is not None}


def _entries(license: models.License, order_ref: str) -> Any:
    mailed = models.MailedLicense
    return mailed.select().where(
        mailed.vendor == license.vendor, mailed.order_ref == order_ref, mailed.license == license
    )


def _needs_mail(license: models.License, order_ref: str) -> bool:
    """Not if one was written, unless it was given up and the customer has another address since."""
    entry = _entries(license, order_ref).first()
    if entry is None:
        return True
    corrected = license.customer is not None and license.customer.email != entry.outbox.to
    return bool(entry.outbox.state == outbox.DEAD and corrected)


def _newest_mailed_order(license: models.License) -> str:
    mailed = models.MailedLicense
    entry = mailed.select().where(mailed.license == license).order_by(mailed.id.desc()).first()
    return entry.order_ref if entry is not None else license.order_ref


def _waiting_mail(vendor: str, order_ref: str, template: str, to: str) -> models.Outbox | None:
    rows = models.Outbox.select().where(
        models.Outbox.kind == "mail",
        models.Outbox.state == "due",
        models.Outbox.vendor == vendor,
        models.Outbox.order_ref == order_ref,
        models.Outbox.to == to,
    )
    return next((row for row in rows if outbox.payload_of(row) == {"template": template}), None)
