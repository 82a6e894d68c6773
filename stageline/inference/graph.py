"""Checks an ONNX file before any runtime loads it: one file, standard operators, arrays in and out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from stageline.core.errors import ModelError

STANDARD = ("", "ai.onnx")
"""The domains whose operators every runtime has; other domains include operators that read files."""
NUMBERS: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.DOUBLE: np.dtype(np.float64),
    TensorProto.UINT8: np.dtype(np.uint8),
    TensorProto.INT8: np.dtype(np.int8),
    TensorProto.INT32: np.dtype(np.int32),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.BOOL: np.dtype(np.bool_),
}
MAX_BYTES = 2**31 - 1  # protobuf's limit


@dataclass(frozen=True)
class Array:
    """An input or an output of a network."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None
    """None for a free axis; None as a whole if the file does not state the shape."""

    def __str__(self) -> str:
        return f"{self.dtype} {[size or 'any' for size in self.shape] if self.shape is not None else '[…]'}"

    def fits(self, array: npt.NDArray[Any]) -> bool:
        """Return whether an array has this type and shape."""
        if array.dtype != self.dtype or self.shape is None:
            return array.dtype == self.dtype
        return len(array.shape) == len(self.shape) and all(
            wanted in (None, size) for wanted, size in zip(self.shape, array.shape, strict=True)
        )


@dataclass(frozen=True)
class Signature:
    """A network's inputs and outputs, in its order."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]

    def check(self, name: str, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Check the inputs of the network `name`.

        Raises:
            ModelError: the number, types or shapes do not fit.
        """
        if len(arrays) != len(self.inputs):
            raise ModelError(f"{name} takes {len(self.inputs)} inputs, got {len(arrays)}")
        for wanted, array in zip(self.inputs, arrays, strict=True):
            if not wanted.fits(array):
                raise ModelError(f"{name} takes {wanted} as {wanted.name}, got {array.dtype} {list(array.shape)}")


def signature(onnx: bytes, name: str = "the network") -> Signature:
    """Return a network's inputs and outputs.

    Raises:
        ModelError: see `read`.
    """
    return signature_of(read(onnx, name))


def read(data: bytes, name: str) -> ModelProto:
    """Parse an ONNX file.

    Raises:
        ModelError: the data is no valid ONNX file; it refers to other files; it has its own functions or operators;
            or an input or output is no array of numbers.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"{name} has {len(data)} bytes; an ONNX file has at most {MAX_BYTES}")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise ModelError(f"{name} is no ONNX file") from None
    if not model.graph.node or not model.opset_import:
        raise ModelError(f"{name} is no ONNX file, or an empty one")
    _check_contained(model, name)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{name} is not valid ONNX: {str(error).strip().splitlines()[0]}") from None
    for array in (*_inputs(model.graph), *model.graph.output):
        _check_numbers(array, name)
    return model


def signature_of(model: ModelProto) -> Signature:
    """Return the inputs and outputs of a network that `read` parsed."""
    return Signature(tuple(map(_array, _inputs(model.graph))), tuple(map(_array, model.graph.output)))


def _check_contained(model: ModelProto, name: str) -> None:
    if model.functions:
        raise ModelError(f"{name} defines functions of its own: export it with standard operators only")
    if model.training_info:
        raise ModelError(f"{name} holds a training graph: export it for inference")
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(f"{name} keeps {tensor.name or 'a tensor'} in another file: save it as one file")
    for node in _nodes(model.graph):
        if node.domain not in STANDARD:
            raise ModelError(
                f"{name} needs the operator {node.domain}.{node.op_type}: export it with standard operators only"
            )


def _check_numbers(array: ValueInfoProto, name: str) -> None:
    kind = array.type.tensor_type
    if not array.type.HasField("tensor_type") or kind.elem_type not in NUMBERS:
        raise ModelError(f"{name}: {array.name} is not an array of numbers")


def _inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """Return the inputs without weights, which old files list among them."""
    known = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in known]


def _array(value: ValueInfoProto) -> Array:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.dim_value > 0 else None for size in kind.shape.dim)
    return Array(value.name, NUMBERS[kind.elem_type], shape if kind.HasField("shape") else None)


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                yield from _nodes(inner)


def _graphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    sparse = [*graph.sparse_initializer]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            sparse += attribute.sparse_tensors
            for inner in _graphs(attribute):
                yield from _tensors(inner)
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)
