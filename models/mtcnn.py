"""MTCNN's three networks, from the weights inside facenet-pytorch's wheel to ONNX, without torch.

Method: Zhang et al. 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional
Networks", arXiv:1604.02878. Weights: facenet-pytorch 2.5.3 by Tim Esler, MIT licence.

All three graphs take RGB pixels as float32 0..255 (the reference's (x - 127.5) / 128 lies in the first
convolution) and give, along axis 1, the logit of "face" (softmax over two classes is the sigmoid of their
difference), the four box offsets and, for O-Net, the landmarks (five x, then five y).

PReLU is written as `a*x + (1-a)*relu(x)` in convolutions: ONNX Runtime keeps those in its blocked layout,
where its PRelu is a detour that made P-Net 1.8 times slower.
"""

import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.torch_weights import MAX_FILE, Array, Weights, read_state
from stageline.core.errors import ModelError

LAYERS: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    "pnet": {
        "conv1": (10, 3, 3, 3), "prelu1": (10,), "conv2": (16, 10, 3, 3), "prelu2": (16,),
        "conv3": (32, 16, 3, 3), "prelu3": (32,), "conv4_1": (2, 32, 1, 1), "conv4_2": (4, 32, 1, 1),
    },
    "rnet": {
        "conv1": (28, 3, 3, 3), "prelu1": (28,), "conv2": (48, 28, 3, 3), "prelu2": (48,),
        "conv3": (64, 48, 2, 2), "prelu3": (64,), "dense4": (128, 576), "prelu4": (128,),
        "dense5_1": (2, 128), "dense5_2": (4, 128),
    },
    "onet": {
        "conv1": (32, 3, 3, 3), "prelu1": (32,), "conv2": (64, 32, 3, 3), "prelu2": (64,),
        "conv3": (64, 64, 3, 3), "prelu3": (64,), "conv4": (128, 64, 2, 2), "prelu4": (128,),
        "dense5": (256, 1152), "prelu5": (256,), "dense6_1": (2, 256), "dense6_2": (4, 256), "dense6_3": (10, 256),
    },
}  # fmt: skip


def expected_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Name the tensors of `network` (pnet, rnet or onet) and give their shapes."""
    weights = {f"{layer}.weight": shape for layer, shape in LAYERS[network].items()}
    return weights | {f"{n}.bias": s[:1] for n, s in LAYERS[network].items() if not n.startswith("prelu")}


class _Graph:
    """Collects nodes and constants; each method adds one step and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def conv(self, x: str, weight: Array, bias: Array | None = None, group: int = 1) -> str:
        inputs = [x, self.constant(weight)] + ([] if bias is None else [self.constant(bias)])
        return self.node("Conv", inputs, group=group)

    def prelu(self, x: str, slope: Array) -> str:
        each = slope.reshape(-1, 1, 1, 1)
        positive = self.conv(self.node("Relu", [x]), 1 - each, group=len(slope))
        return self.node("Add", [self.conv(x, each, group=len(slope)), positive])

    def pool(self, x: str, size: int) -> str:
        return self.node("MaxPool", [x], kernel_shape=[size, size], strides=[2, 2], ceil_mode=1)

    def dense(self, x: str, weight: Array, bias: Array) -> str:
        return self.node("Gemm", [x, self.constant(weight), self.constant(bias)], transB=1)

    def model(self, name: str, output: str, shape: list[int | str], out: list[int | str]) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [output], ["findings"]))
        floats = helper.make_tensor_value_info
        ends = [floats("pixels", TensorProto.FLOAT, shape)], [floats("findings", TensorProto.FLOAT, out)]
        graph = helper.make_graph(self.nodes, name, *ends, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def _first(weights: Weights) -> tuple[Array, Array]:
    """Give the first convolution for pixels 0..255: W·(x - 127.5)/128 + b."""
    weight = weights["conv1.weight"] / np.float32(128)
    return weight, weights["conv1.bias"] - np.float32(127.5) * weight.sum(axis=(1, 2, 3))


def _heads(weights: Weights, face: str, *others: str) -> tuple[Array, Array]:
    """Stack the output layers into one: the face logit (class 1 minus class 0), then the rest."""
    stacked = []
    for part in ("weight", "bias"):
        both = weights[f"{face}.{part}"]
        stacked.append(np.concatenate([both[1:] - both[:1], *(weights[f"{other}.{part}"] for other in others)]))
    return stacked[0], stacked[1]


def _pooled_prelu(graph: _Graph, x: str, weight: Array, bias: Array, slope: Array) -> str:
    """Convolution, PReLU and 2x2 max-pooling, with the PReLU after the pooling, on a quarter of the pixels.

    A rising PReLU (slope >= 0) commutes with max. A V-shaped one does not, but its maximum is the larger of
    max(x) and max(slope*x) = p and q: q gets a channel of its own (10 + 6 fill the block of 16 that is computed
    anyway), and max(p, q) = q + relu(p - q).
    """
    down = np.flatnonzero(slope < 0)
    scale = slope[down]
    wide = np.concatenate([weight, weight[down] * scale[:, None, None, None]])
    pooled = graph.pool(graph.conv(x, wide, np.concatenate([bias, bias[down] * scale])), 2)
    count = len(slope)
    gate = np.eye(count, count + len(down), dtype=np.float32)
    gate[down, count + np.arange(len(down))] = -1
    rest = np.eye(count, count + len(down), dtype=np.float32) * np.maximum(slope, 0)[:, None]
    rest[down, count + np.arange(len(down))] = 1
    gain = np.diag(np.where(slope < 0, np.float32(1), 1 - slope))
    gated = graph.conv(graph.node("Relu", [graph.conv(pooled, gate[:, :, None, None])]), gain[:, :, None, None])
    return graph.node("Add", [graph.conv(pooled, rest[:, :, None, None]), gated])


def pnet(weights: Weights) -> onnx.ModelProto:
    """Build P-Net: pixels [1, 3, h, w] to findings [1, 5, h', w'], one cell per 2 pixels, 12 pixels wide."""
    graph = _Graph()
    x = _pooled_prelu(graph, "pixels", *_first(weights), weights["prelu1.weight"])
    x = graph.prelu(graph.conv(x, weights["conv2.weight"], weights["conv2.bias"]), weights["prelu2.weight"])
    x = graph.conv(x, weights["conv3.weight"], weights["conv3.bias"])
    heads, bias = _heads(weights, "conv4_1", "conv4_2")
    slope = weights["prelu3.weight"].reshape(1, -1, 1, 1)  # the last PReLU's two terms go into the 1x1 heads
    positive = graph.conv(graph.node("Relu", [x]), heads * (1 - slope))
    x = graph.node("Add", [graph.conv(x, heads * slope, bias), positive])
    return graph.model("pnet", x, [1, 3, "height", "width"], [1, 5, "rows", "columns"])


def _refiner(
    weights: Weights, name: str, side: int, pools: tuple[int, ...], dense: str, *heads: str
) -> onnx.ModelProto:
    """Build R-Net or O-Net: convolutions with `pools` behind the first of them, a dense layer, the heads."""
    graph, x = _Graph(), "pixels"
    layers = [layer for layer in LAYERS[name] if layer.startswith("conv")]
    for index, layer in enumerate(layers):
        weight, bias = _first(weights) if index == 0 else (weights[f"{layer}.weight"], weights[f"{layer}.bias"])
        x = graph.prelu(graph.conv(x, weight, bias), weights[f"prelu{index + 1}.weight"])
        x = graph.pool(x, pools[index]) if index < len(pools) else x
    weight = weights[f"{dense}.weight"]
    channels = LAYERS[name][layers[-1]][0]
    cells = math.isqrt(weight.shape[1] // channels)  # the reference flattens width, height, channel: turn the weights
    weight = weight.reshape(-1, cells, cells, channels).transpose(0, 3, 2, 1).reshape(weight.shape)
    x = graph.dense(graph.node("Flatten", [x]), weight, weights[f"{dense}.bias"])
    x = graph.node("PRelu", [x, graph.constant(weights[f"prelu{dense[-1]}.weight"])])
    head = _heads(weights, *heads)
    return graph.model(name, graph.dense(x, *head), ["faces", 3, side, side], ["faces", len(head[1])])


def rnet(weights: Weights) -> onnx.ModelProto:
    """Build R-Net: pixels [n, 3, 24, 24] to findings [n, 5]."""
    return _refiner(weights, "rnet", 24, (3, 3), "dense4", "dense5_1", "dense5_2")


def onet(weights: Weights) -> onnx.ModelProto:
    """Build O-Net: pixels [n, 3, 48, 48] to findings [n, 15]."""
    return _refiner(weights, "onet", 48, (3, 3, 2), "dense5", "dense6_1", "dense6_2", "dense6_3")


BUILDERS: Final[dict[str, Callable[[Weights], onnx.ModelProto]]] = {"pnet": pnet, "rnet": rnet, "onet": onet}


def convert(wheel: Path, folder: Path) -> None:
    """Write pnet.onnx, rnet.onnx and onet.onnx into `folder`, from facenet-pytorch's wheel.

    Raises:
        ModelError: it cannot be read, lacks the weights, or they are not what they must be.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, build in BUILDERS.items():
                with archive.open(f"facenet_pytorch/data/{name}.pt") as file:
                    weights = read_state(file.read(MAX_FILE + 1), expected_shapes(name))
                (folder / f"{name}.onnx").write_bytes(build(weights).SerializeToString(deterministic=True))
    except (OSError, zipfile.BadZipFile, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(f"{wheel.name} is not facenet-pytorch's wheel: {error}") from error
