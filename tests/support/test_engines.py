"""No test is lost by running each on another engine."""

from itertools import chain, combinations

import pytest

from tests.support.engines import ENGINES, engines_for

SOME = list(chain.from_iterable(combinations(ENGINES, count) for count in range(1, len(ENGINES) + 1)))
"""Each choice of engines but none."""

FOUND = [found for found in SOME if "sqlite" in found]
TESTS = [f"tests/test_orders.py::test_{number}[]" for number in range(20)]

marks = pytest.mark.parametrize("marks", [{}, {"sqlite": True}, {"every": True}, {"sqlite": True, "every": True}])


@marks
def test_a_test_without_an_engine_is_kept(marks: dict[str, bool]) -> None:
    assert [engines_for(test, [""], found, **marks) for found in FOUND for test in TESTS] == [{""}] * (
        len(FOUND) * len(TESTS)
    )


@marks
def test_a_test_is_kept_on_some_engine_of_its_own(marks: dict[str, bool]) -> None:
    """Also on one that is not found, where it is skipped and told of."""
    kept = {
        (test, can, found): engines_for(test, can, found, **marks) for test in TESTS for can in SOME for found in FOUND
    }

    assert [case for case, engines in kept.items() if not engines or not engines <= set(case[1])] == []


def test_what_runs_on_one_engine_runs_on_one_that_is_found() -> None:
    kept = {found: {engine for test in TESTS for engine in engines_for(test, ENGINES, found)} for found in FOUND}

    assert kept == {found: set(found) for found in FOUND}


def test_what_every_engine_has_to_prove_is_for_all_of_them() -> None:
    assert engines_for("test", ENGINES, ["sqlite"], every=True) == set(ENGINES)


def test_what_is_for_sqlite_runs_on_it_alone() -> None:
    assert {*chain(*(engines_for(test, ENGINES, ENGINES, sqlite=True) for test in TESTS))} == {"sqlite"}
