"""Pages of pictures: rows of the catalogue, with the current status from Redis of pictures that still move."""

import contextlib
from typing import Any

from grab_service.api.problems import BadParameters, FieldError
from grab_service.api.schemas.pictures import ImagesQuery
from grab_service.images.lookup import DELETED
from grab_service.line.intake import Intake
from stageline.broker import status
from stageline.catalogue.cursor import BadCursor
from stageline.catalogue.reader import Filter
from stageline.core.errors import Unavailable
from stageline.pipeline.results import MOVING

FRESH = ("status", "kind", "run", "reason", "failed_stage", "updated_at")
ENDED = ("completed", "failed")
MAY_MOVE = (*MOVING, "waiting")


def page(intake: Intake, query: ImagesQuery) -> dict[str, Any]:
    """Return a page of pictures, newest first.

    Raises:
        BadParameters: the cursor comes from no page.
        Unavailable: the catalogue is away.
    """
    wanted = Filter(query.status, query.kind, query.category, query.since, query.until, query.filename)
    try:
        found = intake.catalogue.pictures(wanted, query.cursor, query.limit)
    except BadCursor as error:
        raise BadParameters([FieldError("cursor", str(error))]) from None
    images = [_shown(row) for row in _as_they_stand(intake, found.images) if query.status in (None, row["status"])]
    return {"images": images, "next_cursor": found.next_cursor}


def _as_they_stand(intake: Intake, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with newer fields from Redis; while Redis is away they stay as they are."""
    moving = [row["image_id"] for row in rows if row["status"] in MAY_MOVE]
    live: dict[str, dict[str, Any] | None] = {}
    with contextlib.suppress(Unavailable):
        live = dict(zip(moving, status.read_all(intake.client, moving), strict=True)) if moving else {}
    updated = (row | _fresh(live.get(row["image_id"])) for row in rows)
    return [row for row in updated if row["status"] != DELETED]


def _fresh(live: dict[str, Any] | None) -> dict[str, Any]:
    if not live:
        return {}
    fresh = {name: live[name] for name in FRESH if live.get(name) not in (None, "")}
    return fresh | ({"completed_at": fresh["updated_at"]} if fresh.get("status") in ENDED else {})


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    image_id = row["image_id"]
    tagged = f"/image/{image_id}?stage=tagged" if row["status"] == "completed" else None
    links = {"status": f"/status/{image_id}", "original": f"/image/{image_id}", "tagged": tagged}
    row.pop("original_path", None)
    return {**row, "links": links}
