"""Structured logs: one JSON object a line on stderr, redacted. Nothing global is configured by importing this."""

import logging
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from zaehlwerk_bridge.redaction import Redactor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def make_logger(
    redactor: Redactor, level: str = "info", stream: TextIO | None = None
) -> FilteringBoundLogger:
    """Return a logger that writes JSON lines of `level` and above to `stream` (default: stderr).

    Texts are redacted after exceptions were turned into text, so that a traceback cannot carry a key either.
    """

    def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
        redacted: EventDict = redactor.value(event)
        return redacted

    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(file=stream if stream is not None else sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return logger


def silent_logger() -> FilteringBoundLogger:
    """Return a logger that writes nothing, for those who run the bridge inside another program."""
    nothing = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the logger lives
    return make_logger(Redactor(), "error", nothing)
