"""The trail of a license tells every column that a change may name."""

from datetime import datetime

from qlmhook.licensing import audit
from qlmhook.licensing.audit import Change, Occasion
from qlmhook.storage import models
from tests.conftest import Shop
from tests.plugins.avangate.orders import Order

FIXED = {"id", "key", "vendor", "unit", "issued_at"}
"""What no change of a license changes."""


def test_every_column_that_may_change_is_told_as_json_knows_it(shop: Shop) -> None:
    """Times with their zone, the customer by the address."""
    shop.map("101")
    shop.post(Order(email="ann@example.com").fields())
    with shop.service.database.transaction():
        license = models.License.get()
        columns = {name: value for name, value in license.__data__.items() if name not in FIXED}
        change = Change(license=license, change="changed", before={}, after=columns)
        audit.write([change], Occasion(actor="test", at=shop.clock(), why=""))
        stored = models.Audit.select().order_by(models.Audit.id.desc()).get()

    times = {name: value.isoformat() for name, value in columns.items() if isinstance(value, datetime)}
    assert audit.told(stored.before) == {}
    assert audit.told(stored.after) == {**columns, **times, "customer": "ann@example.com"}
