"""Uploads of pictures and batches."""

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from grab_service.api.answers import answer
from grab_service.api.problems import FORM, Gone, NoPlace, WrongType, problem
from grab_service.api.schemas import uploads as schemas
from grab_service.api.schemas.common import responses
from grab_service.http.validation import checked
from grab_service.images.lookup import lookup
from grab_service.line.intake import Taken, Wanted, intake
from grab_service.streaming import event_streams
from grab_service.streaming.hub import Watcher, watch
from grab_service.uploads import batches, forms
from grab_service.uploads.idempotency import Claim, fingerprint
from grab_service.uploads.limits import allow_more_time, turn
from stageline.core import metrics
from stageline.pipeline import filenames
from stageline.pipeline.first_message import make_id, traceparent

routes = APIBlueprint("uploads", __name__, abp_tags=[Tag(name="uploads", description="Taking pictures in.")])
LINES = "application/x-ndjson"
OK = {
    "description": "with wait: the picture's status, at its end; with dedupe: the one that was there already; "
    "with follow: each stage as it happens, a JSON object a line",
    "content": {
        "application/json": {"schema": {"anyOf": [{"$ref": "#/components/schemas/PictureStatus"},
                                                  {"$ref": "#/components/schemas/Accepted"}]}},
        LINES: {"schema": {"type": "string"}},
    },
}  # fmt: skip
REPLAYED = {"Idempotent-Replayed": "true"}


@routes.after_request
def _count(made: Response) -> Response:
    if request.endpoint == "uploads.upload":
        metrics.UPLOADS.labels(str(made.status_code)).inc()
    return made


@routes.post(
    "/upload",
    responses=responses({200: OK, 202: schemas.Accepted}, 400, 404, 408, 409, 410, 413, 415, 429),
    openapi_extensions=schemas.UPLOAD_BODY,
)
@checked
def upload(query: schemas.UploadQuery, header: schemas.Once) -> Response:
    """Take a picture.

    It is the multipart field `image` or `file`, or the raw body. Once it is answered, it is not lost.
    """
    intake().refuse_when_full()
    new_id = make_id()
    with ExitStack() as stack:
        with turn():
            sent = forms.picture()
            name, data = filenames.safe_filename(sent.filename), sent.data or b""
            claim = _claimed(header.idempotency_key, new_id, name, data)
            if claim and claim.replay:
                return _replayed(claim.replay)
            stack.enter_context(claim.held() if claim else nullcontext())
            image_id = claim.image_id if claim else new_id
            watcher, leaving = _watcher(query, image_id), stack.enter_context(ExitStack())
            if watcher:
                leaving.callback(watcher.leave)
            wanted = Wanted(query.process, query.dedupe, image_id=image_id, again=image_id != new_id,
                            filename_guessed=sent.guessed)  # fmt: skip
            taken = intake().accept(data, name, traceparent(request.headers.get("traceparent")), wanted)
        del data, sent
        if query.follow and watcher:
            leaving.pop_all()  # the answer itself leaves when it ends
            return _followed(watcher, taken, query.wait or event_streams.FOLLOW_SECONDS, claim)
        if claim and watcher and query.wait:  # a client that lost the connection and repeats the request does not wait
            body, status = _result(taken, None, 0)
            claim.remember({"status": status, "image_id": taken.image_id, "body": body})
        body, status = _result(taken, watcher, query.wait)
        if claim:
            claim.remember({"status": status, "image_id": taken.image_id, "body": None if "stages" in body else body})
    return answer(body, status, Location=_where(taken.image_id))


@routes.post(
    "/batch-upload",
    responses=responses({202: schemas.BatchAccepted}, 400, 408, 409, 410, 413, 415, 429),
    openapi_extensions=schemas.BATCH_BODY,
)
@checked
def batch_upload(query: schemas.BatchQuery, header: schemas.Once) -> Response:
    """Take many pictures, of which a bad one harms no other.

    They are files of a form, in any number of fields `image`, `file`, `images` or `files`: at most 1,000, and 2 GiB.
    """
    if request.mimetype != FORM:
        raise WrongType(f"a batch is sent as a form ({FORM}), as by curl -F image=@a.jpg -F image=@b.jpg")
    request.max_content_length = batches.MAX_BYTES
    intake().refuse_when_full()
    new_id = make_id()
    claim = _claimed(header.idempotency_key, new_id)
    batch_id = claim.image_id if claim else new_id
    trace = traceparent(request.headers.get("traceparent"))
    wanted = Wanted(query.process, query.dedupe, batch_id, again=batch_id != new_id)
    batch = batches.UploadBatch(intake(), wanted, trace, claim)
    if claim and claim.replay:
        return _replayed_batch(batch, claim)
    with claim.held() if claim else nullcontext():
        try:
            for sent in _files():
                with turn():
                    batch.take(sent)
        except Exception as error:  # noqa: BLE001 - raised again unless it is about the form
            batch.break_off(error)
        finally:
            if batch.files:
                batch.keep()
        if claim and batch.is_whole:
            claim.remember({"sent": batch.digest.hexdigest()})
        elif claim:
            claim.leave()
    if batch.refusal:
        return problem(batch.refusal["status"], batch.refusal["detail"])
    return answer(batch.answer(), 202, Location=f"/batch/{batch_id}")


def _files() -> Iterator[forms.Sent]:
    """Yield the files of the form; each has the time of one upload."""
    for sent in forms.files(batches.FIELDS, most_parts=None):
        allow_more_time()
        yield sent


def _claimed(key: str | None, new_id: str, *sent: str | bytes) -> Claim | None:
    if key is None:
        return None
    asked = [f"{name}={value}" for name, value in sorted(request.args.items())]
    return Claim(intake(), key, fingerprint(request.method, request.path, "&".join(asked), *sent), new_id)


def _replayed(kept: dict[str, Any]) -> Response:
    """Repeat the answer; in place of a final status, give the current one."""
    image_id = kept["image_id"]
    if lookup().by_id(image_id) is None:
        raise Gone(f"this was done, as {image_id}, and the picture was deleted since; to send it again take a new key")
    body = kept["body"] or lookup().status(image_id)
    return answer(body, kept["status"], Location=_where(image_id), **REPLAYED)


def _replayed_batch(batch: batches.UploadBatch, claim: Claim) -> Response:
    """Repeat the answer to the same files; they are read, but not accepted again."""
    for sent in _files():
        batch.look_at(sent)
    if (claim.replay or {}).get("sent") != batch.digest.hexdigest():
        claim.refuse_other()
    batch.recall()
    return answer(batch.answer(), 202, Location=f"/batch/{batch.batch_id}", **REPLAYED)


def _watcher(query: schemas.UploadQuery, image_id: str) -> Watcher | None:
    """Begin to watch before the picture moves; None without a place for a request that only waits: it gets a 202."""
    if not (query.follow or query.wait):
        return None
    try:
        return watch(image_id)
    except NoPlace:
        if query.follow:
            raise
        return None


def _result(taken: Taken, watcher: Watcher | None, seconds: int) -> tuple[dict[str, Any], int]:
    if watcher and seconds:
        watcher.image_id = taken.image_id
        ended = event_streams.wait(watcher, lookup(), seconds)
        if ended is not None:
            return ended, 200
    return _accepted(taken), 200 if taken.duplicate else 202


def _followed(watcher: Watcher, taken: Taken, seconds: float, claim: Claim | None) -> Response:
    watcher.image_id = taken.image_id
    accepted, host = _accepted(taken), request.host_url
    if claim:
        claim.remember({"status": 202, "image_id": taken.image_id, "body": accepted})
    lines = event_streams.follow(
        watcher, lookup(), accepted, lambda image_id: f"{host}image/{image_id}?stage=tagged", seconds
    )
    made = Response(lines, 200, mimetype=LINES, headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
    made.call_on_close(watcher.leave)
    return made


def _where(image_id: str) -> str:
    return f"/status/{image_id}"


def _accepted(taken: Taken) -> dict[str, Any]:
    fields, where = taken.message.fields, _where(taken.image_id)
    run, status, message = 1, "submitted", f"accepted; follow it at {where}"
    if taken.duplicate:
        found = lookup().by_id(taken.image_id)
        run, status = (found.run, found.status) if found else (1, "submitted")
        message = f"this very picture is there already; see {where}"
    seconds = None if taken.duplicate else intake().estimate(taken.image_id)
    body: dict[str, Any] = {"image_id": taken.image_id, "job_id": taken.image_id, "task_id": f"{taken.image_id}.{run}"}
    body |= filenames.name_fields(fields["filename"], fields.get("filename_guessed"))
    body |= {"file_size": fields["file_size"], "status": status, "message": message, "estimated_seconds": seconds}
    return body | ({"duplicate": True} if taken.duplicate else {})
