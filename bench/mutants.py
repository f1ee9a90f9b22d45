"""Which small changes of the pure modules the tests notice.

`python bench/mutants.py --help`; docs/mutation.md says what is changed, what the figures are and what is left.
"""

import importlib.util
import io
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import ModuleType

import click
import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parent.parent

MODULES = {
    **{
        f"qlmhook.{name}": f"qlmhook/{name}.py"
        for name in ("facts", "lines", "standing", "purchases", "entitlement", "rules", "terms")
    },
    "qlmhook_avangate.signature": "plugins/qlmhook_avangate/signature.py",
}
TESTS = ("tests/pure", "tests/avangate/test_signature.py")
SHOWN = 150
"""Characters of what stood somewhere, or stands there now."""

WANTED = 90
"""Percent of the mutants that the tests must notice."""

PASSED, TOO_LONG = 0, -signal.SIGALRM
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One module with one change."""

    module: str
    mutation: Mutation

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:SHOWN] for text in (self.mutation.before, self.mutation.after))
        return f"{MODULES[self.module]}:{self.mutation.line}: {before}  ->  {after}"


class _Instead(MetaPathFinder, Loader):
    """Lets one module be imported from another text than that of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for the mutated module alone."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed text."""
        exec(compile(self._mutant.mutation.text, MODULES[self._mutant.module], "exec"), vars(module))


def mutants_of(module: str) -> Iterator[Mutant]:
    """Return every mutant of a module."""
    for mutation in mutations((ROOT / MODULES[module]).read_text(encoding="utf-8")):
        yield Mutant(module=module, mutation=mutation)


def start(mutant: Mutant | None, seconds: int) -> ForkProcess:
    """Run the tests in a process of their own, which ends itself when it takes too long."""
    process = _FORK.Process(target=_run_tests, args=(mutant, seconds))
    process.start()
    return process


def _run_tests(mutant: Mutant | None, seconds: int) -> None:
    signal.alarm(seconds)
    os.chdir(ROOT)
    sys.stdout = sys.stderr = io.StringIO()
    if mutant is not None:
        sys.meta_path.insert(0, _Instead(mutant))
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=40,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")
    plain = [
        "-o",
        "addopts=",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "--capture=no",
        "--assert=plain",
    ]
    os._exit(pytest.main([*plain, "--exitfirst", *TESTS]))


def outcomes(mutants: Iterable[Mutant], jobs: int, seconds: int) -> Iterator[tuple[Mutant, int]]:
    """Run the tests on each mutant, so many at a time; yield each with the code that its tests ended with."""
    left, running = iter(mutants), dict[ForkProcess, Mutant]()
    while True:
        while len(running) < jobs and (mutant := next(left, None)) is not None:
            running[start(mutant, seconds)] = mutant
        if not running:
            return
        connection.wait([process.sentinel for process in running])
        for process in [process for process in running if process.exitcode is not None]:
            yield running.pop(process), process.exitcode or PASSED


@click.command()
@click.option("--module", "names", multiple=True, type=click.Choice(list(MODULES)), help="Only this module.")
@click.option("--jobs", default=2, show_default=True, help="How many mutants are tested at a time.")
def main(names: Sequence[str], jobs: int) -> None:
    """Change the pure modules, one small change at a time, and see whether a test fails.

    Exits with 1 when the tests notice less than 90 % of the changes.
    """
    started = time.monotonic()
    baseline = start(None, 600)
    baseline.join()
    if baseline.exitcode != PASSED:
        raise click.ClickException("The tests fail without any change: mend that first.")
    seconds = 10 + 10 * round(time.monotonic() - started)
    every = [mutant for module in names or MODULES for mutant in mutants_of(module)]
    click.echo(f"{len(every)} mutants; a run of the tests may take {seconds} s.")
    counts: dict[str, Counter[str]] = {mutant.module: Counter() for mutant in every}
    for mutant, code in outcomes(every, jobs, seconds):
        result = {PASSED: "survived", TOO_LONG: "timeout"}.get(code, "killed")
        counts[mutant.module][result] += 1
        if result != "killed":
            click.echo(f"{result}: {mutant}")
    for module, found in counts.items():
        click.echo(_row(module, found))
    total = sum(counts.values(), Counter[str]())
    click.echo(f"{_row('together', total)} in {time.monotonic() - started:.0f} s")
    if _percent(total) < WANTED:
        raise click.ClickException(f"Less than {WANTED} % were noticed.")


def _percent(found: Counter[str]) -> float:
    return 100 * (1 - found["survived"] / found.total())


def _row(name: str, found: Counter[str]) -> str:
    words = ", ".join(f"{found[word]} {word}" for word in ("killed", "timeout", "survived"))
    return f"{name}: {words}, {_percent(found):.1f} % noticed"


if __name__ == "__main__":
    main()
