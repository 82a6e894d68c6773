"""Tiny networks with a card, whose answers can be computed by hand: for what is shown about any model."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stageline.registry.card import ModelFiles, made_of

COLOURS = ("red", "green", "blue")


def colour_network(scale: float = 1.0, labels: int = 3) -> bytes:
    """A classifier of the mean colour: logits = scale · mean of each of the first `labels` channels, RGB 0..255."""
    weights = numpy_helper.from_array((np.eye(3, labels) * scale).astype(np.float32), "weights")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def card(name: str = "colours", version: str = "1", **more: Any) -> dict[str, Any]:
    """The fields of a colour classifier's card."""
    return {
        "name": name,
        "version": version,
        "task": "classification",
        "title": "The mean colour",
        "licence": "MIT",
        "source": "this test",
        "training_data": "none",
        "input": {"shape": ["batch", 3, 32, 32], "colour": "RGB"},
        "labels": list(COLOURS),
        **more,
    }


def colours(version: str = "1", scale: float = 1.0, *, outputs: int = 3, **more: Any) -> ModelFiles:
    """A colour classifier, its card and its network; with another number of outputs, one that is no good."""
    return made_of(card(version=version, **more), {"model.onnx": colour_network(scale, outputs)})
