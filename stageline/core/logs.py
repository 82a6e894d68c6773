"""Structured logs on stderr: one JSON line per event, or text for a terminal (LOG_FORMAT=text)."""

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog

from stageline.core.settings import Settings


def configure(settings: Settings | None, service: str) -> None:
    """Set up logging for this process; every line names the ``service``.

    Before the settings are read they are None: structlog's own default would write to stdout.
    """
    level, form = (settings.log_level, settings.log_format) if settings else ("INFO", "json")
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
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
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        # One write per line, so that the lines of threads do not interleave.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[FromLibraries()], level=logging.WARNING, force=True)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # Stageline logs failed retries itself
    logging.captureWarnings(capture=True)


class _Stderr:
    """The log's output. A line that cannot be written, as on a full disk, is lost, and raises no error."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError when stderr is closed
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class FromLibraries(logging.Handler):
    """Writes the records of libraries, from Python's logging, as structured lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as an event."""
        try:
            level = min((record.levelno // 10) * 10, logging.CRITICAL)
            get().log(max(level, logging.DEBUG), record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - as in every handler, a line that cannot be written stops nothing
            self.handleError(record)


def get() -> structlog.typing.FilteringBoundLogger:
    """Return the logger."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
