"""Opens the detectors: any object detector with an adapter, and MTCNN for faces."""

import numpy as np

from detect_service.adapters import check_shapes
from detect_service.faces import FaceDetector
from detect_service.objects import ObjectDetector
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference import Network, Options, open_network
from stageline.registry.card import NETWORK, ModelFiles

# MTCNN's networks: a small input that shows that its free sizes are free, and the output that it must give.
FACE_NETWORKS: dict[str, tuple[tuple[int, ...], tuple[int | str, ...]]] = {
    "pnet.onnx": ((1, 3, 24, 36), (1, 5, "rows", "columns")),
    "rnet.onnx": ((2, 3, 24, 24), (2, 5)),
    "onet.onnx": ((2, 3, 48, 48), (2, 15)),
}


def load_objects(model: ModelFiles, settings: Settings) -> ObjectDetector:
    """Open an object detector, and run it once.

    Raises:
        ModelError: the model is no object detector, or does not match its card.
    """
    model.must_be_for("object-detection")
    return ObjectDetector(_open(model, NETWORK, model.network, settings), model.card)


def load_faces(model: ModelFiles, settings: Settings) -> FaceDetector:
    """Open MTCNN's three networks, and run each once.

    Raises:
        ModelError: the model is no face detector, or one of its networks is absent or has other outputs.
    """
    model.must_be_for("face-detection")
    absent = [name for name in FACE_NETWORKS if name not in model.files]
    if absent:
        raise ModelError(f"{model.card.reference} lacks {', '.join(absent)} of MTCNN's {', '.join(FACE_NETWORKS)}")
    pnet, rnet, onet = (_open(model, name, model.files[name], settings) for name in FACE_NETWORKS)
    for network, (name, (shape, wanted)) in zip((pnet, rnet, onet), FACE_NETWORKS.items(), strict=True):
        outputs = network.run(np.zeros(shape, np.float32))
        try:
            check_shapes(outputs, f"MTCNN's {name} gives", wanted)
        except ModelError as error:
            raise ModelError(f"{network.name}: {error}") from None
    return FaceDetector(pnet, rnet, onet, settings.face_min_size)


def _open(model: ModelFiles, file: str, data: bytes, settings: Settings) -> Network:
    name = f"{model.card.reference}/{file}"
    return open_network(data, name, Options.of(settings), model.card.cpu_runtime)
