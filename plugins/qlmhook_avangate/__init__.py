"""2Checkout (Verifone, formerly Avangate) for qlmhook."""

from qlmhook.vendors import Vendor, hookimpl
from qlmhook_avangate.vendor import Avangate


@hookimpl
def register_vendors() -> list[type[Vendor]]:
    """Offer the one vendor of this plugin."""
    return [Avangate]
