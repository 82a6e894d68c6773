"""What a trained network says of the training pictures, for a smaller one to learn from.

Distillation, Hinton et al. 2015, arXiv:1503.02531, at temperature 1: the teacher's probabilities are calibrated.
"""

from pathlib import Path

import numpy as np

from models.training import calibration, trained
from models.training.cifar10 import TrainingPictures
from stageline.inference import FloatArray, Options, open_network


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
