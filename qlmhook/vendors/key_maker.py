"""What a key maker is: it makes the text of a license key, once for each license that is issued."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from qlmhook.domain.events import Customer

LONGEST_KEY = 64


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a key is made for.

    `product_id` and the versions are those of the license, as the product's mapping says; `order_ref` and `line` are
    the vendor's names of what pays for it, and `unit` counts the keys of a subject from 1. `features` and
    `product_properties` are written as QLM writes them, `0:3;1:128` and `category.name::value||…`. Times are aware;
    `expires_at` is None, or in the year 9999, for a license that does not end.
    """

    license_model: str
    product_id: int
    major_version: int
    minor_version: int
    product_name: str = ""
    features: str = ""
    product_properties: str = ""
    quantity: int = 1
    activations: int = 1
    floating_seats: int = 0
    issued_at: datetime
    expires_at: datetime | None = None
    maintenance_until: datetime | None = None
    customer: Customer = field(default_factory=Customer)
    vendor: str = ""
    order_ref: str = ""
    line: str = ""
    unit: int = 1
    test: bool = False


class KeyMaker(ABC):
    """Makes license keys of one kind; made once, without arguments, and serves all threads."""

    name: ClassVar[str]
    """What a mapping chooses it by, `is_keymaker=<name>`: lower-case letters, digits, `-` and `_`."""

    @abstractmethod
    def make(self, request: KeyRequest) -> str:
        """Return a new key, never the same twice: up to 64 capital letters and digits.

        A person types it in any letter case, with dashes and blanks, I and L for 1 and O for 0 behind the first
        character: so it has none of these itself. Called inside a transaction: it is quick, and may be called again
        for the same license if that rolls back. Raises KeyNotMade, saying why there is no key and what to do: the
        order is held with that.
        """
