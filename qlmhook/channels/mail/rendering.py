"""Mail templates: files with QLM's %Variables%, an HTML and a text part, the subject in the template.

Source: QLM, "Which variables are available in an email template", and its PayPal page for %ItemTemplate%.
"""

import html
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from qlmhook.errors import DeliveryFailed

logger = logging.getLogger(__name__)

Variables = Mapping[str, str]
Escape = Callable[[str], str]

_VARIABLE = re.compile(r"%([A-Za-z][A-Za-z0-9_]{0,63})%")
_BLOCK = re.compile(r"%ItemTemplate%[ \t]*\r?\n?(.*?)%ItemTemplate%[ \t]*\r?\n?", re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_SUBJECT = re.compile(r"Subject:[ \t]*(?P<subject>[^\r\n]*)\r?\n(?:\r?\n)?")


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A mail's subject and its parts; a part that has no template is empty."""

    subject: str
    text: str
    html: str


class Templates:
    """Finds `<name>.html` and `<name>.txt`, in the operator's folder before the built-in ones."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def exists(self, name: str) -> bool:
        """Tell whether there is a template of this name."""
        return any(source is not None for source in self._find(name))

    def render(self, name: str, items: Sequence[Variables], *, subject: str = "") -> Rendered:
        """Fill a template in; outside an %ItemTemplate% block the first item counts, with the keys of all.

        `subject` replaces the template's. Values are put in once, as text: whatever a customer typed, it is no
        markup, no variable and no header. Raises DeliveryFailed when there is no such template.
        """
        html_source, text_source = self._find(name)
        if html_source is None and text_source is None:
            raise DeliveryFailed(f"There is no mail template {name!r}; put {name}.html or {name}.txt into the folder.")
        text_subject, text_body = _split_subject(text_source or "")
        title = _TITLE.search(html_source or "")
        subject = subject or text_subject or (html.unescape(title[1].strip()) if title else name)
        return Rendered(
            subject=one_line(_fill(subject, items, escape=one_line, join=", ")),
            text=_fill(text_body, items, escape=one_line, join="\n"),
            html=_fill(html_source or "", items, escape=lambda value: html.escape(one_line(value)), join="<br>"),
        )

    def _find(self, name: str) -> tuple[str | None, str | None]:
        """Return the HTML and the text source, both from the same place."""
        places: list[Traversable] = [self._folder] if self._folder is not None else []
        for place in [*places, files("qlmhook.channels.mail") / "templates"]:
            sources = _read(place / f"{name}.html"), _read(place / f"{name}.txt")
            if sources != (None, None):
                return sources
        return None, None


def _read(file: Traversable) -> str | None:
    if not file.is_file():
        return None
    try:
        return file.read_text(encoding="utf-8").removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryFailed(f"The mail template {file.name} cannot be read: {error}.") from error


def _split_subject(source: str) -> tuple[str, str]:
    match = _SUBJECT.match(source)
    return (match["subject"].strip(), source[match.end() :]) if match else ("", source)


def _fill(source: str, items: Sequence[Variables], *, escape: Escape, join: str) -> str:
    """Put the values in; each is inserted once and never looked at again."""
    every = {**items[0], "ActivationKey": "\0".join(item["ActivationKey"] for item in items)}
    parts = []
    end = 0
    for block in _BLOCK.finditer(source):
        parts.append(_substitute(source[end : block.start()], every, escape, join))
        parts.extend(_substitute(block[1], item, escape, join) for item in items)
        end = block.end()
    return "".join([*parts, _substitute(source[end:], every, escape, join)])


def _substitute(source: str, values: Variables, escape: Escape, join: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            logger.warning("The mail template has an unknown variable %s", match[0])
            return match[0]
        return join.join(escape(part) for part in values[match[1]].split("\0"))

    return _VARIABLE.sub(value, source)


def one_line(value: str, *, longest: int | None = None) -> str:
    """Return a text as one printable line, of at most so many characters, whatever is in it."""
    line = "".join(char if char.isprintable() else " " for char in value).strip()
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"
