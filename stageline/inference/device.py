"""Chooses the device for networks: DEVICE, checked against the machine."""

import ctypes
import sys
from importlib.util import find_spec

from stageline.core.errors import ModelError

HOW_TO_GET_IT = "pip install 'stageline[gpu]', or set DEVICE=cpu"


def choose(wanted: str) -> str:
    """Return ``cpu`` or ``cuda:N`` for a value of DEVICE; torch is imported only if a GPU may be used.

    Raises:
        ModelError: a GPU is wanted, and the GPU, torch or onnx2torch is missing.
    """
    if wanted == "cpu":
        return wanted
    if wanted == "auto":
        return "cuda:0" if has_torch() and _has_driver() and _count() else "cpu"
    if not has_torch():
        raise ModelError(f"DEVICE={wanted} needs torch and onnx2torch, which are not installed: {HOW_TO_GET_IT}")
    number, count = int(wanted.partition(":")[2] or 0), _count()
    if number >= count:
        found = f"there are {count}, from cuda:0 on" if count else "it finds no GPU, or no driver that fits it"
        raise ModelError(f"DEVICE={wanted}: torch cannot use that GPU, {found}; set DEVICE=auto or cpu")
    return f"cuda:{number}"


def has_torch() -> bool:
    """Return whether torch and onnx2torch are installed."""
    return all(find_spec(name) is not None for name in ("torch", "onnx2torch"))


def _has_driver() -> bool:
    """Return whether NVIDIA's driver is installed: importing torch in vain costs each worker seconds and 300 MB."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _count() -> int:
    import torch  # noqa: PLC0415 - only where it may be of use

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
