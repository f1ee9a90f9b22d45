"""The contract suite finds each mistake that a plugin's author can make, and says which it is."""

from functools import cache
from pathlib import Path

import pytest

from qlmhook.vendors.testing import VendorContract
from tests.vendors.contract import (
    kiosk,
    mistakes_of_agreement,
    mistakes_of_meaning,
    mistakes_of_proof,
    mistakes_of_undoing,
)
from tests.vendors.contract.kiosk import Kiosk
from tests.vendors.contract.kiosk_contract import KioskContract, SparseContract
from tests.vendors.contract.mistakes import MISTAKES

CHECKS = sorted(name for name in dir(VendorContract) if name.startswith("test_"))

SWEEPS = {
    "test_one_changed_byte_is_refused",
    "test_a_message_of_another_shape_is_malformed_or_understood",
    "test_a_message_that_lacks_a_part_gets_a_receipt",
    "test_a_time_without_utc_is_malformed_or_understood",
}
"""The checks that try hundreds of bodies of each message: here they are given few, for no mistake hangs on another."""

# each enters its plugins into the list
assert {mistakes_of_agreement, mistakes_of_meaning, mistakes_of_proof, mistakes_of_undoing}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kiosk's plugin has its entry point, as if it were a package."""
    information = tmp_path / "qlmhook_kiosk-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.4\nName: qlmhook-kiosk\nVersion: 1.0\n", "utf-8")
    (information / "entry_points.txt").write_text(f"[qlmhook]\nkiosk = {kiosk.__name__}\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(kiosk, "REGISTERED", list(kiosk.REGISTERED))


@cache
def failures(plugin: type[Kiosk]) -> dict[str, str]:
    """The checks that fail for a plugin, with what they say."""
    kiosk.REGISTERED[:] = [plugin]
    full, sparse = (type("TestPlugin", (base,), {"vendor_class": plugin})() for base in (KioskContract, SparseContract))
    failed = {}
    for name in CHECKS:
        try:
            getattr(sparse if name in SWEEPS else full, name)()
        except pytest.skip.Exception:
            continue
        except Exception as error:
            failed[name] = str(error)
    return failed


def test_a_plugin_without_a_mistake_passes() -> None:
    assert failures(Kiosk) == {}


@pytest.mark.parametrize(
    ("check", "plugin"), [pytest.param(check, plugin, id=plugin.__name__) for check, plugin in MISTAKES]
)
def test_a_mistake_fails_its_check_and_no_other(check: str, plugin: type[Kiosk]) -> None:
    failed = failures(plugin)

    assert list(failed) == [check], failed


def test_every_check_is_there_for_a_mistake() -> None:
    assert sorted({check for check, _ in MISTAKES}) == CHECKS


@pytest.mark.parametrize("plugin", [plugin for _, plugin in MISTAKES], ids=lambda plugin: plugin.__name__)
def test_a_failed_check_says_what_to_do(plugin: type[Kiosk]) -> None:
    """Its text is a sentence, or several, for somebody who has not read the suite."""
    [told] = failures(plugin).values()

    assert not told.startswith("assert "), told
    assert told.partition("\nassert ")[0].rstrip().endswith("."), told
