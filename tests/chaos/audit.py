"""What must hold once everything has come to rest: asked of the door, the bucket, the database and Redis.

Each check returns sentences: one for each thing that does not hold.
"""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.deployment import BUCKET, Deployment, until
from tests.chaos.door import ENDED
from tests.chaos.producers import Picture, Sent

QUEUES = ("resize_queue", "grayscale_queue", "objectdetect_queue", "classify_queue", "tag_queue")
OUTCOMES = "stageline:outcomes"
# What differs from one way down the line to the next, in the documents that the stages leave.
OF_ONE_RUN = {
    *("image_id", "filename", "uploaded_at", "completed_at", "updated_at", "created_at", "attempt", "traceparent"),
    *("stages", "history", "run", "runs", "task_id", "batch_id", "finished_at", "processing_time"),
}
Outputs = Mapping[str, str]
"""A folder of the bucket → the SHA-256 of what one picture has there, of documents without what OF_ONE_RUN names."""


def rest(on: Deployment, sent: Sent, seconds: float = 600.0) -> float:
    """Wait until every picture has ended, and nothing waits or moves; return how long that took, in seconds.

    Raises:
        AssertionError: it has not come to rest in that time; the text says what still moves.
    """
    began = time.monotonic()
    for picture in sent.pictures:
        if not picture.deleted:
            on.door.ended(picture.image_id, picture.run, max(1.0, began + seconds - time.monotonic()))
    left = max(1.0, began + seconds - time.monotonic())
    try:
        until(lambda: not moving(on), left, pause=0.5)
    except AssertionError:
        raise AssertionError(f"not at rest after {seconds:g} s: {moving(on)}") from None
    return time.monotonic() - began


def moving(on: Deployment) -> list[str]:
    """Say what waits or moves still."""
    answer, _ = on.door.insist("GET", "/queue-status")
    found = [f"{count} {name}" for name, count in answer.json["total"].items() if count]
    found += [f"{answer.json['unfinished']} unfinished"] if answer.json["unfinished"] else []
    outcomes = on.queue.llen(OUTCOMES)
    return found + ([f"{outcomes} outcomes"] if outcomes else [])


def objects(on: Deployment) -> dict[str, dict[str, bytes]]:
    """Everything in the bucket: a picture's id → the folder → what is there."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    bucket = on.bucket
    for each in bucket.list_objects(BUCKET, recursive=True):
        folder, _, name = each.object_name.partition("/")
        answer = bucket.get_object(BUCKET, each.object_name)
        found[name.rpartition(".")[0]][folder] = answer.read()
        answer.close()
        answer.release_conn()
    return found


def outputs(kept: Mapping[str, bytes]) -> Outputs:
    """What a picture's run comes to, comparable with another run of the same file."""
    return {folder: _digest(data) for folder, data in kept.items()}


def _digest(data: bytes) -> str:
    if data.startswith(b"{"):
        data = json.dumps(_lasting(json.loads(data)), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def _lasting(value: Any) -> Any:
    """A document without what belongs to one run; keys of objects without the picture's id."""
    if isinstance(value, dict):
        return {name: _lasting(each) for name, each in value.items() if name not in OF_ONE_RUN}
    if isinstance(value, list):
        return [_lasting(each) for each in value]
    return value.partition("/")[0] if isinstance(value, str) and "/" in value else value


def problems(on: Deployment, sent: Sent, undisturbed: Mapping[int, Outputs]) -> list[str]:
    """Everything that does not hold of the pictures that were answered 202, and of what is left beside them."""
    kept, rows = objects(on), _rows(on)
    found = []
    for picture in sent.pictures:
        of = kept.get(picture.image_id, {}), rows.get(picture.image_id)
        found += _left_of_deleted(on, picture, *of) if picture.deleted else _ended(on, picture, *of)
        if not picture.deleted and outputs(of[0]) != undisturbed[picture.number]:
            differing = sorted(set(outputs(of[0]).items()) ^ set(undisturbed[picture.number].items()))
            found.append(f"{picture}: its outputs are not those of an undisturbed run: {differing}")
    known = {picture.image_id for picture in sent.pictures}
    found += list(_strangers(on, sent.unanswered, {*kept, *rows} - known, kept))
    return found + list(_left_in_redis(on))


def _rows(on: Deployment) -> dict[str, dict[str, Any]]:
    columns = ("image_key", "status", "run", "kind")
    return {
        row[0]: dict(zip(columns, row, strict=True)) for row in on.rows(f"SELECT {', '.join(columns)} FROM image_info")
    }


def _ended(on: Deployment, picture: Picture, kept: Mapping[str, bytes], row: dict[str, Any] | None) -> Iterator[str]:
    """One terminal result, on which the status, the results and the catalogue agree."""
    status = on.door.status(picture.image_id)
    results = json.loads(kept.get("results", b"{}"))
    runs = {status["run"], results.get("run", 1), (row or {}).get("run")}
    if status["status"] != "completed":
        yield f"{picture}: its status is {status['status']}: {status.get('reason')}"
    elif len(runs) != 1:
        yield f"{picture}: status, results and catalogue speak of different runs: {runs}"
    elif not picture.run <= status["run"] <= picture.run + picture.lost_reruns:
        yield f"{picture}: its last run is {status['run']}"
    if row is None or row["status"] != status["status"] or row["kind"] != status.get("kind"):
        yield f"{picture}: the catalogue says {row}, the status {status['status']}, {status.get('kind')}"
    states = {name: entry["state"] for name, entry in results.get("stages", {}).items()}
    if set(states.values()) != {"done"}:
        yield f"{picture}: its stages are {states}"


def _left_of_deleted(
    on: Deployment, picture: Picture, kept: Mapping[str, bytes], row: dict[str, Any] | None
) -> Iterator[str]:
    if kept:
        yield f"{picture}: deleted, and the bucket still has {sorted(kept)}"
    if row:
        yield f"{picture}: deleted, and the catalogue still has {row}"
    if (found := on.door.status(picture.image_id)["status"]) != "unknown":
        yield f"{picture}: deleted, and its status is {found}"


def _strangers(
    on: Deployment, unanswered: int, ids: set[str], kept: Mapping[str, Mapping[str, bytes]]
) -> Iterator[str]:
    """Pictures that nobody was told of: no more than there were uploads without an answer, and whole ones."""
    whole = {image_id for image_id in ids if on.door.status(image_id)["status"] in ENDED}
    alone = {image_id for image_id in ids - whole if set(kept.get(image_id, ())) == {"original"}}
    if len(whole) + len(alone) > unanswered:
        yield (
            f"{len(whole)} pictures and {len(alone)} originals that nobody was told of, of {unanswered} uploads that "
            f"may have been taken: {sorted(ids)}"
        )
    for image_id in ids - whole - alone:
        yield f"{image_id}: nobody knows of it, and there is left of it {sorted(kept.get(image_id, ()))}"


def _left_in_redis(on: Deployment) -> Iterator[str]:
    queue = on.queue
    for key in queue.scan_iter(count=1000):
        kind = queue.type(key)
        size = {"list": queue.llen, "zset": queue.zcard}.get(kind, lambda _: 0)(key)
        if size and key != "stageline:workers":
            yield f"Redis has {size} in {key}"
        if (
            kind in ("string", "hash")
            and key.startswith(("stageline:status:", "stageline:once:"))
            and queue.ttl(key) < 0
        ):
            yield f"Redis keeps {key} for ever"
