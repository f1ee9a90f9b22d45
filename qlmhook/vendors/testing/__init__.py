"""What the tests of a vendor plugin inherit: the facts that must be true of every vendor.

This package needs pytest, which is only in the extra `test`: `pip install "qlmhook[test]"`. The service itself never
imports it. docs/plugins.md shows it in use.
"""

from qlmhook.vendors.returned_values import LONGEST
from qlmhook.vendors.testing.check_agreement import Agreement
from qlmhook.vendors.testing.check_answers import Answers
from qlmhook.vendors.testing.check_installation import Installation
from qlmhook.vendors.testing.check_meaning import Meaning
from qlmhook.vendors.testing.check_proof import Proof
from qlmhook.vendors.testing.check_subscriptions import Subscriptions
from qlmhook.vendors.testing.check_undoing import Undoing
from qlmhook.vendors.testing.messages import NOON, Messages, make_notification

__all__ = ["LONGEST", "NOON", "Messages", "VendorContract", "make_notification"]


class VendorContract(Installation, Proof, Meaning, Agreement, Undoing, Subscriptions, Answers):
    """Facts about a vendor: inherit them as `class TestMyShop(VendorContract)` and fill in what is abstract.

    Every check runs on every message that `messages()` returns.
    """
