"""Updates ``expires_at`` of all pictures after a change of RETENTION_DAYS, and removes old tombstones."""

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, null, select, text, update

from stageline.catalogue.engine import writing
from stageline.catalogue.tables import deleted_images, image_info
from stageline.core import logs

BATCH_SIZE = 10_000
DUE = {
    "postgresql": "uploaded_at + make_interval(days => :days)",
    "sqlite": "datetime(uploaded_at, '+' || :days || ' days') || substr(uploaded_at, 20)",  # the rest: fractions
}
FORGET_TOMBSTONES = timedelta(days=30)  # by then no outbox event of a deleted picture is left


def bring_up_to_date(engine: Engine, retention_days: int) -> int:
    """Update every ``expires_at`` that differs; return the number of changed pictures.

    Raises:
        Unavailable: the database is away; some pictures may be updated.
    """
    due = text(DUE[engine.dialect.name]).bindparams(days=retention_days) if retention_days else null()
    differs = image_info.c.expires_at.is_distinct_from(due)
    some_keys = select(image_info.c.image_key).where(differs).limit(BATCH_SIZE)
    statement = update(image_info).where(image_info.c.image_key.in_(some_keys)).values(expires_at=due)
    changed, some = 0, 1
    while some:
        with writing(engine) as connection:
            some = connection.execute(statement).rowcount
        changed += some
    if changed:
        logs.get().info("expiry changed", pictures=changed, retention_days=retention_days)
    return changed


def forget_tombstones(engine: Engine, now: datetime) -> None:
    """Remove the tombstones of pictures deleted long ago.

    Raises:
        Unavailable: the database is away.
    """
    with writing(engine) as connection:
        connection.execute(delete(deleted_images).where(deleted_images.c.deleted_at < now - FORGET_TOMBSTONES))
