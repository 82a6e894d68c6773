"""Structured logs: one JSON line per event, or text for a terminal (LOG_FORMAT=text). Always on stderr."""

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog

from stageline.core.settings import Settings


def configure(settings: Settings, service: str) -> None:
    """Set up logging for this process; ``service`` stands on every line."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=12)
    )
    structlog.configure(
        processors=[
            lambda _logger, _name, event: {"service": service, **event},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        # One write a line: threads do not interleave.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[FromLibraries()], level=logging.WARNING, force=True)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a retry that was in vain we tell ourselves
    logging.captureWarnings(capture=True)


class _Stderr:
    """Where lines go. What cannot be written is lost and fails nothing: it may be a file on a disk that is full."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the latter where it is closed
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class FromLibraries(logging.Handler):
    """What libraries log in Python's own way, as lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it as an event of ours."""
        try:
            level = min((record.levelno // 10) * 10, logging.CRITICAL)
            get().log(max(level, logging.DEBUG), record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - as every handler: a line that cannot be written stops nothing
            self.handleError(record)


def get() -> structlog.typing.FilteringBoundLogger:
    """Return the logger."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
