"""Finds the nearest faces: to a face in the catalogue, or to one in a picture sent only for the search."""

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from grab_service.api.problems import BadParameters, FieldError, NoModel, NotNow
from grab_service.images.lookup import PictureLookup
from grab_service.line.intake import Intake, Wanted
from stageline.broker import status
from stageline.core.errors import BadImage, NotFound, Unavailable
from stageline.maintenance.deletion import all_folders, erase_objects
from stageline.pipeline.first_message import make_id
from stageline.pipeline.message import PROBE
from stageline.pipeline.results import MOVING
from stageline.registry.install import how_to_get
from stageline.registry.repository import Repository

EMBEDDER = "facenet-vggface2"
PROBE_SECONDS = 30.0
LOOK_SECONDS = 0.1


class FaceSearch:
    """Searches for similar faces."""

    def __init__(self, intake: Intake, lookup: PictureLookup, repository: Repository) -> None:
        self._intake, self._lookup, self._repository = intake, lookup, repository

    def of_face(self, image_id: str, face: int, limit: int) -> dict[str, Any]:
        """Return the faces nearest to a face of a picture, without that face.

        ``face`` counts the picture's faces from 0.

        Raises:
            NotKnown: there is no such picture.
            NotNow: the picture is still being processed.
            BadParameters: the picture has no such face, or the face has no embedding.
            NoModel: the model that makes embeddings is not installed.
            Unavailable: the catalogue is away.
        """
        found = self._lookup.find(image_id)
        if found.document is None:
            raise NotNow("the picture is on its way down the line: its faces are not known yet")
        faces = found.document.get("faces") or []
        if face >= len(faces):
            raise BadParameters([FieldError("face", f"the picture has {len(faces)} faces; they are counted from 0")])
        reference = faces[face].get("embedding")
        if not reference:
            self._refuse_without_model()
            raise BadParameters(
                [FieldError("face", "this face has no embedding: send the picture through classify again")]
            )
        kept = self._findings(str(reference["key"]))
        same = (found.image_id, face)
        return self._nearest(kept[int(reference["index"])] if int(reference["index"]) < len(kept) else {}, limit, same)

    def send(self, data: bytes, filename: str, trace: str) -> str:
        """Send a picture down the line as a probe; return its id for `of_sent`.

        Raises:
            BadImage: the data is no picture.
            LineFull: the line is full.
            NoModel: the model that makes embeddings is not installed.
            Unavailable: a server is away.
        """
        self._refuse_without_model()
        image_id = f"{PROBE}{make_id()}"
        self._intake.accept(data, filename, trace, Wanted(image_id=image_id, probe=True))
        return image_id

    def of_sent(self, image_id: str, limit: int) -> dict[str, Any]:
        """Return the faces nearest to the largest face of the probe, then delete the probe.

        Raises:
            BadImage: the picture has no face, or failed.
            Unavailable: a server is away, or the line did not process the picture in time.
        """
        try:
            self._wait(image_id)
            faces = [each for each in self._findings(f"findings/{image_id}.json") if each.get("embedding")]
        finally:
            self._intake.line.delete(image_id, probe=True)
            erase_objects(self._intake.store, image_id, None, all_folders(self._intake.client))
        if not faces:
            raise BadImage("no face was found in the picture", 422)
        return self._nearest(max(faces, key=_area), limit, None)

    def _nearest(self, face: Mapping[str, Any], limit: int, same: tuple[str, int] | None) -> dict[str, Any]:
        embedding, model = face.get("embedding"), face.get("model")
        try:
            vector = np.asarray(embedding, dtype=np.float32)
            found = self._intake.catalogue.nearest_faces(vector, limit + (same is not None), model)
        except (ValueError, TypeError):
            raise BadParameters(
                [FieldError("face", "its embedding is damaged: send the picture through again")]
            ) from None
        nearest = [each for each in found if (each["image_id"], each["face"]) != same][:limit]
        return {"model": model, "faces": [each | {"links": _links(each["image_id"])} for each in nearest]}

    def _wait(self, image_id: str) -> None:
        deadline = time.monotonic() + PROBE_SECONDS
        while time.monotonic() < deadline:
            fields = status.read(self._intake.client, image_id) or {}
            state = fields.get("status", "submitted")
            if state == "failed":
                raise BadImage(f"the picture cannot be searched with: {fields.get('reason', 'it failed')}", 422)
            if state not in MOVING:
                return
            time.sleep(LOOK_SECONDS)
        raise Unavailable(
            f"the line did not come to the picture within {PROBE_SECONDS:.0f} seconds: it is busy, or down"
        )

    def _findings(self, key: str) -> list[Mapping[str, Any]]:
        try:
            return list(json.loads(self._intake.store.get(key)).get("faces") or [])
        except NotFound:
            return []

    def _refuse_without_model(self) -> None:
        if self._repository.pointer(EMBEDDER) is None:
            raise NoModel(f"no model that makes embeddings of faces is installed: {how_to_get(EMBEDDER)}")


def _area(face: Mapping[str, Any]) -> float:
    left, top, right, bottom = face["box"]
    return float((right - left) * (bottom - top))


def _links(image_id: str) -> dict[str, str]:
    return {"status": f"/status/{image_id}", "original": f"/image/{image_id}"}
