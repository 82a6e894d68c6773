"""Measures the error of the estimated times.

    python -m benchmarks.estimates FOLDER_OF_PICTURES [--rounds N] [--models FOLDER]

Sends the pictures several times over, in loads from one at a time to all at once, and compares what was estimated when
each was accepted with what it took. The first lap, in which the line learns, is not counted.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.contenders import OurLine
from stageline.broker.keys import status_key

WORKERS = {"detect": 2}
LOADS = (1, 8, 32, 128)  # pictures sent at once


class Estimating(OurLine):
    """The line, with its estimates, which are read afterwards."""

    estimates: Mapping[str, tuple[float, float]]

    def _done(self, image_ids: Sequence[str]) -> dict[str, float]:
        ended = super()._done(image_ids)
        pipe = self._queue.pipeline(transaction=False)
        for image_id in image_ids:
            pipe.hmget(status_key(image_id), "estimate", "created_at")
        answers = zip(image_ids, pipe.execute(), strict=True)
        self.estimates = {
            image_id: (float(estimate), ended[image_id] - datetime.fromisoformat(at).timestamp())
            for image_id, (estimate, at) in answers
            if estimate is not None
        }
        return ended


def main() -> None:
    """Print, for each load, its seconds and the error of the estimates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pictures = sorted(given.pictures.glob("*.jpg"))[: max(LOADS)]
    with tempfile.TemporaryDirectory() as folder:
        line = Estimating(Path(folder), WORKERS, {"MODELS_DIR": str(given.models.absolute())})
        try:
            line.lap(pictures)
            print(f"{'at once':>8} {'took p50':>9} {'estimate p50':>13} {'error p50':>10} {'within half':>12}")
            for load in LOADS:
                estimates = [pair for _ in range(given.rounds) for pair in _lap(line, pictures[:load])]
                _print(load, estimates)
        finally:
            line.stop()


def _lap(line: Estimating, pictures: Sequence[Path]) -> list[tuple[float, float]]:
    line.lap(pictures)
    return list(line.estimates.values())


def _print(load: int, estimates: Sequence[tuple[float, float]]) -> None:
    off = [abs(estimate - took) / took for estimate, took in estimates]
    took, estimate = (statistics.median(each) for each in ([t for _, t in estimates], [e for e, _ in estimates]))
    half = sum(error <= 0.5 for error in off) / len(off)
    print(f"{load:>8} {took:>8.2f}s {estimate:>12.2f}s {100 * statistics.median(off):>9.0f}% {100 * half:>11.0f}%")


if __name__ == "__main__":
    main()
