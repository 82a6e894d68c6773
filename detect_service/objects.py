"""Objects in a picture, by any detector that an adapter reads."""

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
    """A detector as its card describes it; keeps nothing between two pictures."""

    def __init__(self, network: Network, card: Card) -> None:
        """Hold the network against its card, by computing on a plain picture.

        Raises:
            ModelError: the card names no adapter that there is, the network does not take what the card says, or it
                gives other outputs than the adapter reads.
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

        What the card has no label for (the background, the gaps in COCO's numbers) is left out.

        Raises:
            ModelError: the network gives what its adapter does not read.
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
        """Tell whether the network takes a part of its canvas, a low one and a narrow one: both its sides are free."""
        self._canvas.least = True
        try:
            for height, width in ((STEP, self._canvas.width), (self._canvas.height, STEP)):
                self._find(np.zeros((height, width, 3), np.uint8), 0.0)
        except ModelError:
            return False
        return True
