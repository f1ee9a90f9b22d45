"""`init`, `serve` and `worker`."""

import os
import secrets
import signal
import sys
from pathlib import Path

import click

from qlmhook.cli.binding import checked_bind, refuse_taken
from qlmhook.cli.opening import open_service
from qlmhook.config import CONFIG_VARIABLE, DEFAULT_CONFIG, load_settings
from qlmhook.errors import ConfigurationError
from qlmhook.services.wiring import Service
from qlmhook.services.worker import Worker

TEMPLATE = """\
# Settings of qlmhook; docs/settings.md explains each. QLMHOOK__MAIL__HOST=... in the environment overrides
# [mail] host, QLMHOOK__MAIL__PASSWORD_FILE=... reads a value from a file.

database = "sqlite:///qlmhook.db"        # beside this file; or postgresql://user:password@host/name
worker = true                            # send mails from the server's own processes
default_vendor = "avangate"              # used when is_vendor is missing in the URL
trusted_proxies = 0                      # 1 behind nginx: hops whose X-Forwarded-* headers count

[mail]
host = "localhost"
port = 25
tls = "none"                             # none | starttls | tls
username = ""
password = ""
sender = "Licensing <licensing@example.com>"
bcc = []                                 # gets a copy of every mail
operator = ""                            # where alerts go; empty: to the log only
templates = ""                           # a folder with your own <name>.html and <name>.txt

[vendors.avangate]
plugin = "avangate"
enabled = true
user = "qlmhook"                         # is_user and is_pwd of the URL that you give to 2Checkout
password = "{password}"
shared_keys = []                         # the Secret Key of 2Checkout's IPN settings, newest first
algorithms = ["sha3-256", "sha256"]      # add "md5" if your account still sends only HASH
timezone = "Europe/Bucharest"            # your 2Checkout account's, for dates without TIMEZONE_OFFSET
test_orders = "issue"                    # issue (marked as test) | ignore
revoke_on_refund = false                 # take the license away when the money goes back
revoke_on_cancel = false                 # or when the order is canceled
sources = []                             # networks to take notifications from; ["published"]: 2Checkout's list

# One for each custom URL of 2Checkout, by its NOTIFICATION_URL value:
# [vendors.avangate.endpoints.MYTESTNOTIFICATIONS]
# ipn_keys = []
# lcn_keys = []

# How orders are confirmed whose mapping has is_sendresponse=true; what is empty comes from the order or from above:
# [vendors.avangate.idn]
# url = "https://secure.2checkout.com/order/idn.php"
# merchant = ""
# key = ""
# algorithm = "sha256"
# hash_field = "ORDER_HASH"
# timezone = ""
"""


@click.command()
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to.")
def init(folder: Path) -> None:
    """Write a commented qlmhook.toml and create the database."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DEFAULT_CONFIG
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already; it is never overwritten.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(TEMPLATE.format(password=secrets.token_urlsafe(16)))
    Service.open(load_settings({CONFIG_VARIABLE: str(path)})).database.close()
    click.echo(f"Wrote {path} and created the database beside it.")
    click.echo("Next: put 2Checkout's Secret Key into shared_keys and your mail server under [mail].")


@click.command()
@click.option(
    "--bind",
    default="127.0.0.1:8000",
    show_default=True,
    metavar="HOST:PORT",
    callback=checked_bind,
    help="Where to listen.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def serve(bind: str, workers: int) -> None:
    """Serve under gunicorn, the outbox worker included."""
    open_service().database.close()
    refuse_taken(bind)
    arguments = ["--config", "python:qlmhook.web.gunicorn.settings", "--bind", bind, "--workers", str(workers)]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *arguments, "qlmhook.web.app:create_app()"])  # noqa: S606


@click.command()
def worker() -> None:
    """Run the outbox worker alone, until it is stopped."""
    service = open_service()
    running = Worker(service.delivery, service.refusals)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.request_stop())
    running.run()
