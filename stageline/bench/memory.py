"""Measures the memory of a network, in a process that does nothing else."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from stageline.bench.cases import Case
from stageline.bench.contenders import Contender

STATUS = Path("/proc/self/statm")
CALLS = 3


def growth(contender: Contender, case: Case) -> float | None:
    """Return the MiB that a network takes in a process that loads and runs it; None if this system does not report it.

    The runtime itself, which all networks share, is not counted. On a GPU this is the largest amount that torch
    allocated.

    Raises:
        ModelError: the network cannot be run.
    """
    if contender.device == "cpu" and not STATUS.exists():
        return None
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        return alone.submit(_measured, contender, case.onnx, case.model, case.calls).result()


def _measured(
    contender: Contender, onnx: bytes, name: str, calls: Sequence[Sequence[npt.NDArray[Any]]]
) -> float | None:
    tiny = contender.open(_tiny_network(), "a network of one operator")
    tiny.run(np.zeros((1, 3, 8, 8), np.float32))  # the runtime allocates its own memory now
    before = _resident() if contender.device == "cpu" else 0.0
    network = contender.open(onnx, name)
    for _ in range(CALLS):
        for inputs in calls:
            network.run(*inputs)
    if contender.device == "cpu":
        return _resident() - before
    if not contender.runtime.startswith("torch"):
        return None
    import torch  # noqa: PLC0415 - only where it was chosen

    return float(torch.cuda.max_memory_allocated(contender.device)) / 2**20


def _resident() -> float:
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _tiny_network() -> bytes:
    shape: list[str | int | None] = ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )
