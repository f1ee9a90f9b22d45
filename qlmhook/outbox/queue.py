"""The outbox: what is to go out, written with the license and delivered later, for days if need be.

A worker leases a row, works without a transaction, and then says what became of it. While it has the lease nobody else
changes the row, but for the account's name. A worker that dies leaves a lease that runs out, and another takes the row
up again: a mail may in that moment go out twice, but never not at all.
"""

import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from qlmhook.errors import NotFound, QlmhookError
from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import Kind, Payload
from qlmhook.storage import models, tallies
from qlmhook.storage.statements import Statement, any_given, given

_OF_ORDERS = Statement[models.Outbox](
    lambda: (
        models.Outbox.select()
        .where(models.Outbox.vendor == given("vendor"), models.Outbox.order_ref.in_(any_given("names")))
        .order_by(models.Outbox.id)
    )
)


def _first_of(state: str, time: Any) -> Statement[models.Outbox]:
    table = models.Outbox
    return Statement(
        lambda: (
            table.select().where(table.state == state, time <= given("now")).order_by(table.due_at, table.id).limit(1)
        )
    )


_DUE = _first_of("due", models.Outbox.due_at)
_ABANDONED = _first_of("leased", models.Outbox.leased_until)
"""Two, because of one OR the other SQLite and MariaDB would read every row that went out."""

_TOLD = ("state", "to", "subject", "payload", "attempts", "due_at", "done_at", "last_error", "answer")
"""What a worker may have changed of a row when it gives the lease back."""

_CONCLUDE = Statement[models.Outbox](
    lambda: models.Outbox.update(
        {name: given(name, models.Outbox._meta.fields[name]) for name in _TOLD} | {"leased_until": None, "lease": ""}
    ).where(models.Outbox.id == given("id"), models.Outbox.lease == given("held"))
)

LEASE = timedelta(minutes=5)
"""Longer than any delivery takes, so that no row is in two hands."""

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=7)


DEAD = "dead"
STATES = ("due", "leased", "done", DEAD)


EVERY_ACCOUNT = ""
"""Rows are counted together: an account may be renamed while a worker has one in hand."""


class NotYet(Exception):
    """What a row waits for has not happened; this is no failure."""


def add(
    payload: Payload,
    *,
    now: datetime,
    vendor: str = "",
    order_ref: str = "",
    to: str = "",
    subject: str = "",
) -> models.Outbox:
    """Add a row in the running transaction, due at once."""
    tallies.change(models.Outbox, EVERY_ACCOUNT, "due", 1)
    return models.Outbox.create(
        kind=payload.kind,
        state="due",
        vendor=vendor,
        order_ref=order_ref,
        to=to,
        subject=subject,
        payload=payloads.to_text(payload),
        begun_at=now,
        due_at=now,
    )


def of_orders(kind: Kind, vendor: str, order_refs: Collection[str]) -> list[models.Outbox]:
    """Return the rows of a kind that are about these orders, oldest first."""
    return [row for row in _OF_ORDERS.all(vendor=vendor, names=list(order_refs)) if row.kind == kind]


def is_any_due(now: datetime) -> bool:
    """Tell whether there is something to claim, without becoming a writer."""
    return _next(now) is not None


def claim(now: datetime) -> models.Outbox | None:
    """Lease the row that has been due the longest, or one whose lease ran out; None when nothing is due."""
    row = _next(now)
    if row is None:
        return None
    _set_state(row, "leased")
    row.lease = secrets.token_hex(16)
    row.leased_until = now + LEASE
    row.attempts += 1
    row.save()
    return row


def finish(row: models.Outbox, now: datetime, *, answer: str = "") -> None:
    """Mark a row as done that went out, or need not."""
    _conclude(row, state="done", done_at=now, last_error="", answer=answer)


def postpone(row: models.Outbox, reason: str, now: datetime, *, again_at: datetime) -> None:
    """Put a leased row back until `again_at` because its time has not come; that is no attempt.

    Whatever lets its time come makes it due before. Without a reason it has come now.
    """
    payload = payloads.to_text(replace(payloads.of(row, Payload), waited_until=now))
    due_at = again_at if reason else now
    _conclude(row, state="due", due_at=due_at, attempts=row.attempts - 1, last_error=reason, payload=payload)


def fail(row: models.Outbox, error: str, *, permanent: bool, now: datetime) -> bool:
    """Put a leased row back until later, or give it up; return whether it was given up.

    It is given up when the failure is permanent, or a week after it was written, or after what it waited for came.
    """
    tried_since = payloads.waited_until(row) or row.begun_at
    dead = permanent or now - tried_since >= GIVE_UP_AFTER
    _conclude(row, state=DEAD if dead else "due", due_at=now + delay_after(row.attempts), last_error=error[:2000])
    return dead


def delay_after(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: a minute, then twice as long each time, up to an hour."""
    return min(FIRST_DELAY * (1 << min(attempts - 1, 10)), LONGEST_DELAY)


def retry(row_id: int, now: datetime) -> models.Outbox:
    """Make a row due again, dead or done as it may be; raises NotFound, QlmhookError."""
    row = models.Outbox.get_or_none(models.Outbox.id == row_id)
    if row is None:
        raise NotFound(f"There is no outbox row {row_id}.")
    if row.state == "leased":
        raise QlmhookError(f"The outbox row {row_id} is being sent now.")
    _set_state(row, "due")
    row.due_at, row.begun_at, row.leased_until, row.lease = now, now, None, ""
    row.done_at, row.attempts, row.last_error = None, 0, ""
    row.save()
    return row


def describe(row: models.Outbox, **values: Any) -> None:
    """Set columns of a row that nobody has leased."""
    models.Outbox.update(values).where(models.Outbox.id == row.id).execute()


def remove(row: models.Outbox) -> None:
    """Delete a row that another one has taken the place of."""
    tallies.change(models.Outbox, EVERY_ACCOUNT, row.state, -1)
    row.delete_instance()


def _next(now: datetime) -> models.Outbox | None:
    """Return the row that has been due the longest."""
    found = [*_DUE.all(now=now), *_ABANDONED.all(now=now)]
    return min(found, key=lambda row: (row.due_at, row.id), default=None)


def _set_state(row: models.Outbox, state: str) -> None:
    tallies.move(models.Outbox, EVERY_ACCOUNT, row.state, state)
    row.state = state


def _conclude(row: models.Outbox, state: str, **values: Any) -> None:
    """Write down what became of a row, unless its lease ran out and another worker has it.

    What its delivery found out, such as the rendered subject, is set in the row.
    """
    told = row.__data__ | values | {"state": state}
    if _CONCLUDE.run(id=row.id, held=row.lease, **{name: told[name] for name in _TOLD}).rowcount:
        tallies.move(models.Outbox, EVERY_ACCOUNT, row.state, state)
