"""Sends pictures through a line and checks what came of them: ``python check.py URL``. Needs stageline, nothing else.

docker-compose.test.yml runs it in a container of the API's image; it serves any line.
"""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from stageline.client import Client, Refused
from stageline.core.errors import StagelineError
from stageline.pipeline.line import LINE, pictures

TIMEOUT = 240.0  # seconds: the line may be starting, and fetching its models
WIDTH, HEIGHT = 1280, 960
COUNT = 8
SHOWN = [folder.name for folder in pictures() if folder.name != "blurred"]  # which is missing where a model is
SHAPES = dict.fromkeys(SHOWN) | dict.fromkeys(("original", "tagged"), (HEIGHT, WIDTH))


def say(sentence: str) -> None:
    """Print it at once."""
    print(sentence, flush=True)  # noqa: T201 - what this is for


def wait_until(what: str, question: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it."""
    deadline, reason = time.monotonic() + TIMEOUT, ""
    while time.monotonic() < deadline:
        try:
            if answer := question():
                say(f"ok: {what}")
                return answer
        except (StagelineError, OSError) as error:
            reason = str(error)
        time.sleep(0.5)
    sys.exit(f"not within {TIMEOUT:g} s: {what} {reason}")


def picture(number: int, folder: Path) -> Path:
    """A photograph of nothing: blurred noise, another for each number."""
    noise = np.random.default_rng(number).integers(0, 255, (HEIGHT // 40, WIDTH // 40, 3), np.uint8)
    path = folder / f"picture-{number}.jpg"
    cv2.imwrite(str(path), cv2.resize(noise, (WIDTH, HEIGHT)))
    return path


def completed(line: Client, image_id: str) -> dict[str, Any] | None:
    """The picture's status, once it is completed."""
    status = line.get(f"/status/{image_id}")
    if status["status"] == "failed":
        sys.exit(f"{image_id} failed: {status}")
    return status if status["status"] == "completed" else None


def check(line: Client, image_id: str) -> None:
    """Check what the line says and serves of one picture."""
    ledger = line.get(f"/ledger/{image_id}")
    done = {stage["stage"]: stage for stage in ledger["stages"] if stage["state"] == "done"}
    lacking = [stage.name for stage in LINE if not done.get(stage.name, {}).get("objects")]
    if lacking:
        sys.exit(f"{image_id}: nothing done by {', '.join(lacking)}: {ledger}")
    for stage, expected in SHAPES.items():
        with urllib.request.urlopen(f"{line.url}/image/{image_id}?stage={stage}", timeout=30) as answer:
            pixels = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None or (expected and pixels.shape[:2] != expected) or pixels.shape[1] > WIDTH:
            sys.exit(f"{image_id}: its {stage} picture is not as it should be")


def gone(line: Client, image_id: str) -> bool:
    """Whether the picture was deleted."""
    try:
        line.get(f"/status/{image_id}")
    except Refused:
        return True
    return False


def main() -> None:
    """Run all of it."""
    line = Client(sys.argv[1])
    wait_until("the API is ready", lambda: urllib.request.urlopen(f"{line.url}/readyz", timeout=5).status == 200)
    with TemporaryDirectory() as folder:
        ids = [line.upload(picture(number, Path(folder))) for number in range(COUNT)]
    say(f"ok: {COUNT} pictures accepted")
    for image_id in ids:
        wait_until(f"{image_id} is completed", lambda image_id=image_id: completed(line, image_id))
        check(line, image_id)
    wait_until(
        "the catalogue lists them",
        lambda: set(ids) <= {image["image_id"] for image in line.get("/images?limit=200")["images"]},
    )
    request = urllib.request.Request(f"{line.url}/image/{ids[0]}", method="DELETE")
    urllib.request.urlopen(request, timeout=30).close()
    wait_until("a deleted picture is gone", lambda: gone(line, ids[0]))
    say("the line works")


if __name__ == "__main__":
    main()
