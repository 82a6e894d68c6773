"""Classifiers: the category of a crop, with its confidence."""

from collections.abc import Sequence

import numpy as np

from classify_service.networks import CropNetwork
from stageline.core.settings import Settings
from stageline.imaging.codec import Pixels
from stageline.inference import FloatArray
from stageline.registry.card import ModelFiles
from stageline.registry.detector_labels import must_suit_the_detector


class Classifier:
    """A classifier as its card describes it; stateless between calls.

    Confidences are the softmax of the network's outputs. Those of the networks that were trained here are calibrated
    on CIFAR-10's own held-out pictures (the temperature is folded into their last layer: models/training): of such
    crops with a confidence of 0.9, nine in ten are right. This says nothing about pictures that show none of the ten
    classes: see docs/decisions/0006-categories-and-their-confidence.md.
    """

    def __init__(self, model: ModelFiles, settings: Settings) -> None:
        """Open the network, and check that it outputs one number per label.

        Raises:
            ModelError: the outputs differ, or the model is no classifier.
        """
        self.labels = model.card.labels
        self.detector_labels = model.card.detector_labels
        self.network = CropNetwork(model, "classification", len(self.labels), settings)

    def classify(self, crops: Sequence[Pixels]) -> FloatArray:
        """Return the probability of each label, float32 [n, labels], for crops, BGR uint8 [h, w, 3] of any sizes.

        Raises:
            ModelError: the outputs of the network do not match its card.
        """
        return self.probabilities([self.network.fitted(crop) for crop in crops])

    def probabilities(self, fitted: Sequence[Pixels]) -> FloatArray:
        """Return the same for crops already fitted by `network.fitted`."""
        outputs = self.network.run(fitted)
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def knows(self, detected: str) -> bool:
        """Return whether the classifier covers a label of the detector; without mapped labels it covers all."""
        return not self.detector_labels or detected in self.detector_labels

    def best(self, probabilities: FloatArray, count: int = 1) -> list[tuple[str, float]]:
        """Return the `count` surest labels of one crop, [labels], with their confidences, surest first."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [(self.labels[index], float(probabilities[index])) for index in order.tolist()]


def load_classifier(model: ModelFiles, settings: Settings) -> Classifier:
    """Open a classifier, and run it once; see `Classifier`.

    Raises:
        ModelError: the model is invalid, or its card maps labels that the detector does not have.
        Unavailable: the model store, which knows the detector's labels, is away.
    """
    must_suit_the_detector(model.card, settings)
    return Classifier(model, settings)
