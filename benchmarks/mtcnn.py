"""Compare our face detection with facenet-pytorch's: the same faces, and how much faster, on one core.

    python -m benchmarks.mtcnn PICTURES_FOLDER... [--models DIR] [--rounds N]

DIR holds pnet.onnx, rnet.onnx and onet.onnx, as models/mtcnn.py writes them. Needs torch, torchvision and
facenet-pytorch (2.5.3) beside what Stageline itself needs. Pictures are decoded beforehand; every picture is
timed on both sides in turn, so that a busy machine slows both alike.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detect_service.faces import Face, FaceDetector
from stageline.inference import Options, open_network

Picture = npt.NDArray[np.uint8]
Detect = Callable[[Picture], list[Face]]
BOX_LIMIT, SCORE_LIMIT = 2.0, 0.02  # pixels, probability: more is a mismatch


@dataclass
class Agreement:
    """The findings of two detectors, and their distances."""

    ours: int = 0
    theirs: int = 0
    box: float = 0.0
    score: float = 0.0
    landmark: float = 0.0
    mismatches: list[str] = field(default_factory=list)

    def add(self, name: str, ours: list[Face], theirs: list[Face]) -> None:
        """Compare the faces of the picture `name`, each of theirs with our nearest that is not taken yet."""
        self.ours, self.theirs = self.ours + len(ours), self.theirs + len(theirs)
        left = list(ours)
        for face in theirs:
            if not left:
                break
            near = min(left, key=lambda other: _apart(other.box, face.box))
            left.remove(near)
            box, score = _apart(near.box, face.box), abs(near.score - face.score)
            self.box, self.score = max(self.box, box), max(self.score, score)
            self.landmark = max(self.landmark, _apart(sum(near.landmarks, ()), sum(face.landmarks, ())))
            if box > BOX_LIMIT or score > SCORE_LIMIT:
                self.mismatches.append(f"{name}: box {box:.2f} px, score {score:.3f} apart")
        if len(ours) != len(theirs):
            self.mismatches.append(f"{name}: {len(ours)} faces, facenet-pytorch {len(theirs)}")


def _apart(some: Iterable[float], others: Iterable[float]) -> float:
    return max(abs(a - b) for a, b in zip(some, others, strict=True))


def load_ours(folder: Path) -> Detect:
    """Return our detector, on one core, with the three networks in `folder`."""
    pnet, rnet, onet = (
        open_network((folder / f"{name}.onnx").read_bytes(), name, Options()) for name in ("pnet", "rnet", "onet")
    )
    return FaceDetector(pnet, rnet, onet).detect


def load_theirs() -> Detect:
    """Return facenet-pytorch's detector, on one core. Raises ImportError if it is not installed."""
    import torch
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    mtcnn = MTCNN(keep_all=True, min_face_size=40, device="cpu")

    def detect(bgr: Picture) -> list[Face]:
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        try:
            boxes, scores, points = mtcnn.detect(rgb, landmarks=True)  # under no_grad
        except (RuntimeError, IndexError, ValueError):  # its errors when nothing was proposed
            return []
        rows: Any = () if boxes is None else zip(boxes.tolist(), scores.tolist(), points.tolist(), strict=True)
        return [Face(tuple(box), score, tuple(map(tuple, marks))) for box, score, marks in rows]

    return detect


def read_pictures(folders: Iterable[Path]) -> dict[str, Picture]:
    """Decode every picture of `folders`, by file name; files that are none are left out."""
    read = {p.name: cv2.imread(str(p), cv2.IMREAD_COLOR) for folder in folders for p in sorted(folder.iterdir())}
    return {name: picture.astype(np.uint8, copy=False) for name, picture in read.items() if picture is not None}


def measure(
    ours: Detect, theirs: Detect, pictures: dict[str, Picture], rounds: int = 1
) -> tuple[Agreement, list[float], list[float]]:
    """Run both on every picture: parity, and each picture's best time in milliseconds for ours and theirs."""
    parity, times = Agreement(), ([], [])  # type: tuple[Agreement, tuple[list[float], list[float]]]
    for name, picture in pictures.items():
        best = [float("inf"), float("inf")]
        for _ in range(rounds):
            found = []
            for side, detect in enumerate((ours, theirs)):
                start = time.perf_counter()
                found.append(detect(picture))
                best[side] = min(best[side], 1000 * (time.perf_counter() - start))
        parity.add(name, found[0], found[1])
        times[0].append(best[0])
        times[1].append(best[1])
    return parity, *times


def report(parity: Agreement, ours: list[float], theirs: list[float]) -> str:
    """Return the result of `measure` as text."""
    lines = [
        f"pictures {len(ours)}; faces: ours {parity.ours}, facenet-pytorch {parity.theirs}",
        f"largest difference: box {parity.box:.4f} px, landmark {parity.landmark:.4f} px, score {parity.score:.6f}",
        f"mismatches (box > {BOX_LIMIT} px, score > {SCORE_LIMIT}, or another number): {len(parity.mismatches)}",
        *(f"  {line}" for line in parity.mismatches),
        "ms per picture     ours  facenet-pytorch  ratio",
    ]
    for name, middle in (("median", np.median), ("mean", np.mean)):
        a, b = float(middle(ours)), float(middle(theirs))
        lines.append(f"{name:<14} {a:>8.2f} {b:>16.2f} {b / a:>6.2f}")
    return "\n".join(lines)


def main() -> int:
    """Run the comparison; 0 when both find the same, 1 when not, 2 when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mtcnn", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="PICTURES_FOLDER")
    parser.add_argument("--models", type=Path, default=Path("models/mtcnn"), help="folder of the three .onnx files")
    parser.add_argument("--rounds", type=int, default=3, help="times each picture is timed; the best counts")
    options = parser.parse_args()
    try:
        theirs = load_theirs()
    except ImportError as error:
        print(f"{error}: this comparison needs torch, torchvision and facenet-pytorch==2.5.3", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    ours, pictures = load_ours(options.models), read_pictures(options.folders)
    if not pictures:
        print("no pictures in the folders given", file=sys.stderr)
        return 2
    parity, *times = measure(ours, theirs, pictures, max(1, options.rounds))
    print(report(parity, *times))
    return 1 if parity.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
