"""The parity table measures what it says: a network that is off by a known amount is that far off."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.parity import REFERENCE, Data, compare, difference, same_boxes
from models.training import cifar10
from stageline.core.errors import ModelError
from stageline.inference import Network
from stageline.registry.card import made_of
from tests.support.tiny_models import card, colour_network

RED, LIME, BLUE = np.eye(3, dtype=np.uint8) * 255


class Off:
    """A network that adds a number to the second output of another's."""

    name, where = "off", "a test"

    def __init__(self, network: Network, by: float) -> None:
        self._network, self._by = network, by

    def run(self, *inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Compute, and be off."""
        (found,) = self._network.run(*inputs)
        found[:, 1] += self._by
        return (found,)


def test_the_difference_is_relative_to_the_largest_number_of_its_output() -> None:
    """Of two outputs, 2 off in one of up to 100 is less than 0.5 off in one of up to 10, in whichever call."""
    expected = [[np.array([100.0]), np.array([1.0])], [np.array([4.0]), np.array([-10.0])]]
    found = [[np.array([98.0]), np.array([1.0])], [np.array([4.0]), np.array([-9.5])]]
    assert difference(expected, found) == pytest.approx(0.05)
    assert difference(expected, expected) == 0.0


def test_a_box_is_found_again_once_and_under_its_label() -> None:
    """Two pixels away it is the same; under another label, far away, or taken already it is not."""
    box = (10.0, 10.0, 50.0, 50.0)
    moved = (10.0, 12.0, 50.0, 51.0)
    assert same_boxes([("dog", box)], [("cat", box), ("dog", (80.0, 80.0, 90.0, 90.0)), ("dog", moved)]) == (1, 2.0)
    assert same_boxes([("dog", box), ("dog", box)], [("dog", box)]) == (1, 0.0)
    assert same_boxes([("dog", box)], []) == (0, 0.0)


def test_a_classifier_that_is_off_has_other_classes_and_less_accuracy() -> None:
    """Where lime gets too much, all pictures are called lime; what cannot run is noted, and the rest goes on."""
    model = made_of(card(labels=list(cifar10.LABELS)), {"model.onnx": colour_network(0.01, 10)})
    pixels = np.stack([np.broadcast_to(colour, (32, 32, 3)) for colour in (RED, LIME, BLUE)])
    data = Data([], [], cifar10.TrainingPictures(pixels, np.arange(3)))

    def broken(_onnx: bytes, name: str) -> Network:
        raise ModelError(f"{name} cannot be run")

    notes: list[str] = []
    others = {"broken": broken, "off": lambda onnx, name: Off(REFERENCE.open(onnx, name), 100.0)}
    exact, off = compare(model, data, others, notes.append)
    assert (exact.difference, exact.same_class, exact.accuracy, exact.pictures) == (0.0, 1.0, 1.0, 3)
    assert off.difference == pytest.approx(100 / 2.55, rel=1e-3)
    assert (off.same_class, off.accuracy) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert notes == ["broken: model.onnx cannot be run"]
