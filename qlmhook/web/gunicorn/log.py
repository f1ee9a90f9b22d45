"""gunicorn's log without the password of a URL: it quotes request lines that it cannot read."""

import logging
import re
from typing import Any

from gunicorn.glogging import Logger

_PASSWORD = re.compile(r"(is_pwd=)[^&\s'\"]*(?: (?!HTTP/)[^&\s'\"]*)*", re.IGNORECASE)


def redact(text: str) -> str:
    """Blank out what stands behind is_pwd=."""
    return _PASSWORD.sub(r"\1***", text)


class RedactingLogger(Logger):  # type: ignore[misc]
    """Writes what gunicorn writes, with passwords blanked out."""

    def setup(self, cfg: Any) -> None:
        """Set the logs up; called by gunicorn."""
        super().setup(cfg)
        self.error_log.addFilter(_redact_record)
        self.access_log.addFilter(_redact_record)
        self.access_log.addFilter(_keep_in_one_line)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), None
    return True


def _keep_in_one_line(record: logging.LogRecord) -> bool:
    """A path may have a line break in it, and would forge a line of the log."""
    record.msg = "".join(char if char.isprintable() else "?" for char in str(record.msg))
    return True
