"""What must hold once everything has come to rest: asked of the API, the bucket, the database and Redis.

Each check returns sentences: one for each thing that does not hold. `test_audit.py` breaks each of them.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from tests.chaos.deployment import STAGES, Deployment, until
from tests.chaos.found import Found, Outputs, everything
from tests.chaos.left_in_redis import DELETED, OUTCOMES, STATUS, left_in_redis
from tests.chaos.producers import Picture, Sent

ORIGINAL = "original/<id>.jpg"


def rest(on: Deployment, sent: Sent, seconds: float = 600.0) -> float:
    """Wait until every picture has ended, and nothing waits or moves; return how long that took, in seconds.

    Raises:
        AssertionError: it has not come to rest in that time; the text says what still moves.
    """
    began = time.monotonic()
    for picture in sent.pictures:
        if not picture.deleted:
            on.api.ended(picture.image_id, picture.run, max(1.0, began + seconds - time.monotonic()))
    nothing_moves(on, max(1.0, began + seconds - time.monotonic()))
    return time.monotonic() - began


def nothing_moves(on: Deployment, seconds: float = 120.0) -> None:
    """Wait until nothing waits or moves.

    Raises:
        AssertionError: something does after that many seconds; the text says what.
    """
    try:
        until(lambda: not moving(on), seconds, pause=0.5)
    except AssertionError:
        raise AssertionError(f"not at rest after {seconds:g} s: {moving(on)}") from None


def moving(on: Deployment) -> list[str]:
    """Say what waits or moves still."""
    answer, _ = on.api.insist("GET", "/queue-status")
    found = [f"{count} {name}" for name, count in answer.json["total"].items() if count]
    found += [f"{answer.json['unfinished']} unfinished"] if answer.json["unfinished"] else []
    outbox_events = on.queue.llen(OUTCOMES)
    return found + ([f"{outbox_events} outcomes"] if outbox_events else [])


def problems(on: Deployment, sent: Sent, undisturbed: Mapping[int, Outputs]) -> list[str]:
    """Everything that does not hold of the pictures that were answered 202, and of what is left beside them."""
    found, sentences = everything(on), []
    for picture in sent.pictures:
        of = found.get(picture.image_id, Found())
        sentences += _of_deleted(on, picture, of) if picture.deleted else _of_completed(on, picture, of, undisturbed)
    known = {picture.image_id for picture in sent.pictures}
    strangers = {each: found.get(each, Found()) for each in sorted({*found, *_statuses(on)} - known)}
    sentences += _of_strangers(on, sent.unanswered, strangers, undisturbed)
    there = {picture.image_id for picture in sent.pictures if not picture.deleted} | set(strangers)
    return [*sentences, *left_in_redis(on.queue, there)]


def _statuses(on: Deployment) -> set[str]:
    """The pictures that have a status in Redis, and are not deleted."""
    keys = list(on.queue.scan_iter(f"{STATUS}*", count=1000))
    return {key.removeprefix(STATUS) for key in keys if on.queue.hget(key, "status") not in (None, DELETED)}


def _of_completed(on: Deployment, picture: Picture, of: Found, undisturbed: Mapping[int, Outputs]) -> Iterator[str]:
    """One terminal result, on which status, results and catalogue agree; and outputs as of an undisturbed run."""
    status, (row, *_) = on.api.status(picture.image_id), of.rows.get("image_info") or [{}]
    if status["status"] != "completed":
        yield f"{picture}: its status is {status['status']}: {status.get('reason')}"
    for name in ("status", "kind", "run"):
        said = [status.get(name), of.results.get(name), row.get(name)]
        if any(each != said[0] for each in said):
            yield f"{picture}: its {name} is {said[0]} by its status, {said[1]} by its results, {said[2]} by its row"
    if not picture.run <= status["run"] <= picture.run + picture.lost_reruns:
        yield f"{picture}: its last run is {status['run']}"
    ended = {each["run"]: each["status"] for each in of.rows.get("tasks", [])}
    if ended != dict.fromkeys(range(1, status["run"] + 1), "completed"):
        yield f"{picture}: its runs have ended so: {ended}"
    states = {name: entry["state"] for name, entry in of.results.get("stages", {}).items()}
    if states != dict.fromkeys(("grab", *STAGES), "done"):
        yield f"{picture}: its stages are {states}"
    by_results, by_rows = _tried(of)
    if by_results != by_rows:
        differ = f"{by_results - by_rows}; by its rows: {by_rows - by_results}"
        yield f"{picture}: what was tried differs; tried by its results: {differ}"
    if others := {name for name, _ in of.outputs.items() ^ undisturbed[picture.number].items()}:
        yield f"{picture}: not as of an undisturbed run: {sorted(others)}"


def _tried(of: Found) -> tuple[Counter, Counter]:
    """What was tried by the results, and by the catalogue: run, stage, attempt, state and worker of each."""
    entries = [
        *of.results.get("history", []),
        *({**each, "stage": n} for n, each in of.results.get("stages", {}).items()),
    ]
    names = ("run", "stage", "attempt", "state", "worker")
    by_results, by_rows = (
        [tuple(map(each.get, names)) for each in all_] for all_ in (entries, of.rows["task_history"])
    )
    return Counter(by_results), Counter(by_rows)


def _of_deleted(on: Deployment, picture: Picture, of: Found) -> Iterator[str]:
    if of.objects or of.rows:
        yield f"{picture}: deleted, and there is {of}"
    if (found := on.api.status(picture.image_id)["status"]) != "unknown":
        yield f"{picture}: deleted, and its status is {found}"
    answer, _ = on.api.insist("GET", f"/image/{picture.image_id}?stage=original")
    if answer.status != 404:
        yield f"{picture}: deleted, and GET /image answers {answer.status}"


def _of_strangers(
    on: Deployment, unanswered: list[int], strangers: Mapping[str, Found], undisturbed: Mapping[int, Outputs]
) -> Iterator[str]:
    """Find pictures whose id no client knows: one for each upload without an answer, complete or only stored."""
    numbers = {outputs[ORIGINAL]: number for number, outputs in undisturbed.items()}
    left = Counter(numbers[undisturbed[number][ORIGINAL]] for number in unanswered)
    for image_id, of in strangers.items():
        number = numbers.get(of.objects.get(ORIGINAL, ""))
        if number is None or not left[number]:
            yield f"{image_id}: no upload without an answer is of it, and there is {of}"
            continue
        left[number] -= 1
        if of.outputs.keys() == {ORIGINAL} and on.api.status(image_id)["status"] == "unknown":
            continue  # the API died before it accepted it: `reconcile --queue` sends it on
        yield from _of_completed(on, Picture(image_id, number), of, undisturbed)
