"""`init`: writes a configuration, and creates the database."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import click

from qlmhook.cli.installed import load_installed
from qlmhook.config import CONFIG_VARIABLE, DEFAULT_CONFIG, load_settings
from qlmhook.errors import ConfigurationError
from qlmhook.services.wiring import Service
from qlmhook.vendors import Vendor
from qlmhook.vendors.loader import Plugins

GENERAL = """\
# Settings of qlmhook; docs/settings.md explains each. QLMHOOK__MAIL__HOST=... in the environment overrides
# [mail] host, QLMHOOK__MAIL__PASSWORD_FILE=... reads a value from a file.

database = "sqlite:///qlmhook.db"        # beside this file; or postgresql://user:password@host/name
worker = true                            # send mails from the server's own processes
{default_vendor:<40} # used when is_vendor is missing in the URL
trusted_proxies = 0                      # 1 behind nginx: hops whose X-Forwarded-* headers count
plugins = []                             # those that serve no shop: that make keys or bring pages

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
"""

ACCOUNT = """
[vendors.{name}]
plugin = "{name}"
enabled = true
user = "qlmhook"                         # is_user and is_pwd of the URL that you give to the shop
password = "{password}"
test_orders = "issue"                    # issue (marked as test) | ignore
revoke_on_refund = false                 # take the license away when the money goes back
revoke_on_cancel = false                 # or when the order is canceled
sources = []                             # networks to take notifications from; ["published"]: the shop's own list
"""


@click.command()
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to.")
@click.option("--vendor", "chosen", default="", metavar="NAME", help="For this plugin's shop alone.")
@click.pass_context
def init(context: click.Context, folder: Path, chosen: str) -> None:
    """Write a commented qlmhook.toml with a section for each installed vendor, and create the database."""
    plugins = context.ensure_object(Plugins)
    if chosen:
        plugins.load([chosen])
    else:
        load_installed(plugins)
    text = _configuration({name: vendor for name, vendor in plugins.vendors().items() if chosen in ("", name)})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DEFAULT_CONFIG
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already; it is never overwritten.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Service.open(load_settings({CONFIG_VARIABLE: str(path)}), plugins=plugins).database.close()
    click.echo(f"Wrote {path} and created the database beside it.")
    click.echo("Next: put your mail server under [mail] and your shop's keys under [vendors.…].")


def _configuration(vendors: Mapping[str, type[Vendor]]) -> str:
    default = next(iter(vendors), "")
    parts = [GENERAL.format(default_vendor=f'default_vendor = "{default}"')]
    for name, vendor in vendors.items():
        parts.append(ACCOUNT.format(name=name, password=secrets.token_urlsafe(16)) + vendor.settings_template)
    return "".join(parts)
