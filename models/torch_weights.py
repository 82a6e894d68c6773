"""Reads the state dicts that torch.save wrote before version 1.6, without torch and without trusting the file.

Such a file is five pickles (a magic number, a protocol number, a description of the machine, the state dict, the
storages' keys), then each storage: its length as int64 and its numbers. Source: torch/serialization.py, `_legacy_load`.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]

MAX_FILE: Final = 8 << 20  # bytes; the largest real file has 1.6 MB
MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001


class _Tensor(NamedTuple):
    """A tensor as described by the pickle; untrusted until `read_state` has checked it."""

    storage: object
    offset: object
    shape: object
    stride: object


def _rebuild(storage: object, offset: object, shape: object, stride: object, *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, stride)


class _Unpickler(pickle._Unpickler):  # noqa: SLF001 - its name in the standard library
    """Knows the three names a state dict of float32 tensors needs, and refuses every other.

    It is the unpickler written in Python: the one in C takes 34 GB when a few bytes name a high memo index.
    """

    KNOWN: Final[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): "FloatStorage",
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"refused: the file asks for {module}.{name}")
        return self.KNOWN[module, name]

    def persistent_load(self, pid: Any) -> str:
        kind, storage, key, _device, _count, view = pid
        if (kind, storage, view) != ("storage", "FloatStorage", None) or not isinstance(key, str):
            raise pickle.UnpicklingError("refused: a storage that is not plain float32")
        return key


def read_state(data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """Read a state dict of float32 tensors from the bytes of a whole file.

    `shapes` names every tensor that must be there and its shape; the result maps the same names to
    float32 arrays. Raises pickle.UnpicklingError when a global is foreign, the data end early, or names,
    shapes or sizes differ.
    """
    if len(data) > MAX_FILE:
        raise pickle.UnpicklingError(f"refused: {len(data)} bytes of weights, at most {MAX_FILE} expected")
    try:
        return _read(BytesIO(data), shapes)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a hostile pickle fails in any way it likes
        raise pickle.UnpicklingError(f"broken weights: {type(error).__name__}: {error}") from error


def _read(file: BytesIO, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    magic, protocol, system, state, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol, system["little_endian"]) != (MAGIC, PROTOCOL, True):
        raise pickle.UnpicklingError("not a little-endian file of torch.save from before 1.6")
    storages = {key: _storage(file) for key in keys}
    if set(state) != set(shapes):
        raise pickle.UnpicklingError(f"wrong names: {sorted(set(state) ^ set(shapes))[:4]}")
    return {name: _array(state[name], storages, shape) for name, shape in shapes.items()}


def _storage(file: BytesIO) -> Array:
    """Read one storage: its length as int64, then that many float32."""
    length = int.from_bytes(file.read(8), "little", signed=True)
    raw = file.read(4 * length) if 0 < length <= MAX_FILE // 4 else b""
    if not raw or len(raw) != 4 * length:
        raise pickle.UnpicklingError(f"truncated: a storage of {length} numbers has {len(raw)} bytes")
    return np.frombuffer(raw, "<f4").astype(np.float32)


def _array(tensor: object, storages: dict[str, Array], shape: tuple[int, ...]) -> Array:
    """Return the tensor's numbers in C order; its strides, in any order, must fill its storage."""
    if not isinstance(tensor, _Tensor) or (tensor.offset, tensor.shape) != (0, shape):
        raise pickle.UnpicklingError(f"wrong tensor: {str(tensor)[:80]}, expected the shape {shape}")
    storage, strides = storages[str(tensor.storage)], tensor.stride
    if not isinstance(strides, tuple) or not all(type(s) is int and 0 < s <= storage.size for s in strides):
        raise pickle.UnpicklingError("wrong strides")
    last = sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))
    if not storage.size == math.prod(shape) == last + 1 or not np.isfinite(storage).all():
        raise pickle.UnpicklingError(f"{storage.size} numbers for the shape {shape}, or some that are not finite")
    view = np.lib.stride_tricks.as_strided(storage, shape, [4 * stride for stride in strides])
    return np.ascontiguousarray(view)
