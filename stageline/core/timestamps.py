"""Times as text: one format for all that Stageline writes, and a lenient reader for times of other programs."""

from datetime import UTC, datetime

from stageline.core import clock


def now() -> str:
    """Return the line's time in UTC, as ISO 8601 with milliseconds."""
    return iso(clock.now())


def iso(moment: datetime) -> str:
    """Return a time in UTC, as ISO 8601 with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: object) -> datetime | None:
    """Parse an ISO 8601 time, in UTC when it has no zone; return None for any other text."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
