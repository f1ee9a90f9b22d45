"""What looks wrong about a property that can be used all the same."""

import difflib
from collections.abc import Mapping

from qlmhook.catalog.arguments import ARGUMENTS, CREDENTIALS


def warnings_about(arguments: Mapping[str, str]) -> list[str]:
    """Return a sentence for each argument that has no effect: credentials, and names that are not known."""
    return [
        *(
            f"{name} does not belong into a property; it was left out."
            for name in sorted(CREDENTIALS & arguments.keys())
        ),
        *(
            f"{name} is not known; it is kept and has no effect. {_nearest(name)}".rstrip()
            for name in sorted(arguments.keys() - CREDENTIALS - ARGUMENTS.keys())
        ),
    ]


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, ARGUMENTS, n=1)
    return f"Is {close[0]} meant?" if close else ""
