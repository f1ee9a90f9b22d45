"""Sections of a configuration."""

from qlmhook.vendors.settings import AccountSettings


def section(plugin: str, *, enabled: bool = True, **settings: str) -> AccountSettings:
    return AccountSettings(
        plugin=plugin,
        enabled=enabled,
        user="",
        password="",
        sources=[],
        test_orders="issue",
        revoke_on_refund=False,
        revoke_on_cancel=False,
        section=settings,
    )
