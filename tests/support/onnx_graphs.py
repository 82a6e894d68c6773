"""ONNX files of a few nodes: those that every runtime must take alike, and those that none must be given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
SHAPE: list[Any] = ["batch", 3, "height", "width"]


def network(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto] = (),
    inputs: Sequence[tuple[str, int, list[Any]]] = (("x", FLOAT, SHAPE),),
    outputs: Sequence[tuple[str, int, list[Any]]] = (("y", FLOAT, SHAPE),),
    opset: int = 13,
) -> onnx.ModelProto:
    """A network of these parts."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def relu() -> onnx.ModelProto:
    """The least network: y = max(x, 0)."""
    return network([helper.make_node("Relu", ["x"], ["y"])])


def tensor(values: NDArray[Any], name: str) -> onnx.TensorProto:
    """A constant."""
    return numpy_helper.from_array(values, name)


def convolution(*, half: bool) -> bytes:
    """A 3 × 3 convolution to 8 channels, its weights exact in float16 and stored so if asked for, its bias shared."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(8, 3, 3, 3)).astype(np.float16)
    bias = rng.normal(size=8).astype(np.float32)
    stored = tensor(weights if half else weights.astype(np.float32), "stored")
    nodes = [
        helper.make_node("Cast" if half else "Identity", ["stored"], ["weights"], **({"to": FLOAT} if half else {})),
        helper.make_node("Identity", ["bias"], ["same_bias"]),
        helper.make_node("Constant", [], ["zero"], value=tensor(np.float32(0), "")),
        helper.make_node("Conv", ["x", "weights", "same_bias"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "zero", ""], ["y"]),
    ]
    outputs = [("y", FLOAT, ["batch", 8, "height", "width"])]
    return bytes(network(nodes, [stored, tensor(bias, "bias")], outputs=outputs).SerializeToString())


def numbers() -> bytes:
    """Takes uint8 [1, h, w, 3]; gives the mean of each channel, the brightest channel as int64, and their number."""
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("ArgMax", ["means"], ["brightest"], axis=1, keepdims=0),
        helper.make_node("Shape", ["means"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["count"]),
    ]
    outputs = [("count", INT64, []), ("brightest", INT64, [1]), ("means", FLOAT, [1, 3])]
    constants = [tensor(np.array(1), "one")]
    made = network(nodes, constants, [("x", UINT8, [1, "height", "width", 3])], outputs)
    return bytes(made.SerializeToString())


def constants() -> bytes:
    """Gives 2 · x + (1, 2, 3)ᵀ, by constants that are spelled in other ways, and one that has nothing to do with x."""
    nodes = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Constant", [], ["three"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Constant", [], ["axes"], value_ints=[0, 2, 3]),
        helper.make_node("Unsqueeze", ["three", "axes"], ["column"]),
        helper.make_node("Mul", ["x", "two"], ["twice"]),
        helper.make_node("Add", ["twice", "column"], ["y"]),
        helper.make_node("Constant", [], ["fixed"], value_int=7),
    ]
    return bytes(network(nodes, outputs=[("y", FLOAT, SHAPE), ("fixed", INT64, [])]).SerializeToString())


def reshaped() -> bytes:
    """Gives [batch, 3, height · width], by a shape that is computed from the input's."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "two"], ["kept"]),
        helper.make_node("Concat", ["kept", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    constants = [tensor(np.array([value]), name) for name, value in (("zero", 0), ("two", 2), ("rest", -1))]
    return bytes(network(nodes, constants, outputs=[("y", FLOAT, ["batch", 3, "n"])]).SerializeToString())


def loop(*, constant: onnx.TensorProto | None = None) -> onnx.ModelProto:
    """y = x + 3 · constant, by a loop, whose body holds the constant."""
    body = helper.make_graph(
        [helper.make_node("Add", ["before", "c"], ["after"]), helper.make_node("Identity", ["again"], ["more"])],
        "body",
        [
            helper.make_tensor_value_info("number", INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, SHAPE),
        ],
        [
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, SHAPE),
        ],
        [constant or tensor(np.ones(1, np.float32), "c")],
    )
    nodes = [helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body)]
    return network(nodes, [tensor(np.array(3), "times"), tensor(np.array(True), "yes")])


def elsewhere(name: str, location: str = "secret.bin", **more: str) -> onnx.TensorProto:
    """A constant of one float whose value is to be read from a file."""
    made = onnx.TensorProto(name=name, data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in ({"location": location} | more).items():
        made.external_data.add(key=key, value=value)
    return made
