"""The licenses that a receipt can tell of: looked up when a plugin asks for them, for most shops never do."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import overload

from qlmhook.domain import order_names
from qlmhook.domain.events import EventKind, Message
from qlmhook.domain.facts import Fact, Place
from qlmhook.inbox import fact_store
from qlmhook.licensing import key_format
from qlmhook.licensing.assessment import Matter, assess
from qlmhook.licensing.results import Settled
from qlmhook.storage import models
from qlmhook.storage.database import Database
from qlmhook.vendors.accounts import Account
from qlmhook.vendors.api import IssuedLicense


class IssuedLicenses(Sequence[IssuedLicense]):
    """The usable licenses of the orders that a message says are paid, as the shop names their lines."""

    def __init__(self, database: Database, account: Account, message: Message, *, now: datetime) -> None:
        self._database = database
        self._account = account
        self._message = message
        self._now = now

    @overload
    def __getitem__(self, index: int) -> IssuedLicense: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[IssuedLicense]: ...

    def __getitem__(self, index: int | slice) -> IssuedLicense | Sequence[IssuedLicense]:
        return self._every[index]

    def __len__(self) -> int:
        return len(self._every)

    @cached_property
    def _every(self) -> Sequence[IssuedLicense]:
        paid = [event for event in self._message.events if event.kind is EventKind.PAID]
        names = {name for event in paid for name in order_names.names_of(event)}
        if not names:
            return ()
        with self._database.reading():
            matters = assess(self._account, fact_store.about(self._account.name, order_refs=names))
            found = {place: license for matter in matters for place, license in self._of(matter, names)}
        return tuple(found[place] for place in sorted(found))

    def _of(self, matter: Matter, names: set[str]) -> Iterator[tuple[tuple[Place, int], IssuedLicense]]:
        current = list(matter.licenses.values())
        usable = Settled(account=self._account, matter=matter, now=self._now, current=current).usable
        every = matter.entitlement.every if matter.entitlement else ()
        units = {purchase.place: purchase.units for purchase in every if purchase.counts}
        for fact in matter.facts:
            if fact.event.kind is EventKind.PAID and fact.place[0] in names and fact.item is not None:
                place = fact.event.order_ref, fact.item.line
                for license in usable:
                    if license.unit <= units.get(place, 0):
                        yield (place, license.unit), _told_of(license, fact)


def _told_of(license: models.License, paid: Fact) -> IssuedLicense:
    assert paid.item is not None
    return IssuedLicense(
        key=key_format.grouped(license.key),
        order_ref=paid.place[0],
        line=paid.place[1],
        unit=license.unit,
        product_id=paid.item.product_id,
        expires_at=license.expires_at,
    )
