"""2Checkout's part of `qlmhook demo`: it sells, and takes the confirmation."""

import threading
from typing import ClassVar, Self

from qlmhook.vendors.commands import Demonstration
from qlmhook_avangate import simulation
from qlmhook_avangate.commands.idn_server import IdnServer
from qlmhook_avangate.commands.posting import post

SECRET = "demo-secret-key"  # noqa: S105 (the demonstration's own, thrown away with it)


class AvangateDemonstration(Demonstration):
    """A 2Checkout that sells one subscription of two units, with a stand-in for its IDN address."""

    plugin: ClassVar[str] = "avangate"
    shop: ClassVar[str] = "2Checkout"
    confirmation: ClassVar[str] = "IDN"
    product_id: ClassVar[str] = "8019770900775"

    def __enter__(self) -> Self:
        self._idn = IdnServer(("127.0.0.1", 0), SECRET, quiet=True)
        threading.Thread(target=self._idn.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._idn.shutdown()
        self._idn.server_close()

    def settings(self) -> str:
        """Return the secret key, and where confirmations go."""
        url = f"http://127.0.0.1:{self._idn.server_port}/order/idn.php"
        return f'shared_keys = ["{SECRET}"]\nidn = {{ url = "{url}" }}\n'

    def buy(self, url: str) -> str:
        """Post a signed IPN, and check the read receipt."""
        line = simulation.Line(
            product_id=self.product_id,
            name="Demo Product",
            quantity="2",
            subscription_ref="AB12CD34EF",
            expires="2099-12-31 12:00:00",
        )
        order = simulation.Order(
            order_ref="123456789", lines=[line], email="john.doe@example.com", test=True, now=simulation.wall_now()
        )
        post(url, simulation.ipn_fields(order), SECRET, ("sha3-256", "sha256"))
        return order.order_ref

    def has_confirmed(self, order_ref: str) -> bool:
        """Tell whether an IDN came for the order."""
        return order_ref in self._idn.confirmed
