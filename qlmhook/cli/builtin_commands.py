"""The commands that are built in: they are registered as a plugin's are."""

import click

from qlmhook.cli.copy import copy
from qlmhook.cli.demo import demo
from qlmhook.cli.doctor import doctor
from qlmhook.cli.init import init
from qlmhook.cli.license import license_
from qlmhook.cli.mail import mail
from qlmhook.cli.notification import notification
from qlmhook.cli.outbox import outbox_
from qlmhook.cli.plugin import plugin
from qlmhook.cli.property import property_
from qlmhook.cli.serve import serve, worker
from qlmhook.cli.upgrade import upgrade
from qlmhook.cli.vendor import vendor
from qlmhook.vendors import hookimpl


@hookimpl
def register_commands() -> list[click.Command]:
    """Offer what every installation has."""
    return [
        demo,
        init,
        serve,
        worker,
        property_,
        license_,
        notification,
        outbox_,
        mail,
        vendor,
        doctor,
        upgrade,
        copy,
        plugin,
    ]
