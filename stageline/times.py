"""Moments as text: one way for everything that Stageline writes."""

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """A moment as ISO 8601, in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
