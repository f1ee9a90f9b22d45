"""Everything but HTTP and the command line, wired together from the settings."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from qlmhook.channels.alert.due import Alerts
from qlmhook.channels.alert.send import AlertMails
from qlmhook.channels.confirmation.due import Confirmations
from qlmhook.channels.confirmation.send import ShopConfirmations
from qlmhook.channels.mail.due import Mailing
from qlmhook.channels.mail.rendering import Templates
from qlmhook.channels.mail.send import LicenseMails
from qlmhook.channels.mail.smtp import Mailer
from qlmhook.config import Settings
from qlmhook.inbox import notification_store
from qlmhook.inbox.refusals import Refusals
from qlmhook.licensing import keymakers
from qlmhook.licensing.keymakers.registry import KeyMakers
from qlmhook.outbox.payloads import Kind
from qlmhook.services.apply import Applying
from qlmhook.services.decide import Decisions
from qlmhook.services.deliver import Delivery
from qlmhook.services.enrich import Enrichment
from qlmhook.services.receive import Clock, Intake
from qlmhook.services.rename_account import Renaming
from qlmhook.storage import schema_version
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Accounts, load_accounts
from qlmhook.vendors.loader import Plugins


def utc_now() -> datetime:
    """Return the time of day, aware, in UTC."""
    return datetime.now(UTC)


def _known_vendors(database: Database) -> list[str]:
    try:
        with database.reading():
            return notification_store.known_vendors()
    finally:
        database.close()  # a connection must not be inherited by a forked process


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts that the web application and the commands share."""

    settings: Settings
    plugins: Plugins
    database: Database
    accounts: Accounts
    key_makers: KeyMakers
    templates: Templates
    mailer: Mailer
    alerts: Alerts
    mailing: Mailing
    intake: Intake
    decisions: Decisions
    renaming: Renaming
    delivery: Delivery
    refusals: Refusals
    clock: Clock

    def hold_still(self) -> None:
        """Before a fork: let no thread hold a lock that the child would inherit for ever."""
        self.database.hold_still()
        self.refusals.lock()

    def go_on(self, *, in_child: bool = False) -> None:
        """After a fork, on both sides."""
        self.refusals.unlock()
        self.database.go_on(in_child=in_child)

    @classmethod
    def open(cls, settings: Settings, *, plugins: Plugins | None = None, clock: Clock = utc_now) -> Self:
        """Load the plugins that are configured and prepare the database; raises ConfigurationError, Unavailable.

        `plugins` are those of the process, where it has some already: a command line that asked them for commands.
        """
        plugins = plugins or Plugins()
        plugins.load(settings.plugins)
        accounts = load_accounts(settings.vendors, plugins, default=settings.default_vendor)
        database = Database(settings.database)
        schema_version.prepare(database)
        accounts = accounts.knowing(_known_vendors(database))
        templates = Templates(settings.mail.templates)
        mailer = Mailer(settings.mail)
        alerts = Alerts(operator=settings.mail.operator)
        mailing = Mailing(alerts=alerts)
        plugins.add(keymakers.__name__, keymakers)
        makers = KeyMakers(plugins.key_makers().values())
        applying = Applying([mailing, Confirmations(), alerts], makers)
        confirmations = ShopConfirmations(database=database, accounts=accounts, alerts=alerts)
        mails = LicenseMails(database=database, accounts=accounts, mailer=mailer, templates=templates)
        senders = {
            Kind.MAIL: mails.send,
            Kind.ALERT: AlertMails(mailer=mailer).send,
            Kind.CONFIRMATION: confirmations.send,
            Kind.ENRICHMENT: Enrichment(database=database, accounts=accounts, applying=applying).send,
        }
        return cls(
            settings=settings,
            plugins=plugins,
            database=database,
            accounts=accounts,
            key_makers=makers,
            templates=templates,
            mailer=mailer,
            alerts=alerts,
            mailing=mailing,
            intake=Intake(database=database, accounts=accounts, applying=applying, alerts=alerts, clock=clock),
            decisions=Decisions(database=database, accounts=accounts, applying=applying, clock=clock),
            renaming=Renaming(database=database, accounts=accounts, applying=applying, alerts=alerts, clock=clock),
            delivery=Delivery(
                database=database,
                senders=senders,
                mailer=mailer,
                confirmations=confirmations,
                alerts=alerts,
                clock=clock,
            ),
            refusals=Refusals(database),
            clock=clock,
        )
