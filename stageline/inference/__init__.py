"""One interface to every runtime: an ONNX file in, a `Network` out, on a CPU or a GPU."""

from stageline.inference.graph import Array, Signature, check, signature
from stageline.inference.network import FloatArray, Network
from stageline.inference.open import Options, open_network

__all__ = ["Array", "FloatArray", "Network", "Options", "Signature", "check", "open_network", "signature"]
