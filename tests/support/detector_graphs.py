"""Detectors of a few nodes with the inputs and outputs of real ones; they find what is red, and what is blue."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stageline.registry.card import NETWORK, Card, ModelFiles, made_of
from stageline.registry.install import manifest

RED, BLUE = 0, 2  # channels of RGB
SCORES = (0.9, 0.8, 0.95, 0.2, 0.99)  # red, blue, blue again, red again, red again
SSD_CLASSES = (1.0, 3.0, 12.0, 2.0, 4.0)  # person, car, a gap in COCO's numbers, bicycle, motorcycle
SSD_COUNT = 4.0  # so the motorcycle does not count


def ssd_network(**changed: Any) -> bytes:
    """A graph with the signature of the ONNX model zoo's ssd_mobilenet_v1_10.onnx, as ONNX_HUB_MANIFEST.json has it."""
    found = {"classes": SSD_CLASSES, "scores": SCORES, "order": ("boxes", "classes", "scores", "number"), **changed}
    graph = Graph("image_tensor:0", TensorProto.UINT8, ["unk__8520", "unk__8521", "unk__8522", 3])
    planes = graph.node("Transpose", graph.node("Cast", graph.pixels, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    red, blue = (graph.box(planes, channel, "y1 x1 y2 x2") for channel in (RED, BLUE))
    size = graph.node("Cast", graph.node("Shape", planes, start=2, end=4), to=TensorProto.FLOAT)
    boxes = graph.node("Concat", red, blue, blue, red, red, axis=0)
    shares = graph.node("Div", boxes, graph.node("Concat", size, size, axis=0))
    outputs = {
        "boxes": (
            "detection_boxes:0",
            graph.node("Unsqueeze", shares, graph.int64([0])),
            ["unk__8523", "unk__8524", 4],
        ),
        "classes": ("detection_classes:0", graph.floats([found["classes"]]), ["unk__8525", "unk__8526"]),
        "scores": ("detection_scores:0", graph.floats([found["scores"]]), ["unk__8527", "unk__8528"]),
        "number": ("num_detections:0", graph.floats([SSD_COUNT]), ["unk__8529"]),
    }
    return graph.model([(*outputs[name], TensorProto.FLOAT) for name in found["order"]])


def torchvision_ssd_network() -> bytes:
    """A graph with the signature of torchvision's ssdlite320_mobilenet_v3_large, as our converter writes it."""
    graph = Graph("pixels", TensorProto.FLOAT, [1, 3, 320, 320])
    red, blue = (graph.box(graph.pixels, channel, "x1 y1 x2 y2") for channel in (RED, BLUE))
    labels = graph.int64([1, 3, 12, 2])
    return graph.model(
        [
            ("boxes", graph.node("Concat", red, blue, blue, red, axis=0), ["n", 4], TensorProto.FLOAT),
            ("scores", graph.floats(SCORES[:4]), ["n"], TensorProto.FLOAT),
            ("labels", labels, ["n"], TensorProto.INT64),
        ]
    )


def yolox_network(cells: Mapping[int, Sequence[float]], side: int = 416, classes: int = 80) -> bytes:
    """A graph with the signature of the official yolox_nano.onnx, and these cells, by number; the others are empty."""
    count = sum((side // stride) ** 2 for stride in (8, 16, 32))
    values = np.zeros((1, count, 5 + classes), np.float32)
    for number, cell in cells.items():
        values[0, number, : len(cell)] = cell
    graph = Graph("images", TensorProto.FLOAT, [1, 3, side, side])
    nothing = graph.node("Mul", graph.node("ReduceMax", graph.pixels, keepdims=0), graph.floats(0.0))
    found = graph.node("Add", graph.floats(values), nothing)
    return graph.model([("output", found, list(values.shape), TensorProto.FLOAT)])


def card(name: str, **changed: Any) -> dict[str, Any]:
    """The fields of a card as the manifest has them; COCO's labels where it leaves them to the converter."""
    entry = manifest()[name]
    known = {key: value for key, value in entry.items() if key in Card.model_fields and key != "sha256"}
    return {"name": name, "labels": manifest()["ssd-mobilenet-v1"]["labels"], **known, **changed}


def model(name: str, network: bytes, **changed: Any) -> ModelFiles:
    """A model of the manifest, with another network than its own."""
    return made_of(card(name, **changed), {NETWORK: network})


class Graph:
    """Collects nodes; each method adds some and returns an output's name."""

    def __init__(self, pixels: str, kind: int, shape: list[int | str]) -> None:
        self.pixels = pixels
        self._input = helper.make_tensor_value_info(pixels, kind, shape)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def floats(self, values: Any) -> str:
        return self._constant(np.asarray(values, np.float32))

    def int64(self, values: Any) -> str:
        return self._constant(np.asarray(values, np.int64))

    def box(self, planes: str, channel: int, order: str) -> str:
        """Where a channel of float [1, 3, h, w] is bright: [1, 4], in pixels, in that order."""
        plane = self.node("Gather", planes, self.int64(channel), axis=1)
        bright = self.node("Cast", self.node("Greater", plane, self.floats(127.5)), to=TensorProto.FLOAT)
        edges = {}
        for axis, along in (("x", self._along(bright, 1)), ("y", self._along(bright, 2))):
            edges[f"{axis}1"] = self.node("ArgMax", along, axis=1)
            last = self.node("ArgMax", along, axis=1, select_last_index=1)
            edges[f"{axis}2"] = self.node("Add", last, self.int64(1))
        joined = self.node("Concat", *(edges[edge] for edge in order.split()), axis=1)
        return self.node("Cast", joined, to=TensorProto.FLOAT)

    def model(self, outputs: Sequence[tuple[str, str, list[Any], int]]) -> bytes:
        ends = []
        for name, source, shape, kind in outputs:
            self._nodes.append(helper.make_node("Identity", [source], [name]))
            ends.append(helper.make_tensor_value_info(name, kind, shape))
        graph = helper.make_graph(self._nodes, "detector", [self._input], ends, self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
        onnx.checker.check_model(made)
        return bytes(made.SerializeToString())

    def _along(self, bright: str, axis: int) -> str:
        return self.node("ReduceMax", bright, axes=[axis], keepdims=0)

    def _constant(self, values: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name
