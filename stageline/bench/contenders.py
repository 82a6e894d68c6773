"""The contenders: each runtime that serves models on a device, and torch in eager mode as the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from stageline.core.errors import ModelError
from stageline.inference import Network, Options, graph
from stageline.inference.device import has_torch
from stageline.inference.open import Precision, on_cpu

EAGER = "torch eager"
RUNTIMES = ("onnxruntime", "openvino")


@dataclass(frozen=True)
class Contender:
    """A runtime with its options; picklable, so that its memory can be measured in a separate process."""

    runtime: str
    """``onnxruntime``, ``openvino``, ``torch`` or ``torch eager``."""
    device: str
    options: Options

    def open(self, onnx: bytes, name: str) -> Network:
        """Load a network.

        Raises:
            ModelError: this runtime cannot run it.
        """
        model = graph.read(onnx, name)
        signature = graph.signature_of(model)
        if self.runtime in RUNTIMES and self.device == "cpu":
            return on_cpu(onnx, signature, name, self.options, self.runtime)
        if self.runtime == "onnxruntime":
            from stageline.inference.onnx_runtime import OnnxRuntime  # noqa: PLC0415 - as `stageline.inference.open`

            return OnnxRuntime(onnx, signature, name, self.options.threads, self.device)
        import torch  # noqa: PLC0415 - only where it was chosen

        from stageline.inference.torch_runtime import TorchNetwork  # noqa: PLC0415 - likewise

        torch.set_num_threads(self.options.threads)
        eager = self.runtime == EAGER
        precision = "float32" if eager else self.options.precision
        return TorchNetwork(model, signature, name, self.device, precision, graphs=not eager)


def contenders(device: str, precisions: Sequence[Precision], threads: int) -> list[Contender]:
    """Return all contenders on ``cpu`` or ``cuda:N``, each in each precision that it has.

    Raises:
        ModelError: no runtime is installed.
    """
    runtimes = ["torch"] if device != "cpu" else [name for name in RUNTIMES if find_spec(name) is not None]
    if device != "cpu" and _onnxruntime_has_cuda():
        runtimes.append("onnxruntime")
    if not runtimes:
        raise ModelError(f"no runtime is installed: pip install {' or '.join(RUNTIMES)}")
    found = []
    for runtime in runtimes:
        has: Sequence[Precision] = ("float32",) if runtime == "onnxruntime" else precisions
        found += [Contender(runtime, device, Options(device, threads, precision)) for precision in has]
    if has_torch():
        found.append(Contender(EAGER, device, Options(device, threads, "float32")))
    return found


def _onnxruntime_has_cuda() -> bool:
    if find_spec("onnxruntime") is None:
        return False
    from stageline.inference.onnx_runtime import has_cuda  # noqa: PLC0415 - only for a GPU

    return has_cuda()
