"""The service's log: one JSON object a line, of requests and never of what is in a picture."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

log = logging.getLogger("tarsia.service")


def say(event: str, level: int = logging.INFO, error: BaseException | None = None, **facts: Any) -> None:
    """One line: `event` and `facts`, with the traceback of `error`."""
    if log.isEnabledFor(level):
        log.log(level, event, extra={"facts": facts}, exc_info=error)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{when}.{record.msecs:03.0f}Z", "level": record.levelname.lower()}
        line |= {"event": record.getMessage()} | getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # ASCII: nothing in a request can forge a line of its own


def configure(quiet: bool = False) -> None:
    """Send this process's log to standard error in that form; uvicorn's too, but for what is known without it.

    If `quiet`, warnings and errors alone.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    for name, least in (
        ("tarsia.service", logging.WARNING if quiet else logging.INFO),
        ("uvicorn", logging.ERROR),
        ("py.warnings", logging.INFO),
    ):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least)
    logging.captureWarnings(True)
