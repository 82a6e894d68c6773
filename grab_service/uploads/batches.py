"""Batches: many pictures in one request. Each is checked, stored and queued as soon as it has arrived."""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

from grab_service.api.problems import Gone, NotKnown, content, describe
from grab_service.line.intake import Intake, Wanted
from grab_service.uploads.forms import Sent
from grab_service.uploads.idempotency import Claim
from stageline.broker import status, time_left
from stageline.broker.redis_client import reaching_redis
from stageline.core.errors import Unavailable
from stageline.core.timestamps import now
from stageline.pipeline import filenames
from stageline.pipeline.filenames import Name
from stageline.pipeline.results import MOVING

FIELDS = ("image", "file", "images", "files")
MAX_FILES = 1000
MAX_BYTES = 2 * 1024 * 1024 * 1024
KEPT_SECONDS = 86_400 + 3600  # longer than an Idempotency-Key, whose answer is made from the record
KEEP_AFTER = 16  # files
FOR_NOW = (429, 503)  # problems that may not occur when the same file is sent again


@dataclass
class UploadBatch:
    """A batch that is being received: the result of each file so far, and a digest of all files."""

    intake: Intake
    wanted: Wanted
    trace: str
    claim: Claim | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    created_at: str = field(default_factory=now)
    digest: Any = field(default_factory=hashlib.sha256)
    broke_off: bool = False

    @property
    def batch_id(self) -> str:
        """The id; a batch sent again under the same key has the same."""
        return str(self.wanted.batch_id)

    def look_at(self, sent: Sent) -> None:
        """Add a file to the digest without accepting it."""
        for part in ((sent.filename or "").encode(errors="replace"), sent.data or b""):
            self.digest.update(len(part).to_bytes(8, "big") + part)

    def take(self, sent: Sent) -> None:
        """Accept a file, or record why it is refused."""
        self.look_at(sent)
        name = Name(filenames.safe_filename(sent.filename), sent.guessed)
        if len(self.files) > MAX_FILES:
            return
        if len(self.files) == MAX_FILES:
            more = f"a batch takes {MAX_FILES:,} files: send this one and those after it in another"
            self._refuse(name, content(413, more))
        elif sent.data is None:
            most = self.intake.settings.max_upload_bytes
            self._refuse(name, content(413, f"the file is too large; {most:,} bytes are taken (MAX_UPLOAD_BYTES)"))
        else:
            self._accept(sent.data, name)
        if len(self.files) % KEEP_AFTER == 0:
            with contextlib.suppress(Unavailable):  # at the end of the batch a failure is a 503
                self.keep()
            if self.claim:
                self.claim.refuse_if_lost()

    def break_off(self, error: Exception) -> None:
        """Record that the rest of the form could not be read; accepted files stay."""
        problem = describe(error)
        if problem is None or not self.files:
            raise error
        self.broke_off = True
        self._refuse(Name("the rest of the form"), problem)

    @property
    def is_whole(self) -> bool:
        """Whether the answer is final: the same batch, sent again, would get the same one."""
        return not self.broke_off and not any(_status(each) in FOR_NOW for each in self.files)

    @property
    def refusal(self) -> dict[str, Any] | None:
        """The problem of the whole batch where none of its files could be accepted now; else None."""
        all_refused = self.files and all(_status(each) in FOR_NOW for each in self.files)
        return cast("dict[str, Any]", self.files[0]["problem"]) if all_refused else None

    def keep(self) -> None:
        """Keep the result of each file for KEPT_SECONDS.

        Raises:
            StillRunning: another request has taken over the key, and keeps the results of the same files.
            Unavailable: Redis is away.
        """
        record = json.dumps({"created_at": self.created_at, "files": self.files})
        if self.claim is None:
            with reaching_redis():
                self.intake.client.set(_record(self.batch_id), record, ex=KEPT_SECONDS)
        elif not self.intake.line.scripts.run(self.claim.keep_batch(_record(self.batch_id), record, KEPT_SECONDS)):
            self.claim.refuse_lost()

    def recall(self) -> None:
        """Read the kept result of each file.

        Raises:
            Gone: the results are no longer kept.
        """
        with reaching_redis():
            raw = cast("bytes | None", self.intake.client.get(_record(self.batch_id)))
        if raw is None:
            raise Gone(f"this was done under the id {self.batch_id}, and what came of each file is not kept any more")
        self.files = json.loads(raw)["files"]

    def answer(self) -> dict[str, Any]:
        """Return the body of the answer: the result of each file."""
        refused = sum("problem" in each for each in self.files)
        counts = {"batch_id": self.batch_id, "accepted": len(self.files) - refused, "refused": refused}
        return {**counts, "files": [_with_url(each) for each in self.files]}

    def _accept(self, data: bytes, name: Name) -> None:
        image_id = None
        if self.claim:  # a request that takes over this batch gives the same files the same ids
            image_id = f"{self.batch_id}-{len(self.files)}-{hashlib.sha256(data).hexdigest()[:8]}"
        wanted = replace(self.wanted, image_id=image_id, filename_guessed=name.guessed)
        try:
            taken = self.intake.accept(data, name.text, self.trace, wanted)
        except Exception as error:
            problem = describe(error)
            if problem is None:
                raise
            self._refuse(name, problem)
            return
        self.files.append({**filenames.name_fields(*name), "image_id": taken.image_id})

    def _refuse(self, name: Name, problem: dict[str, Any]) -> None:
        self.files.append({**filenames.name_fields(*name), "problem": problem})


def state(intake: Intake, batch_id: str) -> dict[str, Any]:
    """Return the state of a batch: from its record, or from the catalogue when the record has expired.

    Raises:
        NotKnown: there is no such batch.
        Unavailable: the record has expired, and the catalogue is away.
    """
    with reaching_redis():
        raw = cast("bytes | None", intake.client.get(_record(batch_id)))
    if raw is None:
        found = intake.catalogue.batch(batch_id) if batch_id.isascii() and batch_id.isalnum() else None
        if found is None:
            raise NotKnown(f"no batch has the id {batch_id[:80]}")
    record = json.loads(raw) if raw is not None else found or {}
    files = list(_as_they_stand(intake, batch_id, record["files"]))
    counts = Counter(str(each.get("status") or "refused") for each in files)
    moving = [each["image_id"] for each in files if each.get("status") in MOVING]
    left = [each.seconds for each in time_left.remaining(intake.client, moving, {}).values()] if moving else []
    longest = max((seconds for seconds in left if seconds is not None), default=None)
    state = {"batch_id": batch_id, "created_at": record["created_at"], "total": len(files), "counts": counts}
    return {**state, "done": not moving, "estimated_seconds_left": longest, "files": files}


def _as_they_stand(intake: Intake, batch_id: str, files: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    ids = [each["image_id"] for each in files if each.get("image_id")]
    live = dict(zip(ids, status.read_all(intake.client, ids), strict=True)) if ids else {}
    rows: dict[str, str] = {}
    if any(each is None for each in live.values()):
        with contextlib.suppress(Unavailable):
            found = intake.catalogue.batch(batch_id) or {"files": []}
            rows = {each["image_id"]: each["status"] for each in found["files"]}
    for each in files:
        if "problem" in each:
            yield each
            continue
        image_id = each["image_id"]
        stands = (live.get(image_id) or {}).get("status") or rows.get(image_id) or each.get("status") or "unknown"
        yield {"filename": None, **each, "status": stands}


def _status(file: dict[str, Any]) -> int | None:
    return file["problem"]["status"] if "problem" in file else None


def _with_url(file: dict[str, Any]) -> dict[str, Any]:
    return file if "problem" in file else {**file, "status_url": f"/status/{file['image_id']}"}


def _record(batch_id: str) -> str:
    return f"stageline:batch:{batch_id}"
