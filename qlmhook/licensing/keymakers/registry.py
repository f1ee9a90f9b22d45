"""The key makers that are loaded, by name, and what they are asked for."""

from collections.abc import Iterable
from datetime import datetime

from qlmhook.domain import products
from qlmhook.domain.entitlement import Entitlement
from qlmhook.domain.grants import Grant
from qlmhook.domain.holds import Hold
from qlmhook.errors import KeyNotMade, PropertyError
from qlmhook.licensing import key_format
from qlmhook.vendors.key_maker import LONGEST_KEY, KeyMaker, KeyRequest


class KeyMakers:
    """Finds the key maker that a mapping names."""

    def __init__(self, classes: Iterable[type[KeyMaker]]) -> None:
        self._makers = {maker_class.name: maker_class() for maker_class in classes}

    def refuse_unknown(self, name: str) -> None:
        """Raise PropertyError unless there is a key maker of this name, or none is named."""
        if name and name.lower() not in self._makers:
            raise PropertyError(
                f"is_keymaker is {name!r}; meant is one of those that are loaded: {self._names}. A plugin that brings "
                "another is named in the setting `plugins`."
            )

    def keys_for(
        self, vendor: str, entitlement: Entitlement, grants: Iterable[Grant], now: datetime
    ) -> list[str] | Hold:
        """Return a new key for each grant, or what holds them where one cannot be made."""
        made = []
        for grant in grants:
            try:
                made.append(self._make(grant.terms.key_maker, _request(vendor, entitlement, grant, now)))
            except KeyNotMade as error:
                item = grant.purchase.item
                return Hold(
                    reason=f"Product {item.product_id} gets no key: {error}",
                    cause=products.hold_cause(item),
                    order_ref=grant.purchase.order_ref,
                )
        return made

    def _make(self, name: str, request: KeyRequest) -> str:
        if name not in self._makers:
            raise KeyNotMade(
                f"the key maker {name!r} of its mapping is not loaded (loaded: {self._names}). Install the plugin that "
                "brings it and name that in the setting `plugins`, or name another key maker with is_keymaker."
            )
        key = self._makers[name].make(request)
        if not (key.isascii() and 0 < len(key) <= LONGEST_KEY and key == key_format.normalize(key)):
            raise KeyNotMade(
                f"the key maker {name!r} made one that cannot be typed. A key has up to {LONGEST_KEY} capital letters "
                "and digits, behind the first without I, L and O."
            )
        return key

    @property
    def _names(self) -> str:
        return ", ".join(sorted(self._makers))


def _request(vendor: str, entitlement: Entitlement, grant: Grant, now: datetime) -> KeyRequest:
    purchase, terms = grant.purchase, grant.terms
    return KeyRequest(
        license_model=grant.license_model,
        product_id=terms.product_id,
        major_version=terms.major_version,
        minor_version=terms.minor_version,
        product_name=terms.product_name or purchase.item.product_name,
        features=terms.features,
        product_properties=terms.product_properties,
        quantity=purchase.quantity,
        activations=grant.activations,
        floating_seats=grant.floating_seats,
        issued_at=now,
        expires_at=grant.expires_at,
        maintenance_until=grant.maintenance_until,
        customer=entitlement.customer,
        vendor=vendor,
        order_ref=purchase.order_ref,
        line=purchase.line,
        unit=grant.unit,
        test=entitlement.first.test,
    )
