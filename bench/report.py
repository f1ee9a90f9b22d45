"""What is printed, and what makes a run a failure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import click

from bench.client import Round
from bench.stored import Stored

SHOWN = 5
_NAME, _COLUMN = 34, 16


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything about one server: its rounds, processor time of its workers, and memory before and after."""

    name: str
    rounds: Sequence[Round]
    cpu: float
    memory_before: Sequence[float]
    memory_after: Sequence[float]

    @property
    def requests(self) -> int:
        """How many answers came in all rounds."""
        return sum(one.requests for one in self.rounds)

    @property
    def rate(self) -> float:
        """Answers per second over all rounds."""
        return self.requests / sum(one.seconds for one in self.rounds)

    @property
    def client_cpu(self) -> float:
        """Processor time of the clients in seconds."""
        return sum(sample.cpu for one in self.rounds for sample in one.samples)

    def latency(self, percent: int) -> float:
        """Return the latency in milliseconds that so many percent of the requests did not exceed."""
        latencies = [seconds for one in self.rounds for sample in one.samples for seconds in sample.latencies]
        return 1000 * statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


def show_table(service: Measured, bare: Measured) -> None:
    """Print both servers side by side, and the ratio."""
    both = (service, bare)
    click.echo()
    _row("", [one.name for one in both])
    _row("requests", [f"{one.requests:,}" for one in both])
    _row("requests per second", [f"{one.rate:,.0f}" for one in both])
    _row("  slowest and fastest round", [_range([a.rate for a in one.rounds], ",.0f") for one in both])
    _row("latency p50, ms", [f"{one.latency(50):.1f}" for one in both])
    _row("latency p99, ms", [f"{one.latency(99):.1f}" for one in both])
    _row("CPU of the workers per request, ms", [f"{1000 * one.cpu / one.requests:.2f}" for one in both])
    _row("CPU of the clients per request, ms", [f"{1000 * one.client_cpu / one.requests:.2f}" for one in both])
    _row("RSS of each worker, MiB", [_list(one.memory_after) for one in both])
    _row("  before the first round", [_list(one.memory_before) for one in both])
    ratios = [a.rate / b.rate for a, b in zip(service.rounds, bare.rounds, strict=True)]
    click.echo(
        f"Ratio:    {service.name} answers {service.rate / bare.rate:.3f} times as many requests as {bare.name} "
        f"(pairs of rounds: {_range(ratios, '.3f')})"
    )


def show_disk(rates: Sequence[float]) -> None:
    """Print how often a second the disk made a write durable, between the rounds."""
    click.echo(
        f"Disk:     {statistics.mean(rates):,.0f} fsync/s of 4 KiB (between the rounds: {_range(rates, ',.0f')})"
    )


def show_account(rounds: Sequence[Round], stored: Stored) -> list[str]:
    """Print the receipts and what the database holds; return what is wrong, a sentence each."""
    samples = [sample for one in rounds for sample in one.samples]
    receipted = {ref for sample in samples for ref in sample.receipted}
    problems = [problem for sample in samples for problem in sample.problems]
    lost = receipted - stored.fulfilled()
    unreceipted = set(stored.done) - receipted
    click.echo(
        f"Receipts: {len(receipted) + len(problems):,} answers checked, {len(problems):,} without a valid receipt"
    )
    click.echo(
        f"Orders:   {len(receipted):,} receipted; in the database {stored.done.total():,} done, "
        f"{stored.licensed.total():,} licensed, {stored.mails.total():,} with a mail ({stored.mails_sent:,} sent); "
        f"{len(lost):,} lost, {len(unreceipted):,} stored without a receipt"
    )
    wrong = [f"Order {ref} has a receipt, but not one license and one mail." for ref in sorted(lost)[:SHOWN]]
    return problems[:SHOWN] + wrong


def show_late(rounds: Sequence[Round]) -> None:
    """Say so when the clients had to sign messages while the clock ran."""
    late = sum(sample.late for one in rounds for sample in one.samples)
    if late:
        click.echo(f"Note:     {late:,} messages were signed while the clock ran, so the service is a little faster.")


def _row(name: str, values: Sequence[str]) -> None:
    click.echo(f"{name:<{_NAME}}" + "".join(f"{value:>{_COLUMN}}" for value in values))


def _range(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values) or "not known"
