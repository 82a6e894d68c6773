"""From a trained network to an ONNX file: calibrated, with folded layers, and weights of half the size."""

import copy
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from models import torch_export
from models.training import cifar10, networks, trained
from models.training.cifar10 import TrainingPictures
from stageline.core.errors import ModelError
from stageline.inference import Network
from stageline.registry.card import NETWORK

SMALL = 1024  # numbers: smaller tensors stay float32, since they are not worth a node each
MAX_DIFFERENCE = 1e-3  # of logits, which are of the order of 10


def prepare(model: nn.Module, temperature: float) -> nn.Module:
    """Return the network as it is served: a copy in eval mode, on the CPU, its weights rounded to float16.

    Batch normalisation is multiplied into the convolutions, and 1/temperature into the last layer. What follows that
    layer (a ReLU and a mean, in SqueezeNet) commutes with a positive factor, so the logits are divided exactly.

    Raises:
        ModelError: a weight is too large for float16.
    """
    served = copy.deepcopy(model).cpu().float().eval().requires_grad_(requires_grad=False)
    networks.fold_batch_norm(served)
    last = [layer for layer in served.modules() if isinstance(layer, nn.Conv2d | nn.Linear)][-1]
    last.weight.div_(temperature)
    last.bias.div_(temperature)
    for name, weight in served.named_parameters():
        if weight.numel() >= SMALL:
            weight.copy_(weight.half())
        if not torch.isfinite(weight).all():
            raise ModelError(f"{name} has numbers that float16 cannot hold: this network was not trained well")
    return served


def to_onnx(served: nn.Module) -> bytes:
    """Return the ONNX file: ``pixels`` float32 [batch, 3, 32, 32], RGB of 0..255, to ``logits`` [batch, labels]."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / NETWORK
        torch_export.export(served, (2, 3, cifar10.SIDE, cifar10.SIDE), {"logits": ["batch"]}, path)
        model = onnx.load(path)
    _halve(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def largest_difference(network: Network, served: nn.Module, pictures: TrainingPictures) -> float:
    """Return by how much the exported network's logits differ from torch's, at most, on those pictures.

    Raises:
        ModelError: by too much, or in a picture's top class.
    """
    ours = trained.measure(network, pictures).logits
    with torch.inference_mode():
        batches = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2).split(trained.BATCH)
        theirs = torch.cat([served(batch.float()) for batch in batches]).numpy()
    difference = float(np.abs(ours - theirs).max())
    others = int((ours.argmax(1) != theirs.argmax(1)).sum())
    if others or not difference <= MAX_DIFFERENCE:
        raise ModelError(
            f"the export differs from torch: logits by {difference:.2g}, {others} of {len(ours)} top classes"
        )
    return difference


def _halve(graph: onnx.GraphProto) -> None:
    """Store as float16, with a Cast, each large tensor that loses nothing by it; runtimes fold the Cast on loading."""
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if values.size >= SMALL and np.array_equal(half.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
            cast = helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT)
            graph.node.insert(0, cast)
