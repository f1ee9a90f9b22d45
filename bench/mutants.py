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
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

DOMAIN = (
    "terms",
    "rules",
    "order_names",
    "order_lines",
    "restrictions",
    "undoings",
    "purchases",
    "plan_changes",
    "grants",
    "entitlement",
    "facts",
)
MODULES = {
    **{f"qlmhook.domain.{name}": f"qlmhook/domain/{name}.py" for name in DOMAIN},
    "qlmhook_avangate.signature": "plugins/qlmhook_avangate/signature.py",
}
TESTS = (
    *(f"tests/domain/test_{name}.py" for name in (*DOMAIN, "taken_back") if name not in ("facts", "grants")),
    "tests/plugins/avangate/test_signature.py",
    "tests/domain/test_any_facts.py",
)
"""Those of a module's own name are run first, for the first failure ends a run."""

SHOWN = 150
"""Characters of what stood somewhere, or stands there now."""

WANTED = 90
"""Percent of the mutants that the tests must notice."""

PATIENCE = 20.0
"""Seconds of processor time for one run of the tests, which takes about two."""

PASSED = pytest.ExitCode.OK
_RESULTS: Mapping[int, str] = {
    PASSED: "survived",
    pytest.ExitCode.TESTS_FAILED: "killed",
    pytest.ExitCode.INTERRUPTED: "killed",  # the module could not even be imported
    -signal.SIGPROF: "timeout",
}
_NO_VERDICT = 70
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


def start(mutant: Mutant | None) -> ForkProcess:
    """Run the tests in a process of their own, which is ended when it takes too long."""
    process = _FORK.Process(target=_run_tests, args=(mutant,))
    process.start()
    return process


def _run_tests(mutant: Mutant | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    os.chdir(ROOT)
    sys.stdout = sys.stderr = io.StringIO()
    tests = list(TESTS)
    if mutant is not None:
        sys.meta_path.insert(0, _Instead(mutant))
        tests.sort(key=lambda path: not path.endswith(f"/test_{mutant.module.rpartition('.')[2]}.py"))
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=20,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")
    plain = ["-o", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider", "--noconftest", "--capture=no"]
    code: int = _NO_VERDICT
    try:
        code = pytest.main([*plain, "--assert=plain", "--exitfirst", *tests])
    finally:
        os._exit(code)


def outcomes(mutants: Iterable[Mutant], jobs: int) -> Iterator[tuple[Mutant, int]]:
    """Run the tests on each mutant, so many at a time; yield each with the code that its tests ended with."""
    left, running = iter(mutants), dict[ForkProcess, Mutant]()
    while True:
        while len(running) < jobs and (mutant := next(left, None)) is not None:
            running[start(mutant)] = mutant
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
    baseline = start(None)
    baseline.join()
    if baseline.exitcode != PASSED:
        raise click.ClickException("The tests fail without any change: mend that first.")
    every = [mutant for module in names or MODULES for mutant in mutants_of(module)]
    click.echo(f"{len(every)} mutants")
    counts: dict[str, Counter[str]] = {mutant.module: Counter() for mutant in every}
    for mutant, code in outcomes(every, jobs):
        result = _RESULTS.get(code)
        if result is None:
            raise click.ClickException(f"The tests ended with {code} instead of a verdict: {mutant}")
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
