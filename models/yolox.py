"""Makes YOLOX's ONNX file cheaper to run, and nothing else of it: the same weights, the same results.

    convert(source, folder)   writes folder/model.onnx

Its input's height and width become free (multiples of 32), so that a wide picture need not be filled up to a square;
and its first step, which YOLOX calls Focus (every second pixel of every second row into channels of their own, then
a 3 × 3 convolution), becomes the 6 × 6 convolution of stride 2 that computes the same.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.onnx_ml_pb2 import GraphProto, ModelProto, NodeProto

from stageline.core.errors import ModelError

FOCUS = ["Slice"] * 8 + ["Concat", "Conv"]
# The order in which Focus joins the four grids: (row, column) of the pixel in each 2 × 2 that a grid takes.
GRIDS = ((0, 0), (1, 0), (0, 1), (1, 1))


def convert(source: Path, folder: Path) -> None:
    """Write the cheaper network.

    Raises:
        ModelError: the file is not YOLOX as its authors export it.
    """
    model = onnx.load(str(source))
    _fold_focus(model.graph, source.name)
    _free_size(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))


def _fold_focus(graph: GraphProto, name: str) -> None:
    first = list(graph.node[: len(FOCUS)])
    if [node.op_type for node in first] != FOCUS:
        raise ModelError(f"{name} does not begin as YOLOX does")
    conv = first[-1]
    kernel = next(item for item in graph.initializer if item.name == conv.input[1])
    small = numpy_helper.to_array(kernel)  # [out, 4 · 3, 3, 3]
    large = np.zeros((small.shape[0], 3, 6, 6), np.float32)
    for index, (row, column) in enumerate(GRIDS):
        large[:, :, row::2, column::2] = small[:, 3 * index : 3 * index + 3]
    kernel.CopyFrom(numpy_helper.from_array(large, kernel.name))
    conv.input[0] = graph.input[0].name
    _set(conv, "kernel_shape", [6, 6])
    _set(conv, "strides", [2, 2])
    _set(conv, "pads", [2, 2, 2, 2])
    del graph.node[: len(FOCUS) - 1]
    used = {name for node in graph.node for name in node.input}
    for item in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(item)


def _set(node: NodeProto, name: str, values: list[int]) -> None:
    attribute = next(item for item in node.attribute if item.name == name)
    attribute.ints[:] = values


def _free_size(model: ModelProto) -> None:
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    for size, name in ((sizes[2], "height"), (sizes[3], "width")):
        size.dim_param = name  # which clears its value
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "cells"
    del model.graph.value_info[:]
