"""Logs: one shape for Wend's own lines and for those of the libraries, as JSON or for people.

Nothing that carries an address is let through: the libraries that would write envelopes and paths keep quiet.
"""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Literal

import structlog
from structlog.typing import Processor

Shape = Literal["json", "console"]

_QUIET = {
    "mail.log": logging.CRITICAL,  # aiosmtpd: envelopes
    "mail.debug": logging.CRITICAL,
    "uvicorn.access": logging.CRITICAL,  # paths hold tokens
    "uvicorn.error": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "asyncio": logging.WARNING,
    "alembic": logging.WARNING,
}

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure(shape: Shape, file: Path | None = None) -> None:
    """Send every log line to standard error; with ``file``, there, and only warnings to standard error."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_formatter(shape, colors=sys.stderr.isatty()))
    if file is not None:
        handlers[0].setLevel(logging.WARNING)
        kept = logging.handlers.RotatingFileHandler(file, maxBytes=10_000_000, backupCount=2, encoding="utf-8")
        kept.setFormatter(_formatter(shape, colors=False))
        handlers.append(kept)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _formatter(shape: Shape, colors: bool) -> logging.Formatter:
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if shape == "json":
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, pad_event_to=0))
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=last)
