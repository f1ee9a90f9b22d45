"""2Checkout (Verifone, formerly Avangate) for qlmhook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlmhook.vendors import Vendor, hookimpl
from qlmhook_avangate.vendor import Avangate

if TYPE_CHECKING:
    import click

    from qlmhook.vendors.commands import Demonstration


@hookimpl
def register_vendors() -> list[type[Vendor]]:
    """Offer the one vendor of this plugin."""
    return [Avangate]


@hookimpl
def register_commands() -> list[click.Command]:
    """Offer `simulate`; the service itself never imports it."""
    from qlmhook_avangate.commands.simulate import simulate

    return [simulate]


@hookimpl
def register_demonstrations() -> list[type[Demonstration]]:
    """Offer 2Checkout's part of `demo`."""
    from qlmhook_avangate.commands.demonstration import AvangateDemonstration

    return [AvangateDemonstration]
