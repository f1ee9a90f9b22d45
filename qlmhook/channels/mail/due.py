"""Which mails to customers a change calls for."""

import shlex
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from qlmhook.channels.alert.due import Alerts
from qlmhook.channels.channel import Channel
from qlmhook.channels.mail.mail_terms import terms_of_today
from qlmhook.channels.mail.rendering import one_line
from qlmhook.domain.addresses import address_key
from qlmhook.domain.entitlement import Entitlement
from qlmhook.domain.grants import Grant
from qlmhook.errors import NotFound, QlmhookError
from qlmhook.licensing import key_format
from qlmhook.licensing.results import Settled
from qlmhook.outbox import payloads, queue
from qlmhook.outbox.payloads import Kind, MailPayload
from qlmhook.storage import models
from qlmhook.storage.statements import Statement, any_given, given

_MAILED = Statement[models.MailedLicense](
    lambda: (
        models.MailedLicense.select(models.MailedLicense, models.Outbox)
        .join(models.Outbox)
        .where(models.MailedLicense.license.in_(any_given("licenses")))
    )
)

_IN_MAIL = Statement[models.License](
    lambda: (
        models.License.with_customers()
        .join(models.MailedLicense, on=models.MailedLicense.license == models.License.id)
        .where(models.MailedLicense.outbox == given("row"))
        .order_by(models.MailedLicense.id)
    )
)

DEFAULT_TEMPLATE = "Customer.NewOrder"


class Mailing(Channel):
    """Writes mails to customers, each license once for each order that pays for it."""

    def __init__(self, *, alerts: Alerts) -> None:
        self._alerts = alerts

    def settled(self, settled: Settled) -> None:
        """Mail what may be used, and let mails that wait go to the address that counts now."""
        entitlement = settled.matter.entitlement
        if entitlement is None:
            return
        self.redirect(settled.renewed, now=settled.now)  # of others there is no mail yet
        waits = entitlement.awaited_customer != ""
        self.announce(entitlement, settled.usable, waits_for_customer=waits, now=settled.now)

    def announce(
        self,
        entitlement: Entitlement,
        licenses: Iterable[models.License],
        *,
        waits_for_customer: bool = False,
        now: datetime,
    ) -> None:
        """Mail licenses to the customer, each once for the newest order that it stands for.

        A mail of the same order and template that is still waiting takes them up, so that one mail lists all.
        """
        by_order: dict[str, list[models.License]] = {}
        for license in licenses:
            by_order.setdefault(_grant_of(entitlement, license).purchase.order_ref, []).append(license)
        for order_ref, of_order in by_order.items():
            entries = _entries(of_order, order_ref)
            by_template: dict[str, list[models.License]] = {}
            for license in of_order:
                template = template_for(entitlement, _grant_of(entitlement, license))
                if template and _needs_mail(license, entries.get(license.id)):
                    by_template.setdefault(template, []).append(license)
            for template, new in by_template.items():
                self._write(order_ref, template, new, entries, now, waits_for_customer=waits_for_customer)

    def _write(
        self,
        order_ref: str,
        template: str,
        licenses: list[models.License],
        entries: dict[int, models.MailedLicense],
        now: datetime,
        *,
        waits_for_customer: bool,
    ) -> None:
        vendor, customer = licenses[0].vendor, licenses[0].customer
        if customer is None:
            if not waits_for_customer:
                self._tell_of_missing_address(order_ref, now)
            return
        row = _waiting_mail(vendor, order_ref, template, customer.email) or queue.add(
            MailPayload(template=template),
            now=now,
            vendor=vendor,
            order_ref=order_ref,
            to=customer.email,
            subject=template,
        )
        known = [entries[license.id].id for license in licenses if license.id in entries]
        if known:
            models.MailedLicense.update(outbox=row).where(models.MailedLicense.id.in_(known)).execute()
        new = [license.id for license in licenses if license.id not in entries]
        rows = [{"vendor": vendor, "order_ref": order_ref, "license": id_, "outbox": row.id} for id_ in new]
        models.MailedLicense.add(rows)

    def redirect(self, licenses: Sequence[models.License], *, now: datetime) -> None:
        """Let the mails with these licenses that have not gone out go to the address that the customer has now.

        A mail that lists licenses of others, too, keeps those.
        """
        customer = licenses[0].customer if licenses else None
        if customer is None:
            return
        mailed = models.MailedLicense
        theirs = _MAILED.all(licenses=[license.id for license in licenses])
        entries = [entry for entry in theirs if entry.outbox.state == "due" and entry.outbox.to != customer.email]
        by_row: dict[int, list[models.MailedLicense]] = {}
        for entry in entries:
            by_row.setdefault(entry.outbox.id, []).append(entry)
        for moved in by_row.values():
            row, template = moved[0].outbox, payloads.of(moved[0].outbox, MailPayload).template
            there = _waiting_mail(row.vendor, row.order_ref, template, customer.email)
            shared = mailed.select().where(mailed.outbox == row).count() > len(moved)
            if there is None and not shared:
                queue.describe(row, to=customer.email)
                continue
            place = {"vendor": row.vendor, "order_ref": row.order_ref, "subject": template}
            there = there or queue.add(MailPayload(template=template), now=now, to=customer.email, **place)
            mailed.update(outbox=there).where(mailed.id.in_([entry.id for entry in moved])).execute()
            if not shared:
                queue.remove(row)

    def _tell_of_missing_address(self, order_ref: str, now: datetime) -> None:
        self._alerts.tell(
            subject=f"Order {order_ref}: the license is issued, but not mailed",
            text=f"Order {order_ref} came without an e-mail address that can be mailed to. Its license is "
            f"issued: see `qlmhook license list --order {shlex.quote(order_ref)}`.",
            now=now,
            once=True,
        )

    def resend(self, license: models.License, *, to: str, now: datetime) -> models.Outbox:
        """Write a new mail with one license, with its product's order template.

        Raises NotFound without an address, QlmhookError for a license that is revoked.
        """
        if license.revoked_at is not None:
            key, why = key_format.grouped(license.key), one_line(license.barred_why).rstrip(".") or "no reason is known"
            raise QlmhookError(
                f"The license {key} is revoked: {why}. If the customer shall use it, give it back first: "
                f"`qlmhook license reinstate {key}`."
            )
        address = to or (license.customer.email if license.customer else "")
        if not address_key(address):
            raise NotFound(f"There is no address to mail to: {address!r}. Name one with --to.")
        order_ref = _newest_mailed_order(license)
        terms = terms_of_today(license, order_ref)
        template = (terms.order_template if terms else "") or DEFAULT_TEMPLATE
        return queue.add(
            MailPayload(template=template, license=license.id, to_customer=not to),
            now=now,
            vendor=license.vendor,
            order_ref=order_ref,
            to=address,
            subject=template,
        )


def licenses_in(row: models.Outbox) -> list[models.License]:
    """Return the licenses that a mail is about, in the order in which they were added."""
    if (resent := payloads.of(row, MailPayload).license) is not None:
        return [models.License.get_by_id(resent)]
    return _IN_MAIL.all(row=row.id)


def address_of(row: models.Outbox, licenses: Sequence[models.License]) -> str:
    """Return where a mail goes: to the customer as the address is now, unless an operator named another."""
    payload = payloads.of(row, MailPayload)
    customer = licenses[0].customer if licenses else None
    named = payload.license is not None and not payload.to_customer
    return row.to if named or customer is None else str(customer.email)


def withdraw(row: models.Outbox, licenses: Iterable[models.License]) -> None:
    """Leave licenses out of a mail that is due: they are mailed anew if they are given back."""
    mailed = models.MailedLicense
    ids = [license.id for license in licenses]
    mailed.delete().where(mailed.outbox == row, mailed.license.in_(ids)).execute()


def template_for(entitlement: Entitlement, grant: Grant) -> str:
    """Return the template of the mail that is due for a license; empty for no mail.

    A key that a renewal adds is mailed also where renewals are not: the customer does not have it yet.
    """
    terms = grant.purchase.terms
    if grant.purchase.order_ref == entitlement.first.order_ref:
        return terms.mail_template(renewal=False)
    return terms.mail_template(renewal=True) or ("" if grant.renewal else terms.mail_template(renewal=False))


def _grant_of(entitlement: Entitlement, license: models.License) -> Grant:
    return entitlement.grants[license.unit - 1]


def planned(licenses: Iterable[models.License], order_refs: Collection[str]) -> dict[tuple[int, str], bool]:
    """Tell for which licenses and orders a mail was written, and whether the mail server took it."""
    mailed = _MAILED.all(licenses=[license.id for license in licenses])
    found = [entry for entry in mailed if entry.order_ref in order_refs]
    return {(entry.license_id, entry.order_ref): entry.outbox.done_at is not None for entry in found}


def sent_by_hand(vendor: str, order_ref: str) -> set[int]:
    """Return the ids of the licenses that an operator mailed again for this order, and the mail server took."""
    sent = [row for row in queue.of_orders(Kind.MAIL, vendor, [order_ref]) if row.done_at is not None]
    return {license_id for row in sent if (license_id := payloads.of(row, MailPayload).license) is not None}


def _entries(licenses: Iterable[models.License], order_ref: str) -> dict[int, models.MailedLicense]:
    mailed = _MAILED.all(licenses=[license.id for license in licenses])
    return {entry.license_id: entry for entry in mailed if entry.order_ref == order_ref}


def _needs_mail(license: models.License, entry: models.MailedLicense | None) -> bool:
    """Not if one was written, unless it was given up and the customer has another address since."""
    if entry is None:
        return True
    corrected = license.customer is not None and license.customer.email != entry.outbox.to
    return bool(entry.outbox.state == queue.DEAD and corrected)


def _newest_mailed_order(license: models.License) -> str:
    mailed = models.MailedLicense
    entry = mailed.select().where(mailed.license == license).order_by(mailed.id.desc()).first()
    return entry.order_ref if entry is not None else license.order_ref


def _waiting_mail(vendor: str, order_ref: str, template: str, to: str) -> models.Outbox | None:
    mails = queue.of_orders(Kind.MAIL, vendor, [order_ref])
    waiting = [row for row in mails if row.state == "due" and row.to == to]
    for row in waiting:
        payload = payloads.of(row, MailPayload)
        if payload.license is None and payload.template == template:
            return row
    return None
