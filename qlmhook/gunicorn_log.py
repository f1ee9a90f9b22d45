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
        for log in (self.error_log, self.access_log):
            log.addFilter(_redact_record)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), None
    return True
