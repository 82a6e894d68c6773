"""FaceNet: the InceptionResnetV1 of facenet-pytorch, from its published weights to ONNX. Needs the `train` extra.

Method: Schroff et al. 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", arXiv:1503.03832.
Weights: David Sandberg's 20180402-114759, as Tim Esler's facenet-pytorch publishes them; MIT licence.
"""

from pathlib import Path

from models.torch_export import export, fill, load_weights, needed, on_pixels
from stageline.registry.card import NETWORK

MEAN, STD = 127.5, 128.0  # facenet-pytorch's fixed_image_standardization: what the network was trained with
SIDE = 160  # pixels


def convert(source: Path, folder: Path) -> None:
    """Write folder/model.onnx: ``pixels`` float32 [batch, 3, 160, 160], RGB of 0..255, to ``embedding`` [batch, 512].

    Embeddings have length 1. The classifier that they were trained with, which the file also holds, is left out.

    Raises:
        ModelError: torch or facenet-pytorch is missing, or the file does not hold these weights.
    """
    weights = load_weights(source)
    embedding = {name: value for name, value in weights.items() if not name.startswith("logits.")}
    network = fill(needed("facenet_pytorch").InceptionResnetV1(), embedding)
    export(on_pixels(network, [MEAN] * 3, [STD] * 3), (2, 3, SIDE, SIDE), {"embedding": ["batch"]}, folder / NETWORK)
