"""docs/architecture.md: the story of a notification and the words name what is there, and every room is told of."""

import importlib
import re
from pathlib import Path

import pytest

from tests.project.test_architecture import FOR_COMMANDS_OF_PLUGINS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STORY = PAGE.partition("## The story of a notification")[2].partition("## What holds")[0]
WORDS = PAGE.partition("## Words")[2].partition("\n## ")[0]
NAME = re.compile(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`")
NAMES = NAME.findall(STORY)


@pytest.mark.parametrize("name", [*NAMES, *NAME.findall(WORDS)])
def test_what_the_story_and_the_words_name_is_there(name: str) -> None:
    parts = name.split(".")
    depth = next(place for place, part in enumerate([*parts, "A"]) if place == len(parts) - 1 or part[0].isupper())
    found = importlib.import_module("qlmhook." + ".".join(parts[:depth]))
    for part in parts[depth:]:
        found = getattr(found, part)

    assert callable(found)


def test_the_story_passes_through_every_step() -> None:
    assert len(NAMES) > 25


def test_a_word_is_told_once() -> None:
    words = [word for row in re.findall(r"^\| ([a-z, ]+) \|", WORDS, re.MULTILINE) for word in row.split(", ")]

    assert sorted(words) == sorted(set(words))
    assert {"key", "subject", "vendor"} <= set(words)


def test_every_room_is_told_of() -> None:
    rooms = set(re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE))
    there = {
        path.stem for path in (ROOT / "qlmhook").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert rooms == there - {"__init__", "__main__"}


def test_every_room_has_its_tests_but_those_that_are_named() -> None:
    [told] = re.findall(r"`tests/` has the same rooms, but for (.+?):", PAGE.replace("\n", " "))
    rooms, tested = ({path.parent.name for path in (ROOT / top).glob("*/__init__.py")} for top in ("qlmhook", "tests"))

    assert set(re.findall(r"`(\w+)`", told)) == rooms - tested


def test_all_that_a_plugin_may_import_is_named() -> None:
    [told] = re.findall(r"A vendor plugin imports (.+?)\n`tests/`", PAGE, flags=re.S)

    assert set(re.findall(r"`(qlmhook\.[a-z.]+)`", told)) == FOR_COMMANDS_OF_PLUGINS | {"qlmhook.vendors.testing"}


@pytest.mark.parametrize(
    "place", re.findall(r"`((?:plugins|[a-z]+)/[a-z_/.]*)`", PAGE.partition("## Where a change")[2])
)
def test_a_place_for_a_change_is_there(place: str) -> None:
    assert (ROOT / place).exists() or (ROOT / "qlmhook" / place).exists()
