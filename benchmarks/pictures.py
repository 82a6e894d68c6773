"""Measures reading a picture: the API's check beside a plain read by Pillow, and decoding with and without colours.

    python -m benchmarks.pictures PICTURES_FOLDER [--rounds N]

CPU milliseconds a picture, the median of the rounds, each step in turns with what it is compared with. Pictures whose
profile is not sRGB's are counted apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

from PIL import Image

from stageline.cli.folders import pictures_in
from stageline.core.settings import Settings
from stageline.imaging import codec, colour

MAX_PIXELS = Settings.model_fields["max_image_pixels"].default
Step = Callable[[bytes], object]


def read_by_pillow(data: bytes) -> None:
    """Decode a JPEG at an eighth of its size, in grey, like a check without warnings."""
    with Image.open(BytesIO(data)) as image:
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()


def decode_without_colours(data: bytes) -> None:
    """Decode without converting colours."""
    with patch.object(colour, "to_srgb", lambda *_: None):
        codec.decode(data, MAX_PIXELS)


STEPS: dict[str, Step] = {
    "read through by Pillow": read_by_pillow,
    "the API's check": lambda data: codec.check(data, MAX_PIXELS),
    "decoded, colours left": decode_without_colours,
    "decoded, as the stages do": lambda data: codec.decode(data, MAX_PIXELS),
}


def has_other_colours(data: bytes) -> bool:
    """Return whether its profile is not sRGB."""
    with codec._open(data, MAX_PIXELS) as opened:  # noqa: SLF001 - no public function returns it
        return opened.conversion() is not None


def cpu_ms(step: Step, pictures: Sequence[bytes]) -> float:
    """Return CPU milliseconds per picture."""
    began = time.process_time()
    for data in pictures:
        step(data)
    return 1000 * (time.process_time() - began) / len(pictures)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    found = [path.read_bytes() for path in pictures_in([asked.folder]).pictures]
    groups = {"no profile, or sRGB": [], "another profile": []}  # type: dict[str, list[bytes]]
    for data in found:
        groups["another profile" if has_other_colours(data) else "no profile, or sRGB"].append(data)
    groups = {name: group for name, group in groups.items() if group}
    print(f"{'CPU ms a picture':30}" + "".join(f"{name + f' ({len(group)})':>28}" for name, group in groups.items()))
    taken: dict[str, dict[str, list[float]]] = {name: {step: [] for step in STEPS} for name in groups}
    for _ in range(asked.rounds):
        for name, group in groups.items():
            for step, run in STEPS.items():
                taken[name][step].append(cpu_ms(run, group))
    for step in STEPS:
        print(f"{step:30}" + "".join(f"{statistics.median(taken[name][step]):28.2f}" for name in groups))


if __name__ == "__main__":
    main()
