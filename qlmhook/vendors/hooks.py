"""The hooks that a plugin may implement, each to bring something of its own; built-in parts implement the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:  # a vendor plugin needs neither click nor flask
    import click
    from flask import Blueprint

    from qlmhook.vendors.api import Vendor
    from qlmhook.vendors.commands import Demonstration
    from qlmhook.vendors.key_maker import KeyMaker

PROJECT = "qlmhook"
"""pluggy's name for what the hooks belong to, and the group of the entry points."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_vendors() -> list[type[Vendor]]:  # type: ignore[empty-body]
    """Return the vendor classes of this plugin: one for each shop that it serves."""


@hookspec
def register_key_makers() -> list[type[KeyMaker]]:  # type: ignore[empty-body]
    """Return the key maker classes of this plugin: one for each kind of license key that it makes."""


@hookspec
def register_commands() -> list[click.Command]:  # type: ignore[empty-body]
    """Return the commands that this plugin adds to `qlmhook`; a group may be one that other plugins bring, too."""


@hookspec
def register_demonstrations() -> list[type[Demonstration]]:  # type: ignore[empty-body]
    """Return the shops that `qlmhook demo` can play: one at most for each vendor class of this plugin."""


@hookspec
def register_blueprints() -> list[Blueprint]:  # type: ignore[empty-body]
    """Return the Flask blueprints of this plugin: its pages, beside those of the service."""
