"""Measures detect and classify on a GPU: the detectors in batches, and each stage's pictures a second.

    python -m benchmarks.gpu FOLDER_OF_PICTURES [--device cuda] [--workers 1,2,4,8] [--batch 1,8,32] [--json FILE]

Three tables, each with torch in eager mode at float32 beside it:

- the object detector and P-Net, whose files take one picture at a time, with a free batch;
- detect and classify on one worker, decoding included, and their networks alone, by replaying what these were given;
- several workers that share the GPU: pictures a second of all, and the memory of each.

Models are those that MODELS_DIR serves. The stages run as they do in the line, without queue and bucket.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

from benchmarks import gpu_stages
from stageline.bench import models as bench
from stageline.bench.cases import Case, noise
from stageline.bench.contenders import contenders
from stageline.core.errors import StagelineError
from stageline.core.settings import Settings
from stageline.inference import device as devices
from stageline.inference.graph import signature
from stageline.inference.model_input import as_array, resized
from stageline.registry.repository import open_repository

SIZES = {"yolox-nano": (320, 416), "mtcnn": (144, 192)}  # height, width: of 640×480, as the stage shrinks it
FILES = {"yolox-nano": "model.onnx", "mtcnn": "pnet.onnx"}


def free_batch(network: bytes) -> bytes:
    """Return a network of batch size 1 with a free batch size."""
    model = onnx.load_from_string(network)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in shapes:
            shape = numpy_helper.to_array(tensor).copy()
            shape[0] = 0  # a free size
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def batches(settings: Settings, sizes: Sequence[int]) -> Iterator[Case]:
    """Yield the detectors' networks with a free batch, in each batch size."""
    for model in bench.chosen(open_repository(settings), list(SIZES)):
        network, (height, width) = free_batch(model.files[FILES[model.card.name]]), SIZES[model.card.name]
        picture = resized(noise()[0], width, height)
        for size in sizes:
            calls = [[as_array([picture] * size, model.card.input)]]
            yield Case(model.card.name, network, signature(network), size, calls, size)


def batched(settings: Settings, device: str, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for each network, batch size, runtime and precision."""
    who = contenders(device, ("auto", "float32"), 1)
    for case in batches(settings, sizes):
        for row in bench.measure_case(case, who, bench.How(rounds=3, memory=False), _note):
            yield bench.as_json(row)


def main() -> int:
    """Print the tables; return 0, or 2 if models, pictures or the device are missing."""
    given = _parser().parse_args()
    settings = Settings(device=given.device, inference_precision="auto")
    found: dict[str, Any] = {}
    try:
        device = devices.choose(given.device)
        found["batches"] = _table("in batches", batched(settings, device, given.batch))
        pictures = gpu_stages.prepare(given.folder, settings, given.pictures)
        found["stages"] = _table("one worker", gpu_stages.alone(pictures, settings, device))
        found["shared"] = _table("sharing", gpu_stages.shared(pictures, settings, given.workers))
    except (StagelineError, OSError) as error:
        _note(str(error))
        return 2
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def _table(title: str, rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    print(f"\n{title}")
    kept: list[dict[str, Any]] = []
    for row in rows:
        if not kept:
            print("  ".join(f"{name:>16}" for name in row))
        print("  ".join(f"{'–' if cell is None else cell!s:>16}" for cell in row.values()), flush=True)
        kept.append(row)
    return kept


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of pictures")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    parser.add_argument("--pictures", type=int, default=64, metavar="N", help="how many of the folder are used")
    parser.add_argument("--workers", type=_numbers, default=[1, 2, 4, 8], help="how many share the GPU, by turns")
    parser.add_argument("--batch", type=_numbers, default=[1, 2, 4, 8, 16, 32, 64], help="pictures in a call")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
