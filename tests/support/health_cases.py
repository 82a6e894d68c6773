"""Asking a line for its health, for tests."""

from collections.abc import Callable
from typing import Any

from tests.support.page_helpers import ask
from tests.support.running_line import RunningLine

StartLine = Callable[..., RunningLine]


def health(line: RunningLine) -> Any:
    """What a line says of itself."""
    return ask(line, "/health")


def is_ready(line: RunningLine) -> bool:
    """Whether it says that all is well."""
    report = health(line)
    return report["status"] == "ready" and report["problems"] == []
