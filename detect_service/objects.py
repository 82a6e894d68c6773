"""Finds objects in a picture with any detector that has an adapter."""

from dataclasses import dataclass

import numpy as np

from detect_service.adapters import ADAPTERS, AdapterInput, Candidates
from detect_service.canvas import STEP, Canvas
from stageline.core.errors import ModelError
from stageline.imaging.codec import Pixels
from stageline.inference import Network
from stageline.registry.card import Card

MAX_OBJECTS = 300


@dataclass(frozen=True)
class FoundObject:
    """A label, a score 0..1, and a box [x1, y1, x2, y2] in pixels of the picture given."""

    label: str
    score: float
    box: tuple[float, float, float, float]


class ObjectDetector:
    """A detector as its card describes it; stateless between pictures."""

    def __init__(self, network: Network, card: Card) -> None:
        """Check the network against its card by running a plain picture.

        Raises:
            ModelError: the card names an unknown adapter, the network's input differs from the card, or its outputs
                from the adapter's.
        """
        if card.adapter not in ADAPTERS:
            known = f"there are {', '.join(ADAPTERS)}: see docs/adding-a-model.md"
            raise ModelError(f"{card.reference}: the card names the adapter {card.adapter!r}; {known}")
        self._network, self._read, self._labels = network, ADAPTERS[card.adapter], card.labels
        self._canvas = Canvas(card)
        self._find(np.zeros((self._canvas.height, self._canvas.width, 3), np.uint8), 0.0)
        if card.preprocessing.fit == "letterbox":
            self._canvas.least = self._takes_less()

    def detect(self, bgr: Pixels, min_score: float) -> list[FoundObject]:
        """Find objects in BGR uint8 [h, w, 3], the best first, at most 300, none below ``min_score``.

        Classes without a label in the card (the background, the gaps in COCO's numbers) are left out.

        Raises:
            ModelError: the outputs of the network do not match its adapter.
        """
        found = self._find(bgr, min_score)
        objects = []
        for index in np.argsort(-found.scores, kind="stable").tolist():
            x1, y1, x2, y2 = found.boxes[index].tolist()
            score, label = float(found.scores[index]), int(found.labels[index])
            named = self._labels[label] if 0 <= label < len(self._labels) else ""
            if named and score >= min_score and x2 > x1 and y2 > y1:
                objects.append(FoundObject(named, score, (x1, y1, x2, y2)))
        return objects[:MAX_OBJECTS]

    def _find(self, bgr: Pixels, min_score: float) -> Candidates:
        placed = self._canvas.place(bgr)
        outputs = self._network.run(placed.array)
        try:
            found = self._read(outputs, AdapterInput(placed.height, placed.width, len(self._labels), min_score))
        except ModelError as error:
            raise ModelError(f"{self._network.name}: {error}") from None
        boxes = placed.in_picture(found.boxes, bgr.shape[1], bgr.shape[0])
        return Candidates(boxes, found.scores, found.labels)

    def _takes_less(self) -> bool:
        """Return whether both sides of the input are free, by running a low and a narrow canvas."""
        self._canvas.least = True
        try:
            for height, width in ((STEP, self._canvas.width), (self._canvas.height, STEP)):
                self._find(np.zeros((height, width, 3), np.uint8), 0.0)
        except ModelError:
            return False
        return True
