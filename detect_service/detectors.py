"""The detectors as they are installed: loaded when they are there, looked for again now and then when not."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detect_service.faces import FaceDetector
from detect_service.objects import ObjectDetector
from stageline import logs, modelstore
from stageline.errors import ModelError
from stageline.images import Pixels
from stageline.inference import Network
from stageline.settings import Settings

OBJECTS = "yolox-nano"
FACES = "mtcnn"
LOOK_AGAIN_SECONDS = 10.0
FIRST_FETCH_SECONDS = 20.0  # then the stage starts without, and takes the models up when they have come


@dataclass(frozen=True)
class _Objects:
    detector: ObjectDetector
    labels: Sequence[str]
    reference: str


@dataclass(frozen=True)
class _Faces:
    detector: FaceDetector
    reference: str


class Detectors:
    """Objects by YOLOX-Nano and faces by MTCNN; without a model its findings are empty, and it is named missing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._objects: _Objects | None = None
        self._faces: _Faces | None = None
        self._looking = threading.Lock()  # the worker looks, and so do the probes
        fetching = threading.Thread(target=self._fetch, name="models", daemon=True)
        fetching.start()
        fetching.join(FIRST_FETCH_SECONDS)
        self._looked = float("-inf")
        self.look()

    def look(self) -> None:
        """Load what is installed and not loaded, at most every ten seconds."""
        with self._looking:
            if not self.missing() or time.monotonic() - self._looked < LOOK_AGAIN_SECONDS:
                return
            self._looked = time.monotonic()
            try:
                self._objects = self._objects or self._load_objects()
                self._faces = self._faces or self._load_faces()
            except ModelError as error:
                logs.get().error("model refused", reason=str(error))

    def missing(self) -> list[str]:
        """Name the models that are not loaded."""
        return [name for name, model in ((OBJECTS, self._objects), (FACES, self._faces)) if model is None]

    def objects(self, bgr: Pixels) -> list[dict[str, Any]]:
        """Find objects in BGR uint8 [h, w, 3]; boxes in its pixels, as the wire wants them."""
        if self._objects is None:
            return []
        found = self._objects.detector.detect(bgr, self._settings.detect_min_score)
        labels, reference = self._objects.labels, self._objects.reference
        return [
            {"label": labels[item.label], "score": item.score, "box": list(item.box), "model": reference}
            for item in found
        ]

    def faces(self, bgr: Pixels) -> list[dict[str, Any]]:
        """Find faces in BGR uint8 [h, w, 3]; boxes and landmarks in its pixels, as the wire wants them."""
        if self._faces is None:
            return []
        return [
            {
                "score": face.score,
                "box": list(face.box),
                "landmarks": [list(point) for point in face.landmarks],
                "model": self._faces.reference,
            }
            for face in self._faces.detector.detect(bgr)
        ]

    def _fetch(self) -> None:
        for name in (OBJECTS, FACES):
            modelstore.find_or_install(name, self._settings)

    def _load_objects(self) -> _Objects | None:
        model = modelstore.find(OBJECTS, self._settings)
        if model is None:
            return None
        network = Network(model.file("model.onnx"), self._settings.inference_threads)
        side = model.card["input"]["shape"][-1]
        return _Objects(ObjectDetector(network, side), model.card["labels"], model.reference)

    def _load_faces(self) -> _Faces | None:
        model = modelstore.find(FACES, self._settings)
        if model is None:
            return None
        pnet, rnet, onet = (
            Network(model.file(f"{name}.onnx"), self._settings.inference_threads) for name in ("pnet", "rnet", "onet")
        )
        return _Faces(FaceDetector(pnet, rnet, onet, self._settings.face_min_size), model.reference)
