"""`demo`: the whole job, once, on this machine."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import click
import urllib3

from qlmhook.catalog import mappings
from qlmhook.cli.installed import load_installed
from qlmhook.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX, load_settings
from qlmhook.errors import QlmhookError
from qlmhook.reports import listings
from qlmhook.services.wiring import Service
from qlmhook.vendors.commands import Demonstration
from qlmhook.vendors.loader import Plugins

PATIENCE = 30
MAPPING = (
    "&is_productid=1&is_majorversion=1&is_minorversion=0&is_productname=Demo Product"
    "&is_emailtemplate=Customer.NewOrder&is_licensemodel=subscription"
)


class _Sink:
    """Keeps the mails that an SMTP server takes."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(envelope.content)
        return "250 OK"


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Show the whole job once: a signed order, the receipt, the license, the mail, the confirmation.

    Leaves nothing behind.
    """
    plugins = load_installed(context.ensure_object(Plugins))
    playing = next(iter(plugins.demonstrations().values()), None)
    if playing is None:
        raise QlmhookError("No installed plugin has a shop that can be played.")
    with (
        tempfile.TemporaryDirectory(prefix="qlmhook-demo-") as folder,
        _mail_sink() as (sink, mail_port),
        playing() as shop,
    ):
        config = Path(folder) / "qlmhook.toml"
        config.write_text(_configuration(mail_port, shop), encoding="utf-8")
        service = Service.open(load_settings({CONFIG_VARIABLE: str(config)}), plugins=plugins)
        mapping = MAPPING + ("&is_sendresponse=true" if shop.confirmation else "")
        with service.database.transaction():
            mappings.save(f"pid_{shop.product_id}", mapping, now=service.clock())
        click.echo(f"1. The mapping      pid_{shop.product_id} = {mapping}")
        with _server(config, shop) as url:
            _show(service, sink, shop, url)
        service.database.close()


def _show(service: Service, sink: _Sink, shop: Demonstration, url: str) -> None:
    click.echo(f"2. The signed order and its receipt, checked as {shop.shop} checks it")
    order_ref = shop.buy(url)
    _show_license(service, sink, order_ref)
    if shop.confirmation:
        click.echo(f"5. The confirmation that {shop.shop} waits for ({shop.confirmation})")
        _wait_until(lambda: shop.has_confirmed(order_ref), "No confirmation went out")
        _wait_until(lambda: bool(_confirmations(service, "done")), "The confirmation's answer was not taken")
        click.echo(f"   {'answer:':<17}{_confirmations(service, 'done')[0]['answer']}")
    click.echo("Done.")


def _show_license(service: Service, sink: _Sink, order_ref: str) -> None:
    with service.database.reading():
        [license] = listings.licenses(now=service.clock(), order=order_ref)
    click.echo(f"3. The license      {license['key']}")
    for name in ("status", "license_model", "product_name", "activations", "expires_at"):
        click.echo(f"   {name + ':':<17}{license[name]}")

    mail = _first_mail(sink)
    click.echo("4. The mail")
    for name in ("To", "Subject"):
        click.echo(f"   {name + ':':<17}{mail[name]}")
    body = mail.get_body(("plain",))
    for text in body.get_content().splitlines() if body else []:
        click.echo(f"   | {text}".rstrip())
    if license["key"] not in str(mail):
        raise QlmhookError("The mail does not carry the license key.")


def _confirmations(service: Service, state: str) -> list[listings.Row]:
    with service.database.reading():
        return [row for row in listings.outbox_rows(state=state) if row["kind"] == "confirmation"]


def _configuration(mail_port: int, shop: Demonstration) -> str:
    return f"""
database = "sqlite:///demo.db"
[mail]
host = "127.0.0.1"
port = {mail_port}
sender = "Licensing <licensing@example.com>"
[vendors.{shop.plugin}]
user = "demo"
password = "demo"
{shop.settings()}"""


@contextmanager
def _mail_sink() -> Iterator[tuple[_Sink, int]]:
    from aiosmtpd.controller import Controller  # which no other command needs

    sink = _Sink()
    port = _free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield sink, port
    finally:
        controller.stop()


@contextmanager
def _server(config: Path, shop: Demonstration) -> Iterator[str]:
    port = _free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    log = config.with_name("server.log")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "qlmhook", "serve", "--bind", f"127.0.0.1:{port}", "--workers", "1"],
            env={**environ, CONFIG_VARIABLE: str(config)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process, log)
        query = f"is_vendor={shop.plugin}&is_user=demo&is_pwd=demo"
        yield f"http://127.0.0.1:{port}/qlmlicenseserver/qlmservice.asmx/QlmWebHookHandler?{query}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if urllib3.request("GET", url, retries=False, timeout=1).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
    raise QlmhookError(f"The server did not start:\n{log.read_text(errors='replace')}")


def _first_mail(sink: _Sink) -> EmailMessage:
    _wait_until(lambda: bool(sink.messages), "No mail went out")
    message = message_from_bytes(sink.messages[0], policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _wait_until(happened: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise QlmhookError(f"{complaint} within {PATIENCE} seconds.")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
