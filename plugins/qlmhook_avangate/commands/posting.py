"""Posts signed fields to a running service, and looks at the receipt as 2Checkout does."""

import click

from qlmhook.vendors import FORM
from qlmhook.vendors.commands import QlmhookError
from qlmhook.vendors.commands import post as post_body
from qlmhook_avangate import simulation


def post(url: str, fields: simulation.Fields, key: str, algorithms: tuple[str, ...]) -> None:
    """Post signed fields and print what came back; raises QlmhookError unless the receipt is valid."""
    answer = post_body(url, simulation.signed_body(fields, key, algorithms), {"Content-Type": FORM})
    text = answer.body.strip()
    click.echo(f"{answer.status} {text}")
    problem = simulation.receipt_problem(text, fields, key, algorithms)
    if answer.status != 200 or problem:
        raise QlmhookError(f"2Checkout would not take this for a receipt. {problem}".rstrip())
    click.echo("The receipt is valid.")
