"""Compares each runtime and precision with ONNX Runtime at float32 on the CPU, on real pictures.

    python -m benchmarks.parity DATA [--models DIR] [--device cpu] [--pictures N] [--every K] [--json FILE]

DATA holds coco128/images, faces and cifar10/test.zip. Compared are the models served from DIR (that of the settings
without it) and those of models/trained; torch joins in where torch and onnx2torch are installed. Networks get what
the reference got while it found objects, faces or classes; one for embeddings gets whole pictures. The columns:

- difference: the largest absolute one of an output, by the largest number in it; of several outputs, the worst;
- same class: the share of pictures with the same top class; accuracy: on every K-th test picture of CIFAR-10;
- cosine: the smallest between an embedding and the reference's;
- boxes: how many of the reference's objects (score at least 0.3) or faces are found again, with the same label and an
  overlap of 0.5 at least, and how many are found beside them; box px: the largest distance of an edge of those.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import overlaps
from benchmarks.recorder import Recorder
from detect_service.faces import FaceDetector
from detect_service.objects import ObjectDetector
from models.training import cifar10, trained
from stageline.bench.cases import MAX_PICTURES, cases, read_pictures
from stageline.bench.contenders import Contender, contenders
from stageline.bench.models import chosen
from stageline.core.errors import ModelError, StagelineError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.inference import FloatArray, Network, Options, graph
from stageline.inference.device import choose, has_torch
from stageline.registry.card import ModelFiles
from stageline.registry.repository import open_repository

Box = tuple[str, tuple[float, float, float, float]]  # a label, and x1, y1, x2, y2 in pixels
Open = Callable[[bytes, str], Network]
Networks = Mapping[str, Network]
MAX_PIXELS, LONGER_SIDE, MIN_SCORE, SAME = 50_000_000, 640, 0.3, 0.5
REFERENCE = Contender("onnxruntime", "cpu", Options("cpu", 1, "float32"))
TABLE = "{:<30}{:<25}{:>9}{:>12}{:>12}{:>10}{:>10}{:>10}{:>8}"
SHOWN = {"difference": ".1e", "same_class": ".2%", "accuracy": ".2%", "cosine": ".6f", "box_px": ".3f"}


@dataclass(frozen=True)
class Parity:
    """The figures of one network, or of a whole detector, on one runtime; None if a column does not apply."""

    network: str
    runtime: str
    pictures: int
    difference: float | None = None
    same_class: float | None = None
    accuracy: float | None = None
    cosine: float | None = None
    boxes: str | None = None
    box_px: float | None = None

    def text(self) -> str:
        """Return the row of the table."""
        cells = asdict(self).items()
        return TABLE.format(*("–" if cell is None else format(cell, SHOWN.get(key, "")) for key, cell in cells))


@dataclass(frozen=True)
class Data:
    """Pictures, BGR uint8 [h, w, 3], with and without faces, and CIFAR-10's."""

    objects: Sequence[codec.Pixels]
    faces: Sequence[codec.Pixels]
    classes: cifar10.TrainingPictures

    @classmethod
    def read(cls, folder: Path, most: int, every: int) -> "Data":
        """Read the first `most` pictures (those of faces/ before others), and every `every`-th of CIFAR-10's test."""
        objects = read_pictures(folder / "coco128" / "images", MAX_PIXELS)
        faces = [*read_pictures(folder / "faces", MAX_PIXELS), *objects][:most]
        small = [codec.shrink(each, *codec.fit(each.shape[1], each.shape[0], LONGER_SIDE)) for each in faces]
        classes = cifar10.load(folder / "cifar10", "test")
        return cls(objects[:most], small, classes.take(np.arange(0, len(classes), every)))


def difference(expected: Sequence[Sequence[FloatArray]], found: Sequence[Sequence[FloatArray]]) -> float:
    """Return the largest difference over some calls, relative to its output's largest number, of the worst output."""

    def largest(arrays: Iterable[FloatArray]) -> float:
        return max(float(np.abs(array).max(initial=0)) for array in arrays)

    outputs = zip(zip(*expected, strict=True), zip(*found, strict=True), strict=True)
    return max((largest(map(np.subtract, a, b)) / (largest(a) or 1.0) for a, b in outputs), default=0.0)


def same_boxes(expected: Sequence[Box], found: Sequence[Box]) -> tuple[int, float]:
    """Return the number of boxes found again, each once, and the largest distance of an edge of those in pixels."""
    left, again, furthest = list(found), 0, 0.0
    for label, box in expected:
        alike = [each for each in left if each[0] == label]
        shared = overlaps(np.array([box]), np.array([each[1] for each in alike]).reshape(-1, 4))[0]
        if shared.max(initial=0) >= SAME:
            near = alike[int(shared.argmax())]
            left.remove(near)
            again += 1
            furthest = max(furthest, float(np.abs(np.subtract(near[1], box)).max()))
    return again, furthest


def detected(model: ModelFiles, networks: Networks, data: Data) -> list[list[Box]] | None:
    """Return a detector's findings in each picture; None if the model is no detector."""
    if model.card.task == "object-detection":
        (network,) = networks.values()
        finder = ObjectDetector(network, model.card)
        if isinstance(network, Recorder):
            network.calls, network.outputs = [], []  # those of plain pictures, from warming up
        return [[(each.label, each.box) for each in finder.detect(bgr, MIN_SCORE)] for bgr in data.objects]
    if model.card.task == "face-detection":
        faces = FaceDetector(networks["pnet.onnx"], networks["rnet.onnx"], networks["onet.onnx"])
        return [[("face", each.box) for each in faces.detect(bgr)] for bgr in data.faces]
    return None


def compare(model: ModelFiles, data: Data, others: Mapping[str, Open], note: Callable[[str], None]) -> Iterator[Parity]:
    """Yield a row for each network of a model on each runtime, the reference first; pass errors to `note`."""
    recorders = {file: Recorder(REFERENCE.open(onnx, file)) for file, onnx in model.files.items()}
    expected = detected(model, recorders, data)
    if expected is None:
        _classify_or_embed(model, recorders, data)
    for name, make in {"onnxruntime cpu float32": None, **others}.items():
        try:
            networks = {file: make(onnx, file) if make else recorders[file] for file, onnx in model.files.items()}
            yield from _rows(model, recorders, networks, data)
            if expected is not None:
                found = expected if make is None else detected(model, networks, data)
                yield _boxes_row(model, next(iter(networks.values())).where, expected, found or [])
        except ModelError as error:
            note(f"{name}: {error}")


def _classify_or_embed(model: ModelFiles, networks: Networks, data: Data) -> None:
    if model.card.labels == cifar10.LABELS:
        trained.measure(networks["model.onnx"], data.classes)
        return
    for bgr in data.faces if model.card.task == "face-embedding" else data.objects:
        networks["model.onnx"].run(*next(cases(model, [bgr], [1])).calls[0])


def _rows(model: ModelFiles, recorders: Mapping[str, Recorder], networks: Networks, data: Data) -> Iterator[Parity]:
    """Yield the row of each network for the reference's inputs."""
    for file, recorder in recorders.items():
        network = networks[file]
        found = recorder.outputs if network is recorder else [network.run(*inputs) for inputs in recorder.calls]
        name = model.card.reference + (f"/{file}" if len(recorders) > 1 else "")
        pictures = data.faces if model.card.task.startswith("face") else data.objects
        row = Parity(name, network.where, len(pictures), difference(recorder.outputs, found))
        if model.card.task in ("classification", "face-embedding"):
            ours, theirs = (np.concatenate([output[0] for output in each]) for each in (recorder.outputs, found))
            row = _by_task(row, model, ours, theirs, data)
        yield row


def _by_task(row: Parity, model: ModelFiles, ours: FloatArray, theirs: FloatArray, data: Data) -> Parity:
    if model.card.task == "face-embedding":
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        return replace(row, cosine=float(((ours * theirs).sum(axis=1) / lengths).min()))
    same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    right = trained.MeasuredNetwork(theirs, data.classes.labels, 0) if model.card.labels == cifar10.LABELS else None
    return replace(row, pictures=len(ours), same_class=same, accuracy=right.accuracy if right else None)


def _boxes_row(model: ModelFiles, where: str, expected: Sequence[list[Box]], found: Sequence[list[Box]]) -> Parity:
    counts, distances = zip(*map(same_boxes, expected, found), strict=True)
    beside = sum(map(len, found)) - sum(counts)
    boxes = f"{sum(counts)}/{sum(map(len, expected))}" + (f" +{beside}" if beside else "")
    return Parity(f"{model.card.reference}, boxes", where, len(expected), boxes=boxes, box_px=max(distances))


def runtimes(device: str) -> dict[str, Open]:
    """Return the installed runtimes except the reference, on one core of the CPU or on a GPU.

    Raises:
        ModelError: the device is not there.
    """
    every = [each for each in contenders(choose(device), ("float32", "auto"), 1) if each != REFERENCE]
    found: dict[str, Open] = {f"{each.runtime} {each.options.precision}": each.open for each in every}
    return {**found, "torch float16": _torch_in_half} if device == "cpu" and has_torch() else found


def _torch_in_half(onnx: bytes, name: str) -> Network:
    from stageline.inference.torch_runtime import TorchNetwork

    return TorchNetwork(graph.read(onnx, name), graph.signature(onnx, name), name, "cpu", "float16")


def models(folder: Path | None) -> list[ModelFiles]:
    """Return the models served from a folder, and those trained here that are not served, by name."""
    repository = open_repository(Settings(models_dir=folder) if folder else Settings())
    found = {model.card.reference: model for model in (*trained.versions(), *chosen(repository, ()))}
    return [model for _, model in sorted(found.items())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 0, or 2 if pictures or models are missing."""
    parser, rows = _parser(), []
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error("--every must be at least 1")
    try:
        data, others = Data.read(options.data, options.pictures, options.every), runtimes(options.device)
        print(TABLE.format(*(each.name.replace("_", " ") for each in fields(Parity))))
        for model in models(options.models):
            for row in compare(model, data, others, lambda text: print(text, file=sys.stderr)):
                print(row.text(), flush=True)
                rows.append(row)
    except (StagelineError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.parity", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="holds coco128/, faces/ and cifar10/")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--models", type=Path, metavar="DIR", help="models as stageline models fetch installs them")
    most = range(1, MAX_PICTURES + 1)
    parser.add_argument("--pictures", type=int, default=8, choices=most, metavar="N", help="for detectors, 1 to 16")
    parser.add_argument("--every", type=int, default=5, metavar="K", help="only every K-th picture of CIFAR-10's test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
