"""The state table as the documentation shows it."""

from qlmhook.domain.rules import RULES


def as_markdown() -> str:
    """A row for what each event does, and one more where the operator has a choice."""
    lines = ["| event | setting | what it does |", "|---|---|---|"]
    for kind, rule in RULES.items():
        if rule.otherwise is None:
            lines.append(f"| {kind.value} | | {rule.effect.value} |")
        else:
            lines.append(f"| {kind.value} | {rule.setting} = true | {rule.effect.value} |")
            lines.append(f"| {kind.value} | {rule.setting} = false | {rule.otherwise.value} |")
    return "\n".join(lines) + "\n"
