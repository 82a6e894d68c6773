"""A trained network's probabilities for the training pictures, for a smaller network to learn from.

Distillation, Hinton et al. 2015, arXiv:1503.02531, at temperature 1: the teacher's probabilities are calibrated. It is
asked once about every picture, or about each batch as the pupil sees it (Beyer et al. 2021, arXiv:2106.05237).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training import calibration, trained
from models.training.cifar10 import TrainingPictures
from stageline.inference import FloatArray, Options, graph, open_network


def probabilities(reference: str, pictures: TrainingPictures, folder: Path, threads: int) -> FloatArray:
    """Return the teacher's probabilities, float32 [n, labels]; they are kept in `folder` for a run that is resumed.

    Raises:
        ModelError: the teacher is not in models/trained.
    """
    model = trained.find(reference)
    kept = folder / f"teacher-{model.card.sha256[:12]}-{pictures.fingerprint:08x}.npy"
    if kept.is_file():
        return np.asarray(np.load(kept, allow_pickle=False), dtype=np.float32)
    network = open_network(model.network, reference, Options(threads=threads), model.card.cpu_runtime)
    found = calibration.softmax(trained.measure(network, pictures).logits)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(".part")
    with temporary.open("wb") as file:
        np.save(file, found, allow_pickle=False)
    temporary.replace(kept)
    return found


def by_batch(reference: str, device: str) -> Callable[[Tensor], Tensor]:
    """Return a function from a batch, float32 [n, 3, h, w] of 0..255, to the teacher's probabilities [n, labels].

    Raises:
        ModelError: the teacher is not in models/trained, or torch cannot compute it.
    """
    from stageline.inference.from_onnx import convert  # noqa: PLC0415 - onnx2torch; only here

    dtype = torch.float16 if device == "cuda" else torch.float32
    model = graph.read(trained.find(reference).network, reference)
    network = convert(model, reference, torch.device(device), dtype).to(memory_format=torch.channels_last)

    def ask(batch: Tensor) -> Tensor:
        with torch.no_grad():
            return functional.softmax(network(batch.to(dtype)).float(), dim=1)

    return ask
