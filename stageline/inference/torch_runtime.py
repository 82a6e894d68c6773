"""Runs networks on torch, which serves them on a GPU: half precision, channels last, CUDA graphs."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto

from stageline.core.errors import ModelError
from stageline.inference.cuda_graphs import Compute, PerShape, Recording
from stageline.inference.from_onnx import convert
from stageline.inference.graph import Signature
from stageline.inference.network import FloatArray, reason


class TorchNetwork:
    """See `stageline.inference.Network`. On a CPU this is torch in eager mode, the reference for other runtimes."""

    def __init__(
        self,
        model: ModelProto,
        signature: Signature,
        name: str,
        device: str,
        precision: str = "auto",
        *,
        graphs: bool = True,
    ) -> None:
        """Convert a parsed ONNX file; `model` is changed.

        Args:
            model: as `stageline.inference.graph.read` returns it.
            signature: the inputs and outputs of the model.
            name: the model's name in messages.
            device: ``cpu`` or ``cuda:N``.
            precision: ``float32`` or ``float16``; ``auto`` is float16 on a GPU, where it is as fast as bfloat16 and
                three bits more precise, and float32 on a CPU.
            graphs: whether CUDA graphs are used, on a GPU.

        Raises:
            ModelError: the model cannot be converted.
        """
        self._device = torch.device(device)
        if precision == "auto":
            precision = "float16" if self._device.type == "cuda" else "float32"
        self._dtype = torch.float16 if precision == "float16" else torch.float32
        self._layout = torch.channels_last if precision == "float16" else torch.contiguous_format
        self.name, self.where = name, f"torch {device} {precision}"
        self._signature, self._lock = signature, threading.Lock()
        self._module = convert(model, name, self._device, self._dtype).to(memory_format=self._layout)
        self._run: Compute = self._compute
        self._here: Callable[[], AbstractContextManager[Any]] = nullcontext
        if self._device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # it would round float32 to 10 bits of mantissa
            self._here = lambda: torch.cuda.device(self._device)
            self._run = PerShape(self._compute, self._record) if graphs else self._compute
            self._pool = torch.cuda.graph_pool_handle()

    def run(self, *inputs: npt.NDArray[Any]) -> tuple[FloatArray, ...]:
        """Compute the outputs; see Network."""
        self._signature.check(self.name, inputs)
        try:
            with self._lock, torch.inference_mode(), self._here():
                outputs = tuple(output.cpu().numpy() for output in self._run([_tensor(array) for array in inputs]))
        except Exception as error:  # a layer may raise anything on inputs that it cannot take
            shapes = [list(array.shape) for array in inputs]
            raise ModelError(f"{self.name} cannot take {shapes} on {self.where}: {reason(error)}") from error
        if self._dtype == torch.float16 and not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(f"{self.name} gives numbers that float16 cannot hold: set INFERENCE_PRECISION=float32")
        return outputs

    def _compute(self, inputs: Sequence[Any]) -> Sequence[Any]:
        found = self._module(*map(self._moved, inputs))
        outputs = found if isinstance(found, list | tuple) else [found]
        return [output.float().contiguous() for output in outputs]

    def _moved(self, tensor: Any) -> Any:
        moved = tensor.to(self._device)
        if not moved.is_floating_point():
            return moved
        return moved.to(self._dtype, memory_format=self._layout if moved.dim() == 4 else torch.contiguous_format)  # noqa: PLR2004

    def _record(self, inputs: Sequence[Any]) -> Recording:
        return Recording(self._compute, inputs, self._pool)


def _tensor(array: npt.NDArray[Any]) -> Any:
    """Share an array's memory with torch; a read-only array is copied, since torch warns of it."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
