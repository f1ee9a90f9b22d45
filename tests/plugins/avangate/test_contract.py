"""The avangate plugin keeps the contract of a vendor."""

from typing import Any, ClassVar

from qlmhook_avangate.vendor import Avangate

from qlmhook.vendors.api import Notification, Vendor
from qlmhook.vendors.testing import VendorContract, make_notification
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, signed


class TestAvangate(VendorContract):
    vendor_class: ClassVar[type[Vendor]] = Avangate
    key: ClassVar[str] = "synthetic-Secret1!"

    order = Order(lines=[Line(), Line(ref="BBBBBBBBBB"), Line(pid="102", name="Béta & Söhne", quantity="3")])

    def settings(self, *keys: str) -> dict[str, Any]:
        return {"shared_keys": list(keys)}

    def paid_order(self) -> Notification:
        return self.signed(self.order)

    def unsigned_order(self) -> Notification:
        return make_notification(form_body(self.order.fields()))

    def unknown_message(self) -> Notification:
        return self.signed(self.order.changed(status="NEVER_HEARD_OF"))

    def unreadable_message(self) -> Notification:
        return self.signed(self.order.changed(without=["REFNO"]))

    def signed(self, order: Order) -> Notification:
        return make_notification(form_body(signed(order.fields(), self.key, ("sha256", "sha3_256"))))


class TestAvangateWithMd5(TestAvangate):
    """An account that sends only HASH."""

    def settings(self, *keys: str) -> dict[str, Any]:
        return {"shared_keys": list(keys), "algorithms": ["md5"]}

    def signed(self, order: Order) -> Notification:
        return make_notification(form_body(signed(order.fields(), self.key, ("md5",))))
