"""Moments as text: one way for everything that Stageline writes, and a patient one to read what anybody wrote."""

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """A moment as ISO 8601, in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: object) -> datetime | None:
    """A moment of ISO 8601, in UTC also where it does not say its zone; None where the text is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
