"""Measures detect and classify without queue and bucket: one worker, and several that share a GPU."""

import itertools
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import classify_service.networks
import detect_service.detectors
from benchmarks.recorder import Recorder
from stageline.bench.contenders import EAGER, Contender
from stageline.core.errors import StagelineError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.inference import Network, Options, open_network
from stageline.local.monolith import WORKER, Made, step, take_in
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Task, Work
from stageline.registry.serving import load_once
from tests.support.processes import peak_rss_mb

STAGES = ("detect", "classify")
SECONDS, ROUNDS = 6.0, 5


@dataclass(frozen=True)
class Prepared:
    """The tasks of each stage for the same pictures: messages and objects from the stages before."""

    tasks: dict[str, list[Task]]


def prepare(folder: Path, settings: Settings, most: int) -> Prepared:
    """Send pictures through the line on the CPU, and keep the tasks of detect and classify.

    Raises:
        StagelineError: there are no pictures.
    """
    on_cpu = settings.model_copy(update={"device": "cpu"})
    works = {stage: stage.load(on_cpu) for stage in line.LINE}
    _load(works.values(), on_cpu)
    tasks: dict[str, list[Task]] = {name: [] for name in STAGES}
    for path in sorted(folder.iterdir())[:most]:
        message, original = take_in(path.read_bytes(), path.name, settings.max_image_pixels)
        made: Made = {original.key: original}
        for stage, work in works.items():
            if stage.name in tasks:
                tasks[stage.name].append(_task(work, message, made))
            message = step(stage, work, message, made)
    if not tasks["detect"]:
        raise StagelineError(f"no pictures in {folder}")
    return Prepared(tasks)


def alone(pictures: Prepared, settings: Settings, device: str) -> Iterator[dict[str, Any]]:
    """Yield, for each stage on one worker, milliseconds a picture: all of it, decoding, and the networks alone."""
    for name in STAGES:
        tasks, calls = pictures.tasks[name], _Calls()
        with calls.recorded():
            work = _loaded(name, settings)
        calls.forget()
        run = _through(work, tasks)
        run()
        given = calls.all()
        plain = _through(_loaded(name, settings), tasks)
        eagerly = Contender(EAGER, device, Options(device))
        eager = {key: eagerly.open(onnx, key) for key, (onnx, _) in calls.opened.items()}
        serving = {key: open_network(onnx, key, *more) for key, (onnx, more) in calls.opened.items()}
        timed: dict[str, Callable[[], object]] = {
            "stage": plain,
            "decoding": partial(_decode, tasks, settings),
            "networks": partial(_replay, given, serving),
            "networks_eager": partial(_replay, given, eager),
        }
        spent = {part: _seconds(call) / len(tasks) for part, call in timed.items()}
        yield {
            "stage": name,
            **{f"{part}_ms": round(1000 * seconds, 2) for part, seconds in spent.items()},
            "pictures_per_second": round(1 / spent["stage"], 1),
            "with_eager": round(1 / (spent["stage"] - spent["networks"] + spent["networks_eager"]), 1),
        }


def shared(pictures: Prepared, settings: Settings, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield, for each stage and number of workers, pictures a second of all, and the memory of each in MiB."""
    spawn = multiprocessing.get_context("spawn")
    for name, count in itertools.product(STAGES, counts):
        before = _gpu_mib()
        with spawn.Manager() as manager, ProcessPoolExecutor(count, mp_context=spawn) as pool:
            ready = manager.Barrier(count + 1)
            running = [pool.submit(_worker, name, pictures.tasks[name], settings, ready) for _ in range(count)]
            ready.wait(300)
            time.sleep(SECONDS / 2)
            taken = _gpu_mib() - before
            done = [each.result() for each in running]
        yield {
            "stage": name,
            "workers": count,
            "pictures_per_second": round(sum(rate for rate, _ in done), 1),
            "gpu_mib_each": round(taken / count),
            "ram_mib_each": round(sum(memory for _, memory in done) / count),
        }


class _Calls:
    """Records how a stage opens its networks, and their inputs."""

    def __init__(self) -> None:
        self.opened: dict[str, tuple[bytes, Sequence[Any]]] = {}
        self._networks: dict[str, Recorder] = {}

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the inputs of networks that are opened in the context."""

        def opened(onnx: bytes, name: str, *more: Any) -> Network:
            self.opened[name] = (onnx, more)
            self._networks[name] = Recorder(open_network(onnx, name, *more))
            return self._networks[name]

        with (
            mock.patch.object(detect_service.detectors, "open_network", opened),
            mock.patch.object(classify_service.networks, "open_network", opened),
        ):
            yield

    def forget(self) -> None:
        """Drop the inputs of the warm-up."""
        for network in self._networks.values():
            network.calls, network.outputs = [], []

    def all(self) -> list[tuple[str, list[Any]]]:
        """Return each call: the network and its inputs."""
        return [(name, inputs) for name, network in self._networks.items() for inputs in network.calls]


def _loaded(name: str, settings: Settings) -> Work:
    work: Work = line.stage(name).load(settings)
    _load([work], settings)
    return work


def _load(works: Any, settings: Settings) -> None:
    load_once([model for work in works for model in work.models], settings, WORKER)


def _task(work: Work, message: Message, made: Made) -> Task:
    return Task(message, {name: made[key].data for name, key in work.inputs(message).items()})


def _through(work: Work, tasks: Sequence[Task]) -> Callable[[], None]:
    def run() -> None:
        for at in range(0, len(tasks), work.batch_size):
            work.run(tasks[at : at + work.batch_size])

    return run


def _decode(tasks: Sequence[Task], settings: Settings) -> None:
    for task in tasks:
        for data in task.inputs.values():
            codec.decode(data, settings.max_image_pixels, at_least=settings.face_max_side)


def _replay(calls: Sequence[tuple[str, list[Any]]], networks: dict[str, Network]) -> None:
    for name, inputs in calls:
        networks[name].run(*inputs)


def _seconds(call: Callable[[], object]) -> float:
    call()  # initialisation happens now: each shape's kernels, and its CUDA graph
    call()
    call()
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return median(spent)


def _worker(name: str, tasks: Sequence[Task], settings: Settings, ready: Any) -> tuple[float, float]:
    """Return pictures a second, and the most memory this process had, in MiB."""
    run = _through(_loaded(name, settings), tasks)
    for _ in range(3):
        run()
    ready.wait(300)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        run()
        count += len(tasks)
    rate = count / (time.perf_counter() - began)
    return rate, peak_rss_mb(os.getpid())


def _gpu_mib() -> float:
    """Return the used memory of the GPU; NaN without nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    except FileNotFoundError:
        return 0.0
