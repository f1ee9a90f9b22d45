"""`doctor`: looks for what would go wrong."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from qlmhook.catalog import mappings
from qlmhook.catalog.mappings import template_names
from qlmhook.cli.open_service import open_service
from qlmhook.config import config_path
from qlmhook.errors import DeliveryFailed, PropertyError, QlmhookError
from qlmhook.outbox import queue
from qlmhook.reports import figures
from qlmhook.services.deliver import ALIVE_FOR
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.vendors.api import key_id

# Source: SQLite, "Write-Ahead Logging", the WAL-reset bug
SOUND_SQLITE = (3, 51, 3)

Finding = tuple[bool, str]
"""Whether it is well, and what was found."""


@click.command()
def doctor() -> None:
    """Check configuration, keys, database, mail server and mappings; exit with 1 if any fails."""
    path = config_path(os.environ)
    service = open_service()
    wrong = 0
    checks: list[Callable[[Service], Iterator[Finding]]] = [
        lambda _: _configuration(path),
        _accounts,
        _database,
        _clock,
        _mail,
        _mappings,
        _work,
    ]
    for check in checks:
        for well, finding in check(service):
            wrong += not well
            click.echo(f"{'ok  ' if well else 'FAIL'}  {finding}")
    if wrong:
        raise QlmhookError(f"{wrong} of the checks failed.")


def _configuration(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield True, "configuration: no file, all settings come from the environment"
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    readable = bool(mode & (stat.S_IRWXG | stat.S_IRWXO))
    told = f"configuration: {path} has mode {mode:04o}"
    yield not readable, f"{told}; others can read or change it: chmod 600" if readable else told


def _accounts(service: Service) -> Iterator[Finding]:
    with service.database.reading():
        used = {(use.vendor, use.key_id): use.last_used_at for use in models.KeyUse.select()}
    for name in service.accounts.strays:
        yield False, f"vendor {name}: {service.accounts.complaint(name)}"
    for account in service.accounts:
        if not account.settings.enabled:
            yield True, f"vendor {account.name}: disabled, everything is refused"
            continue
        if not account.settings.user:
            yield False, f"vendor {account.name}: no user and password, so the signature alone keeps strangers out"
        keys = account.vendor.keys()
        if not keys:
            yield False, f"vendor {account.name}: no key, everything is refused"
        for label, key in keys.items():
            when = used.get((account.name, key_id(key)))
            last = f"last used {when:%Y-%m-%d %H:%M} UTC" if when else "never used"
            yield True, f"vendor {account.name}: key {label} ({key_id(key)}) {last}"


def _database(service: Service) -> Iterator[Finding]:
    service.database.write_nothing()
    yield True, f"database: {service.database.engine} can be written to"
    if service.database.engine.startswith("sqlite"):
        sound = sqlite3.sqlite_version_info >= SOUND_SQLITE
        remark = "" if sound else "; before 3.51.3 SQLite has a bug in WAL mode, which our write lock works around"
        yield True, f"database: SQLite {sqlite3.sqlite_version}{remark}"


def _clock(service: Service) -> Iterator[Finding]:
    now = service.clock()
    with service.database.reading():
        newest = models.Notification.select().order_by(models.Notification.received_at.desc()).first()
    behind = newest is not None and newest.received_at > now
    yield not behind, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC" + ("; notifications came later than this" if behind else "")


def _mail(service: Service) -> Iterator[Finding]:
    settings = service.mailer.settings
    try:
        service.mailer.check()
    except DeliveryFailed as error:
        yield False, f"mail: {error}"
    else:
        yield True, f"mail: {settings.host}:{settings.port} takes connections (tls: {settings.tls})"
    if not settings.operator:
        yield True, "mail: no operator, alerts go to the log only"


def _mappings(service: Service) -> Iterator[Finding]:
    with service.database.reading():
        rows = mappings.every()
        if not rows:
            yield False, "mappings: there are none; set one with `qlmhook property set pid_...`"
        for row in rows:
            try:
                checked = mappings.recheck(row)
            except PropertyError as error:
                yield False, f"mapping {row.name}: {error}"
                continue
            missing = [name for name in template_names(checked) if not service.templates.exists(name)]
            well = not missing
            yield well, f"mapping {row.name}: {'usable' if well else f'there is no mail template {missing[0]!r}'}"


def _work(service: Service) -> Iterator[Finding]:
    with service.database.reading():
        held = figures.notifications()["held"]
        dead = figures.outbox()[queue.DEAD]
        alive = figures.workers(since=service.clock() - ALIVE_FOR)
    yield not held, f"notifications: {held} held"
    yield not dead, f"outbox: {dead} rows given up"
    yield (
        alive > 0,
        "outbox: " + ("a worker is alive" if alive else "no worker is alive: start `qlmhook serve`"),
    )
