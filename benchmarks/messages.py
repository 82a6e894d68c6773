"""Measures the cost of a message: reading, validating and writing it; beside JSON alone, and pydantic.

In a checkout of another version it measures that version's messages. Run: python -m benchmarks.messages
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from stageline.pipeline.message import Message
from stageline.pipeline.schema import FOLDERS, MAX_NUMBER

ROUNDS, MESSAGES = 30, 200
BOX = [12.0, 40.5, 310.2, 222.8]
ENTRY = {
    "state": "done",
    "run": 1,
    "attempt": 1,
    "worker": "resize_queue:a:0123456789ab",
    "ms": 3.1,
    "fields": ["path"],
}
CATEGORY = {"category": "dog", "confidence": 0.97, "box": BOX, "model": "resnet18-cifar10@2"}
FACE = {"score": 0.99, "box": BOX, "landmarks": [BOX[:2]] * 5, "embedding": {"key": "findings/01JD.json", "index": 0}}
FIRST: dict[str, Any] = {
    "image_id": "01JD", "filename": "street.jpg", "original_path": "original/01JD.jpg", "attempt": 1, "run": 1,
    "sha256": "a" * 64, "uploaded_at": "2026-11-21T10:00:00.000Z", "runs": [{"run": 1, "from": "resize"}],
}  # fmt: skip
LAST: dict[str, Any] = FIRST | {
    "path": "grayscale/01JD.jpg", "origin_w": 640, "origin_h": 480,
    "stages": {name: {**ENTRY, "path": f"{name}/01JD.jpg"} for name in ("resized", "grayscale", "detections")},
    "detections": [{"label": "dog", "score": 0.91, "box": BOX, "model": "yolox-nano@0.1.1-1"}] * 6, "faces": [FACE] * 3,
    "categories": [CATEGORY] * 6, "candidates": [{**CATEGORY, "reason": "below"}] * 3, "imagenet": [CATEGORY] * 5,
}  # fmt: skip

Number = Annotated[float, Field(gt=-MAX_NUMBER, lt=MAX_NUMBER)]
Whole = Annotated[int, Field(ge=1, lt=2**31)]
Key = Annotated[str, Field(pattern=rf"^(?:{'|'.join(FOLDERS)})/[A-Za-z0-9_-]{{1,64}}\.[a-z0-9]{{1,8}}$")]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]


class _PydanticModel(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _PydanticFinding(_PydanticModel):
    box: Box
    score: Number
    landmarks: list[Annotated[list[Number], Field(min_length=2, max_length=2)]] | None = None


class _PydanticCategory(_PydanticModel):
    category: str
    confidence: Number
    box: Box | None = None


class _PydanticContract(_PydanticModel):
    image_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    original_path: Key
    path: Key | None = None
    attempt: Whole | None = None
    run: Whole | None = None
    stages: dict[str, dict[str, Any]] = {}
    detections: list[_PydanticFinding] | None = None
    faces: list[_PydanticFinding] | None = None
    categories: list[_PydanticCategory] | None = None
    candidates: list[_PydanticCategory] | None = None
    imagenet: list[_PydanticCategory] | None = None


def _message(raw: bytes) -> bytes:
    return Message.of(Message.decode(raw).fields).raw


def _pydantic(raw: bytes) -> bytes:
    return Message.of(_PydanticContract.model_validate_json(raw).model_dump()).raw


def _json(raw: bytes) -> bytes:
    return json.dumps(json.loads(raw), separators=(",", ":"), ensure_ascii=False).encode()


def main() -> None:
    """Print microseconds per message, the median of rounds in which the contenders take turns."""
    contenders: dict[str, Callable[[bytes], bytes]] = {"stageline": _message, "pydantic": _pydantic, "json": _json}
    for name, fields in (("first", FIRST), ("last", LAST)):
        raw = Message.of(fields).raw
        took: dict[str, list[float]] = {contender: [] for contender in contenders}
        for _ in range(ROUNDS):
            for contender, run in contenders.items():
                began = time.perf_counter()
                for _ in range(MESSAGES):
                    run(raw)
                took[contender].append((time.perf_counter() - began) / MESSAGES * 1e6)
        medians = ", ".join(f"{contender} {statistics.median(each):.0f} µs" for contender, each in took.items())
        print(f"{name} stage's message, {len(raw)} bytes: {medians}")


if __name__ == "__main__":
    main()
