"""Converts ONNX to torch by onnx2torch, and adapts it to a GPU: constants are folded, shapes computed on the host."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx2torch
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.helper import get_attribute_value, tensor_dtype_to_np_dtype
from torch import fx, nn

from stageline.core.errors import ModelError
from stageline.inference.network import reason

# onnx2torch's layers whose further arguments are shapes, axes and counts: torch needs those on the host.
SHAPED = (
    "OnnxExpand", "OnnxPad", "OnnxReduce", "OnnxReshape", "OnnxResize", "OnnxSlice", "OnnxSplit", "OnnxSqueeze",
    "OnnxTile", "OnnxTopK", "OnnxUnsqueeze",
)  # fmt: skip
CONSTANTS = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
MADE_OF_SHAPES = ("OnnxConstantOfShape", "OnnxRange")


def convert(model: ModelProto, name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Return a network as a torch module in eval mode, its floats of type `dtype` on `device`; `model` is changed.

    Raises:
        ModelError: onnx2torch does not support one of its operators.
    """
    _fold_constants(model.graph)
    try:
        module = onnx2torch.convert(model).eval().requires_grad_(requires_grad=False)
    except Exception as error:  # NotImplementedError, KeyError, RuntimeError, … by the graph
        raise ModelError(f"{name} cannot be converted to torch: {reason(error)}") from error
    given = next(node for node in module.graph.nodes if node.op == "output").args[0]
    if len(given if isinstance(given, list | tuple) else [given]) != len(model.graph.output):
        raise ModelError(f"{name} cannot be converted to torch: two of its outputs come from one operator")
    _move(module, _on_host(module), device, dtype)
    module.recompile()
    return module


def _fold_constants(graph: GraphProto) -> None:
    """Replace Constant, Identity and Cast of initializers by initializers; drop omitted optional inputs at the end.

    onnx2torch needs the weights of a layer as initializers; exporters alias them, or convert them from half precision.
    """
    known = {tensor.name: tensor for tensor in graph.initializer}
    outputs, kept = {output.name for output in graph.output}, []
    for node in graph.node:
        values = None if outputs.intersection(node.output) else _constant(node, known)
        if values is not None:
            known[node.output[0]] = numpy_helper.from_array(values, node.output[0])
            graph.initializer.append(known[node.output[0]])
            continue
        while node.input and not node.input[-1]:
            del node.input[-1]
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _constant(node: NodeProto, known: Mapping[str, TensorProto]) -> npt.NDArray[Any] | None:
    """Return the constant output of a node of these three operators; None otherwise."""
    attributes = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Constant":
        name, value = next(iter(attributes.items()))
        if name == "value":
            return numpy_helper.to_array(value)
        return np.array(value, CONSTANTS[name]) if name in CONSTANTS else None
    if node.op_type not in ("Identity", "Cast") or node.input[0] not in known:
        return None
    values = numpy_helper.to_array(known[node.input[0]])
    return values.astype(tensor_dtype_to_np_dtype(attributes["to"])) if node.op_type == "Cast" else values


def _on_host(module: fx.GraphModule) -> set[fx.Node]:
    """Return the nodes that compute shapes, back to each OnnxShape, and have those computed on the host."""
    found: set[fx.Node] = set()
    left = [argument for node in module.graph.nodes for argument in _shapes_of(node, module)]
    while left:
        node = left.pop()
        if node in found:
            continue
        found.add(node)
        if _kind(node, module) == "OnnxShape":
            module.add_submodule(node.target, _HostShape(module.get_submodule(node.target)))
        else:
            left += node.all_input_nodes
    return found


def _kind(node: fx.Node, module: fx.GraphModule) -> str:
    return type(module.get_submodule(node.target)).__name__ if node.op == "call_module" else ""


def _shapes_of(node: fx.Node, module: fx.GraphModule) -> Iterator[fx.Node]:
    kind = _kind(node, module)
    if kind.startswith(MADE_OF_SHAPES):
        yield from node.all_input_nodes
    elif kind.startswith(SHAPED):
        yield from (value for value in (*node.args[1:], *node.kwargs.values()) if isinstance(value, fx.Node))


class _HostShape(nn.Module):  # type: ignore[misc]
    """An OnnxShape whose output is on the host, so that reading it does not wait for the GPU."""

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self._part = slice(shape._start, shape._end)  # noqa: SLF001 - nowhere else

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return the requested part of an array's shape, as int64 [n]."""
        return torch.tensor(given.shape[self._part])


def _move(module: fx.GraphModule, on_host: set[fx.Node], device: torch.device, dtype: torch.dtype) -> None:
    """Move weights to `device`, floats as `dtype`, except those that shapes are computed from."""
    stay = {node.target for node in on_host}

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)

    for path, layer in module.named_modules():
        for name, weight in layer.named_parameters(recurse=False):
            setattr(layer, name, nn.Parameter(moved(weight), requires_grad=False))
        for name, buffer in layer.named_buffers(recurse=False):
            if path not in stay and f"{path}.{name}" not in stay:
                setattr(layer, name, moved(buffer))
        if type(layer).__name__ == "OnnxCast" and layer.torch_dtype.is_floating_point and path not in stay:
            layer.torch_dtype = dtype
