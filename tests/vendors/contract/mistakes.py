"""Plugins for Kiosk that make one mistake each, by the check that must fail for it, and no other."""

from collections.abc import Callable

from tests.vendors.contract.kiosk import Kiosk

MISTAKES: list[tuple[str, type[Kiosk]]] = []


def fails(check: str) -> Callable[[type[Kiosk]], type[Kiosk]]:
    """Enter a plugin into the list; its docstring says what its author did."""

    def enter(plugin: type[Kiosk]) -> type[Kiosk]:
        MISTAKES.append((check, plugin))
        return plugin

    return enter
