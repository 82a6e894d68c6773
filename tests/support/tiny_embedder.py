"""A tiny network that embeds faces, whose numbers can be computed by hand."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stageline.registry.card import ModelFiles, made_of

SIDE, CELL = 160, 10  # the mean of each cell of 10 × 10 pixels, of red and of green: 2 · 16 · 16 = 512 numbers


def cell_network(channels: int = 2) -> bytes:
    """Float [batch, 3, 160, 160] to the means of its cells, of the first `channels`, [batch, channels · 256]."""
    pool = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["pixels"], ["cells"], **pool),
            helper.make_node("Slice", ["cells", "first", "last", "axis"], ["some"]),
            helper.make_node("Flatten", ["some"], ["embedding"]),
        ],
        "cells",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", channels * (SIDE // CELL) ** 2])],
        [
            numpy_helper.from_array(np.array([value]), name)
            for name, value in (("first", 0), ("last", channels), ("axis", 1))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def cells(channels: int = 2, **more: Any) -> ModelFiles:
    """An embedder with FaceNet's card: RGB, 127.5 taken away, divided by 128."""
    fields = {
        "name": "facenet-vggface2",
        "version": "1",
        "task": "face-embedding",
        "title": "The means of a face's cells",
        "licence": "MIT",
        "source": "this test",
        "training_data": "none",
        "input": {"shape": ["batch", 3, SIDE, SIDE], "mean": [127.5] * 3, "std": [128] * 3},
        **more,
    }
    return made_of(fields, {"model.onnx": cell_network(channels)})


def by_hand(face: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What `cells` embeds a face as, BGR uint8 [160, 160, 3]: [512], of length 1."""
    rgb = (face[:, :, ::-1].astype(np.float64) - 127.5) / 128
    means = rgb.reshape(16, CELL, 16, CELL, 3).mean(axis=(1, 3)).transpose(2, 0, 1)[:2].ravel()
    return np.asarray(means / np.linalg.norm(means))
