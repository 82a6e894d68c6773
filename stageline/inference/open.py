"""Chooses the runtime for a network."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from onnx import ModelProto

from stageline.core import logs
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference import device as devices
from stageline.inference import graph
from stageline.inference.graph import Signature
from stageline.inference.network import Network

Precision = Literal["auto", "float32"]
OTHER = {"openvino": "onnxruntime", "onnxruntime": "openvino"}


@dataclass(frozen=True)
class Options:
    """The options for running networks."""

    device: str = "cpu"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    threads: int = 1
    """The number of cores for each call, on a CPU."""
    precision: Precision = "auto"
    """``auto``: bfloat16 on OpenVINO if the CPU supports it, float16 on a GPU, otherwise float32."""

    @classmethod
    def of(cls, settings: Settings) -> "Options":
        """Return the options of DEVICE, INFERENCE_THREADS and INFERENCE_PRECISION."""
        return cls(settings.device, settings.inference_threads, settings.inference_precision)


def open_network(onnx: bytes, name: str, options: Options, cpu_runtime: str = "onnxruntime") -> Network:
    """Load an ONNX file for the device of the options; `cpu_runtime` runs it on a CPU.

    If `cpu_runtime` (``openvino`` or ``onnxruntime``) is not installed, the other one runs it.

    Raises:
        ModelError: the network cannot be run, it has external data, or the device is missing.
    """
    model = graph.read(onnx, name)
    signature = graph.signature_of(model)
    device = devices.choose(options.device)
    if device == "cpu":
        return on_cpu(onnx, signature, name, options, cpu_runtime)
    try:
        return on_gpu(onnx, model, name, options, device)
    except ModelError as error:
        if options.device != "auto":
            raise
        logs.get().warning("not for the GPU", model=name, reason=str(error))
        return on_cpu(onnx, signature, name, options, cpu_runtime)


def on_cpu(onnx: bytes, signature: Signature, name: str, options: Options, runtime: str) -> Network:
    """Load an ONNX file that `graph.read` has checked on one of the CPU's runtimes.

    Raises:
        ModelError: the network cannot be run, or neither runtime is installed.
    """
    chosen = next((each for each in (runtime, OTHER[runtime]) if find_spec(each) is not None), None)
    if chosen is None:
        raise ModelError(f"{name} cannot be run: pip install {runtime} (or {OTHER[runtime]})")
    if chosen != runtime:
        logs.get().info("other runtime", model=name, not_installed=runtime, serving=chosen)
    if chosen == "openvino":
        from stageline.inference.openvino_runtime import OpenVino  # noqa: PLC0415 - a service may do without

        return OpenVino(onnx, signature, name, options.threads, options.precision)
    from stageline.inference.onnx_runtime import OnnxRuntime  # noqa: PLC0415 - likewise

    return OnnxRuntime(onnx, signature, name, options.threads)


def on_gpu(onnx: bytes, model: ModelProto, name: str, options: Options, device: str) -> Network:
    """Load an ONNX file and its parsed `model` on torch; if torch cannot run it, on ONNX Runtime's CUDA.

    Raises:
        ModelError: neither can run it.
    """
    from stageline.inference.torch_runtime import TorchNetwork  # noqa: PLC0415 - a CPU has no use for it

    signature = graph.signature_of(model)
    try:
        return TorchNetwork(model, signature, name, device, options.precision)
    except ModelError as error:
        if find_spec("onnxruntime") is None:
            raise
        from stageline.inference.onnx_runtime import OnnxRuntime  # noqa: PLC0415 - as above

        try:
            return OnnxRuntime(onnx, signature, name, options.threads, device)
        except ModelError as other:
            raise ModelError(f"{error}; {other}") from None
