"""What an operator decides about a license by hand: it is kept, and laid over whatever notifications say later."""

from datetime import date, datetime

from qlmhook.domain.terms import end_of_day
from qlmhook.errors import Inapplicable
from qlmhook.inbox import fact_store
from qlmhook.licensing import licenses
from qlmhook.licensing.audit import Occasion
from qlmhook.services.apply import Applying
from qlmhook.services.receive import Clock
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Accounts

LONGEST_EXTENSION = 100
"""Years from now."""


class Decisions:
    """Writes decisions down, and overrides by them what the shop said."""

    def __init__(self, *, database: Database, accounts: Accounts, applying: Applying, clock: Clock) -> None:
        self._database = database
        self._accounts = accounts
        self._applying = applying
        self._clock = clock

    def decide(
        self, key: str, action: str, *, why: str, operator: str, until: date | None = None
    ) -> tuple[models.License, models.License]:
        """Revoke, suspend, reinstate or extend a license; return it as it was and as it is.

        `until` is the last day of an extension, in the account's zone. Raises NotFound, Inapplicable.
        """
        with self._database.transaction():
            before = licenses.find(key)
            self._refuse_idle(before, action)
            end = self._end(before, until) if until else None
            about = fact_store.about(
                before.vendor, order_refs=[before.order_ref], subscription_refs=[before.subscription_ref]
            )
            learned = [fact.learned_at for facts in about.values() for fact in facts]
            # what is known already was known before the decision, even if the clock was set back meanwhile
            now = max([self._clock(), *learned])
            occasion = Occasion(actor=f"operator {operator}"[:128], at=now, why=why or action)
            decision = models.Decision.create(license=before, at=occasion.at, action=action, until=end, why=why)
            after = licenses.override(decision, occasion)
            if action == "reinstate":  # its mail may have waited for this
                account = self._accounts.named(before.vendor)
                self._applying.settle(account, about, occasion)
                after = models.License.get_by_id(before.id)
        return before, after

    def _refuse_idle(self, license: models.License, action: str) -> None:
        status = license.status(self._clock())
        if license.revoked_at is not None and action in ("revoke", "suspend"):
            raise Inapplicable("The license is revoked already.")
        if action == "reinstate" and license.revoked_at is None and license.suspended_at is None:
            raise Inapplicable(f"The license is {status}; there is nothing to reinstate.")

    def _end(self, license: models.License, until: date) -> datetime:
        end = end_of_day(until, self._accounts.named(license.vendor).vendor.timezone)
        if license.expires_at is None:
            raise Inapplicable("The license does not expire; there is nothing to extend.")
        if until.year > self._clock().year + LONGEST_EXTENSION:
            raise Inapplicable(
                f"{until} is more than {LONGEST_EXTENSION} years away; meant is the last day that the license is to "
                "run. A license that never ends is no extension: it is sold as one."
            )
        if end <= license.expires_at:
            raise Inapplicable(f"The license runs until {license.expires_at:%Y-%m-%d %H:%M} UTC already.")
        return end
