"""The networks trained here, models/trained/<name>/<version>/, and their accuracy."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training import calibration
from models.training.calibration import Labels
from models.training.cifar10 import LABELS, TrainingPictures
from stageline.core.errors import ModelError
from stageline.inference import FloatArray, Network
from stageline.registry.card import CARD, ModelFiles, read_folder

TRAINED = Path(__file__).parent.parent / "trained"
BATCH = 50


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network's outputs for labelled pictures: logits [n, labels], and the time that it took."""

    logits: FloatArray
    labels: Labels
    seconds: float

    @property
    def accuracy(self) -> float:
        """The share of pictures whose top class is right, 0..1."""
        return float((self.logits.argmax(axis=1) == self.labels).mean())

    @property
    def calibration_error(self) -> float:
        """See `calibration.expected_calibration_error`."""
        return calibration.expected_calibration_error(self.logits, self.labels)

    @property
    def milliseconds(self) -> float:
        """Milliseconds per picture."""
        return 1000 * self.seconds / len(self.labels)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Return how many pictures of each class (rows) were classified as each (columns); the last is none."""
        counts = np.zeros((len(LABELS), self.logits.shape[1]), dtype=np.int64)
        np.add.at(counts, (self.labels, self.logits.argmax(axis=1)), 1)
        return counts


def measure(network: Network, pictures: TrainingPictures) -> MeasuredNetwork:
    """Classify pictures, RGB as float32 [n, 3, 32, 32] of 0..255, in batches of 50."""
    started, logits = time.perf_counter(), []
    for start in range(0, len(pictures), BATCH):
        batch = pictures.pixels[start : start + BATCH].transpose(0, 3, 1, 2).astype(np.float32)
        logits.append(network.run(np.ascontiguousarray(batch))[0])
    return MeasuredNetwork(np.concatenate(logits), pictures.labels, time.perf_counter() - started)


def find(reference: str, root: Path = TRAINED) -> ModelFiles:
    """Read the model ``name@version``.

    Raises:
        ModelError: it was not trained yet, or its folder is damaged.
    """
    name, _, version = reference.partition("@")
    if not (root / name / version / CARD).is_file():
        raise ModelError(f"{root / name / version} holds no {CARD}: train it first, python -m models.training {name}")
    return read_folder(root / name / version)


def versions(name: str = "*", root: Path = TRAINED) -> Iterator[ModelFiles]:
    """Read each version of a model that was trained; of all models, where none is named."""
    for card in sorted(root.glob(f"{name}/*/{CARD}")):
        yield read_folder(card.parent)


def next_version(name: str, root: Path = TRAINED) -> str:
    """Return the first whole number above the versions that are there: a version never changes."""
    numbers = [int(path.name) for path in root.glob(f"{name}/*") if path.name.isdecimal()]
    return str(max(numbers, default=0) + 1)
