"""Measures the calibration of confidences, and fits the temperature (Guo et al. 2017, arXiv:1706.04599)."""

import numpy as np
from numpy.typing import NDArray

from stageline.inference import FloatArray

Labels = NDArray[np.int64]
BINS = 15  # as in the paper
SHARPEST, HALVINGS = 100.0, 60  # the temperature is searched in 1/100 to 100


def softmax(logits: FloatArray) -> FloatArray:
    """Return the probabilities of logits [n, labels]; each row sums to 1."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def negative_log_likelihood(logits: FloatArray, labels: Labels) -> float:
    """Return the mean over the pictures of -log p(label), in nats."""
    shifted = (logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]).mean())


def expected_calibration_error(logits: FloatArray, labels: Labels, bins: int = BINS) -> float:
    """Return by how much the confidence of the top class differs from its accuracy, 0..1.

    The mean over `bins` of equal width, each weighted by its pictures (equation 3 of the paper).
    """
    probabilities = softmax(logits)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    chosen = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[chosen == n].mean() - confidence[chosen == n].mean()) * (chosen == n).mean() for n in set(chosen)]
    return float(sum(gaps))


def temperature(logits: FloatArray, labels: Labels, weights: FloatArray | None = None) -> float:
    """Return the T for which the likelihood of softmax(logits / T) is greatest.

    The negative log-likelihood is convex in 1/T, so its slope, E_p[z] - z_label, has one zero: it is halved down to.

    Args:
        logits: [n, labels].
        labels: [n].
        weights: how much each picture counts, [n]; where there are none, all count alike.
    """
    right = logits[np.arange(len(labels)), labels]
    low, high = 1 / SHARPEST, SHARPEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        slope = float(np.average((softmax(middle * logits) * logits).sum(axis=1) - right, weights=weights))
        low, high = (low, middle) if slope > 0 else (middle, high)
    return 1 / high


def least_confidence(logits: FloatArray, labels: Labels, categories: int, share: float) -> float:
    """Return the least confidence from which that share of the named pictures is named right, 0..1.

    A picture is named where its surest label is one of the first `categories`; an outlier is never named right. It is 1
    where no confidence reaches the share.
    """
    probabilities = softmax(logits)
    top = probabilities.argmax(axis=1)
    named = top < categories
    order = np.argsort(-probabilities.max(axis=1)[named], kind="stable")
    right = (top == labels)[named][order].cumsum() / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= share)
    return float(probabilities.max(axis=1)[named][order][enough[-1]]) if len(enough) else 1.0
