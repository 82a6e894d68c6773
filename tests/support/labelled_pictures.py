"""Data sets made by tests: red and blue things on grey ground, labelled as COCO or YOLO do, and models that see them.

The detector calls what is red a person (0.9) and what is blue a car (0.8), and sees nothing in a grey picture.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stageline.core.settings import Settings
from stageline.registry.repository import open_repository
from tests.support.detector_graphs import model, ssd_network
from tests.support.tiny_models import colours

DETECTOR, CLASSIFIER = "ssd-mobilenet-v1", "colours"
CHOSEN = {"DETECT_MODEL": DETECTOR, "CLASSIFY_MODEL": CLASSIFIER}
COLOURS = {"person": (250, 0, 0), "car": (0, 0, 250)}
NAMES = ("person", "bicycle", "car")
SIZE = (640, 480)
Things = Sequence[tuple[str, tuple[int, int, int, int]]]  # class, and x1, y1, x2, y2

RED, BLUE = (64, 64, 192, 192), (320, 160, 512, 352)
SCENES: Mapping[str, Things] = {
    "a": [("person", RED), ("car", BLUE)],
    "b": [("person", RED), ("car", BLUE)],
    "c": [("person", RED), ("car", BLUE)],
}


def publish(folder: Path) -> None:
    """Put the models into a folder, and have them served."""
    repository = open_repository(Settings(models_dir=folder))
    repository.check()
    mapping = {"person": "red", "car": "blue"}
    for made in (model(DETECTOR, ssd_network()), colours(scale=0.1, detector_labels=mapping)):
        repository.publish(made)
        repository.promote(made.card.name, made.card.version)


def draw(path: Path, things: Things, size: tuple[int, int] = SIZE) -> None:
    """Draw the things into a picture."""
    pixels = np.full((size[1], size[0], 3), 100, np.uint8)
    for name, (x1, y1, x2, y2) in things:
        pixels[y1:y2, x1:x2] = COLOURS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def yolo(folder: Path, scenes: Mapping[str, Things] = SCENES, part: str = "", names: str | None = None) -> Path:
    """A folder with images/, labels/ and data.yaml."""
    for stem, things in scenes.items():
        draw(folder / "images" / part / f"{stem}.png", things)
        rows = []
        for name, (x1, y1, x2, y2) in things:
            numbers = (x1 + x2) / 2 / SIZE[0], (y1 + y2) / 2 / SIZE[1], (x2 - x1) / SIZE[0], (y2 - y1) / SIZE[1]
            rows.append(" ".join(map(str, (NAMES.index(name), *numbers))))
        write(folder / "labels" / part / f"{stem}.txt", "\n".join(rows))
    write(folder / "data.yaml", names or "names: [person, bicycle, car]\n")
    return folder


def coco(folder: Path, scenes: Mapping[str, Things] = SCENES, **changed: Any) -> Path:
    """A folder with pictures and annotations/instances_val.json; `changed` replaces parts of the latter."""
    images, annotations = [], []
    for number, (stem, things) in enumerate(scenes.items(), 1):
        draw(folder / "val" / f"{stem}.png", things)
        images.append({"id": number, "file_name": f"{stem}.png", "width": SIZE[0], "height": SIZE[1]})
        annotations += [
            {
                "id": 10 * number + place,
                "image_id": number,
                "category_id": NAMES.index(name) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            for place, (name, (x1, y1, x2, y2)) in enumerate(things)
        ]
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories, **changed}
    write(folder / "annotations" / "instances_val.json", json.dumps(content))
    return folder


def write(path: Path, text: str) -> None:
    """Write a file, and the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
