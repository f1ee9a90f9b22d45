"""What a key maker is: it makes the text of a license key."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a key is made for: the product and the order's line."""

    product_id: str
    order_ref: str
    line: str


class KeyMaker(ABC):
    """Makes license keys of one kind."""

    name: ClassVar[str]
    """What a product's mapping calls it by."""

    @abstractmethod
    def make(self, request: KeyRequest) -> str:
        """Return a new key."""
