"""Reads the catalogue. Every method raises Unavailable when the database is away."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Engine, Select, func, literal, select, tuple_

from stageline.catalogue import clean, search
from stageline.catalogue import cursor as cursors
from stageline.catalogue import engine as engines
from stageline.catalogue.engine import reading
from stageline.catalogue.tables import TEXT, UtcTime, faces, image_info, prediction_results, task_history, tasks
from stageline.core.timestamps import iso
from stageline.pipeline.filenames import lookup_key, name_fields
from stageline.pipeline.results import MOVING

MAX_PAGE_SIZE = 200  # pictures on a page
SHOWN = ("filename", "status", "kind", "width", "height", "file_size", "sha256", "uploaded_at", "updated_at",
    "completed_at", "expires_at", "batch_id", "run", "reason", "failed_stage", "original_path")  # fmt: skip
Place = tuple[ColumnElement[datetime], ColumnElement[str]]


@dataclass(frozen=True)
class Filter:
    """A filter of pictures; None means any. ``since`` is inclusive and ``until`` exclusive, by the time of upload."""

    status: str | None = None
    kind: str | None = None
    category: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    filename: str | None = None


@dataclass(frozen=True)
class Page:
    """Some pictures, newest first; ``next_cursor`` is None on the last page."""

    images: list[dict[str, Any]]
    next_cursor: str | None


class Catalogue:
    """The catalogue for readers; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def check(self) -> None:
        """Reach the database."""
        engines.check(self.engine)

    def pictures(self, wanted: Filter, cursor: str | None = None, limit: int = 50) -> Page:
        """Return a page of pictures. New pictures do not change later pages.

        Raises:
            BadCursor: the cursor comes from no page with this filter.
            Unavailable: the database is away.
        """
        after = cursors.decode(cursor, repr(wanted)) if cursor else None
        most = max(1, min(limit, MAX_PAGE_SIZE))
        with reading(self.engine) as connection:
            found = connection.execute(page_query(wanted, after, most + 1)).mappings().all()
            images = _with_findings(connection, found[:most])
        last = found[most - 1] if len(found) > most else None
        place = cursors.encode(last["uploaded_at"], last["image_key"], repr(wanted)) if last else None
        return Page(images, place)

    def picture(self, image_id: str) -> dict[str, Any] | None:
        """Return a picture, as on a page; None where the id is unknown."""
        return self._one(select(image_info).where(image_info.c.image_key == clean.text(image_id)))

    def newest_named(self, filename: str) -> dict[str, Any] | None:
        """Return the newest picture with that name, as on a page."""
        return self._one(page_query(Filter(filename=filename), None, 1))

    def by_sha256(self, sha256: str) -> dict[str, Any] | None:
        """Return the newest picture with that content, as on a page, without failed ones."""
        same = select(image_info).where(
            image_info.c.sha256 == clean.text(sha256.lower()), image_info.c.status != "failed"
        )
        return self._one(same.order_by(image_info.c.uploaded_at.desc(), image_info.c.image_key.desc()).limit(1))

    def task(self, image_id: str, run: int) -> dict[str, Any] | None:
        """Return one run of a picture with all its attempts; None where it is unknown."""
        with reading(self.engine) as connection:
            key = clean.text(image_id)
            query = select(tasks).where(tasks.c.image_key == key, tasks.c.run == run)
            task = connection.execute(query).mappings().one_or_none()
            tried = select(task_history).where(task_history.c.image_key == key, task_history.c.run == run)
            history = connection.execute(tried.order_by(task_history.c.position)).mappings().all() if task else []
        if task is None:
            return None
        names = ("stage", "attempt", "state", "worker", "started", "finished", "ms", "error")
        attempts = [_jsonable({name: each[name] for name in names}) for each in history]
        moments = {name: task[name] for name in ("created_at", "finished_at", "reason")}
        found = {"task_id": f"{image_id}.{run}", "image_id": image_id, "run": run, "from": task["from_stage"]}
        return {**found, "status": task["status"], **_jsonable(moments), "history": attempts}

    def batch(self, batch_id: str) -> dict[str, Any] | None:
        """Return the accepted pictures of a batch; None where there are none."""
        names = ("image_key", "filename", "filename_guessed", "status", "uploaded_at")
        columns = [image_info.c[name] for name in names]
        query = select(*columns).where(image_info.c.batch_id == clean.text(batch_id))
        with reading(self.engine) as connection:
            found = connection.execute(query.order_by(image_info.c.uploaded_at, image_info.c.image_key)).all()
        if not found:
            return None
        counts = dict(Counter(row.status for row in found))
        state = {"batch_id": batch_id, "created_at": iso(found[0].uploaded_at), "total": len(found), "counts": counts}
        files = [
            {"image_id": row.image_key, **name_fields(row.filename, row.filename_guessed), "status": row.status}
            for row in found
        ]
        return {**state, "done": not any(counts.get(status) for status in MOVING), "files": files}

    def counts(self) -> dict[str, int]:
        """Count the pictures by status."""
        with reading(self.engine) as connection:
            query = select(image_info.c.status, func.count()).group_by(image_info.c.status)
            return {status: count for status, count in connection.execute(query)}  # noqa: C416 - rows are no pairs

    def expired(self, now: datetime, limit: int, after: tuple[datetime, str] | None = None) -> list[dict[str, Any]]:
        """List expired pictures, the oldest first, after the one with ``after``'s expires_at and image_key.

        Pictures that still move are among them: only Redis has their current status.
        """
        place = (image_info.c.expires_at, image_info.c.image_key)
        query = select(image_info).where(image_info.c.expires_at <= now)
        if after is not None:
            query = query.where(tuple_(*place) > tuple_(literal(after[0], UtcTime()), literal(after[1], TEXT)))
        with reading(self.engine) as connection:
            return [dict(row) for row in connection.execute(query.order_by(*place).limit(limit)).mappings()]

    def rows(self, image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the rows of these pictures, by their ids."""
        query = select(image_info).where(image_info.c.image_key.in_(image_ids))
        with reading(self.engine) as connection:
            return {row["image_key"]: dict(row) for row in connection.execute(query).mappings()}

    def nearest_faces(
        self, embedding: NDArray[np.float32], limit: int, model: str | None = None
    ) -> list[dict[str, Any]]:
        """List the most similar faces, nearest first: their picture, position, box and cosine similarity.

        With ``model`` (name@version) only its embeddings count: those of two models cannot be compared.
        """
        with reading(self.engine) as connection:
            return search.nearest(connection, embedding, limit, model)

    def _one(self, query: Select[Any]) -> dict[str, Any] | None:
        with reading(self.engine) as connection:
            found = connection.execute(query).mappings().first()
            return _with_findings(connection, [found])[0] if found else None


def page_query(wanted: Filter, after: tuple[datetime, str] | None, limit: int) -> Select[Any]:
    """Return the query of a page.

    A category finds the pictures that have it as a name, not those that have it as a candidate. With a category alone,
    the query walks that category's index, which has the time of each picture. With more filters, the database chooses
    an index by the number of rows that it expects.
    """
    query = select(image_info)
    place: Place = (image_info.c.uploaded_at, image_info.c.image_key)
    equal = {name: clean.text(value) for name in ("status", "kind") if (value := getattr(wanted, name)) is not None}
    if wanted.filename is not None:
        equal["filename_key"] = lookup_key(clean.text(wanted.filename, len(wanted.filename)) or "")
    if wanted.category is not None and not equal:
        named = select(prediction_results.c.uploaded_at, prediction_results.c.image_key).distinct()
        named = named.where(prediction_results.c.named, prediction_results.c.category == clean.text(wanted.category))
        of = prediction_results.c.uploaded_at, prediction_results.c.image_key
        found = _within(named, of, wanted, after).order_by(*(column.desc() for column in of)).subquery()
        query = query.join(found, found.c.image_key == image_info.c.image_key)
        place = (found.c.uploaded_at, found.c.image_key)
    else:
        query = _within(query, place, wanted, after)
    if wanted.category is not None and equal:
        named = select(prediction_results.c.image_key).where(prediction_results.c.image_key == image_info.c.image_key)
        named = named.where(prediction_results.c.named, prediction_results.c.category == clean.text(wanted.category))
        query = query.where(named.exists())
    for name, value in equal.items():
        query = query.where(image_info.c[name] == value)  # in the form in which it was written
    return query.order_by(*(column.desc() for column in place)).limit(limit)


def _within(query: Select[Any], place: Place, wanted: Filter, after: tuple[datetime, str] | None) -> Select[Any]:
    if wanted.since is not None:
        query = query.where(place[0] >= wanted.since)
    if wanted.until is not None:
        query = query.where(place[0] < wanted.until)
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(literal(after[0], UtcTime()), literal(after[1], TEXT)))
    return query


def _with_findings(connection: Connection, found: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return pictures with the best confidence of each named category, and their number of faces.

    ``objects`` counts the objects with the category as the detector's label: 0 for a label of the classifier.
    """
    pictures = list(found)
    keys = [picture["image_key"] for picture in pictures]
    categories: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
    best = func.max(prediction_results.c.confidence).label("confidence")
    objects = func.count().filter(prediction_results.c.task == "object-detection")
    query = select(prediction_results.c.image_key, prediction_results.c.category, best, objects)
    query = query.where(prediction_results.c.image_key.in_(keys), prediction_results.c.named)
    query = query.group_by("image_key", "category")
    for key, category, confidence, count in connection.execute(query) if keys else ():
        categories[key].append({"category": category, "confidence": confidence, "objects": count})
    counted = select(faces.c.image_key, func.count()).where(faces.c.image_key.in_(keys)).group_by("image_key")
    counts = {key: count for key, count in connection.execute(counted)} if keys else {}  # noqa: C416 - rows are no pairs
    for each in categories.values():
        each.sort(key=lambda found: (-found["confidence"], found["category"]))
    return [
        {**_picture(picture), "categories": categories[key], "faces": counts.get(key, 0)}
        for key, picture in zip(keys, pictures, strict=True)
    ]


def _picture(row: Mapping[Any, Any]) -> dict[str, Any]:
    known = {**row, "file_size": row["bytes"]}
    shown = _jsonable({name: known[name] for name in SHOWN})
    return {"image_id": row["image_key"], **shown, **name_fields(row["filename"], row["filename_guessed"])}


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in values.items()}
