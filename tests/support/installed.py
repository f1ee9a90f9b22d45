"""Plugins that are really installed: modules with entry points on sys.path."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

HEADER = """
from qlmhook.vendors import ConfigurationError, Vendor, hookimpl


class Shop(Vendor):
    def __init__(self, name, settings):
        if "typo" in settings:
            raise ConfigurationError(f"vendors.{name}.typo: there is no such setting.")
        self.name, self.settings = name, settings

    def verify(self, notification):
        raise NotImplementedError

    def parse(self, notification):
        raise NotImplementedError

    def receipt(self, notification, verified, outcome):
        raise NotImplementedError
"""


class Install(Protocol):
    """Installs a module, as pip would, with entry points of these names (by default the module's own)."""

    def __call__(self, module: str, source: str, *, points: tuple[str, ...] = ()) -> Path: ...


def plugin(*vendors: str, aliases: tuple[str, ...] = (), hook: str = "register_vendors") -> str:
    """The source of a plugin that registers vendor classes of these names."""
    classes = ", ".join(f"type('V', (Shop,), {{'plugin': {name!r}, 'aliases': {aliases!r}}})" for name in vendors)
    return f"{HEADER}\n\n@hookimpl\ndef {hook}():\n    return [{classes}]\n"


def hook(name: str, returned: str, *, before: str = "") -> str:
    """The source of a plugin that implements one hook."""
    return f"{HEADER}\n{before}\n\n@hookimpl\ndef {name}():\n    return {returned}\n"


def installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Yield what installs modules into a folder of their own, and forget them afterwards."""
    folder = tmp_path / "site-packages"
    folder.mkdir(exist_ok=True)
    monkeypatch.syspath_prepend(str(folder))
    modules: list[str] = []

    def install_(module: str, source: str, *, points: tuple[str, ...] = ()) -> Path:
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        information = folder / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
        lines = "\n".join(f"{point} = {module}" for point in points or (module,))
        (information / "entry_points.txt").write_text(f"[qlmhook]\n{lines}\n", "utf-8")
        importlib.invalidate_caches()
        modules.append(module)
        return folder

    yield install_
    for module in modules:
        sys.modules.pop(module, None)
