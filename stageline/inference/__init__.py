"""Runs ONNX files on a CPU or a GPU, by one interface. May use: core, imaging, registry."""

from stageline.inference.graph import Array, Signature, signature
from stageline.inference.network import FloatArray, Network
from stageline.inference.open import Options, open_network

__all__ = ["Array", "FloatArray", "Network", "Options", "Signature", "open_network", "signature"]
