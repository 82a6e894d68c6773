"""Choosing the runtime for a network."""

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
    """How networks are run."""

    device: str = "cpu"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    threads: int = 1
    """Cores that each call may use, on a CPU."""
    precision: Precision = "auto"
    """``auto``: bfloat16 on OpenVINO where the CPU computes with it, float16 on a GPU, else float32."""

    @classmethod
    def of(cls, settings: Settings) -> "Options":
        """Return what the settings say: DEVICE, INFERENCE_THREADS, INFERENCE_PRECISION."""
        return cls(settings.device, settings.inference_threads, settings.inference_precision)


def open_network(onnx: bytes, name: str, options: Options, cpu_runtime: str = "onnxruntime") -> Network:
    """Load an ONNX file for the device that the options name; `cpu_runtime` serves it on a CPU.

    Where `cpu_runtime` (``openvino`` or ``onnxruntime``) is not installed, the other one serves it.

    Raises:
        ModelError: it is not a network that can be run, it has external data, or the device is not there.
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
    """Load an ONNX file that `graph.read` has looked at on one of the CPU's runtimes.

    Raises:
        ModelError: it cannot be run, or neither runtime is installed.
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
    """Load an ONNX file, and `model`, which is it parsed, on torch; what torch cannot run, on ONNX Runtime's CUDA.

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
