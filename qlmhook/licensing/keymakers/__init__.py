"""What makes the keys of licenses: the key makers that are built in, and the one place where all are found by name."""

from qlmhook.licensing.keymakers.random import RandomKeyMaker
from qlmhook.vendors.hooks import hookimpl
from qlmhook.vendors.key_maker import KeyMaker


@hookimpl
def register_key_makers() -> list[type[KeyMaker]]:
    """Return the key makers that are built in."""
    return [RandomKeyMaker]
