"""Structured logs: one JSON line per event, or text for a terminal (LOG_FORMAT=text). Always on stderr."""

import logging
import sys
from typing import Any, cast

import structlog

from stageline.settings import Settings


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get() -> structlog.typing.FilteringBoundLogger:
    """Return the logger."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
