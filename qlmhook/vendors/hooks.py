"""The hooks a plugin may implement."""

import pluggy

from qlmhook.vendors.api import Vendor

hookspec = pluggy.HookspecMarker("qlmhook")
hookimpl = pluggy.HookimplMarker("qlmhook")


@hookspec
def register_vendors() -> list[type[Vendor]]:  # type: ignore[empty-body]
    """Return the vendor classes of this plugin."""
