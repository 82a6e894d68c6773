"""Takes the README's screenshots of the page into docs/images/, from a running line (``make run``).

    python -m scripts.screenshots [--url http://localhost:30005] [--samples samples] [--out docs/images]

The sample photographs are sent whole, mirrored and cut, under names of their own: enough for a gallery, and nothing
that is not in the public domain.
"""

import argparse
import io
import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageOps

from tests.support.browser import DESKTOP, PHONE, Browser, chromium

SHOWN = ("rocket", "coffee", "chelsea", "grace_hopper", "astronaut")  # the last is the newest, so the first shown
TRAFFIC_SECONDS = 40.0
COLOURS = 256
FLAT = 24  # of the page itself, not of a photograph
STYLE = Path(__file__).parent.parent / "grab_service" / "ui" / "static" / "css" / "base.css"
WAIT = "wait=60"


def main() -> None:
    """Send the samples, look at every view, keep what it looks like."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--url", default="http://localhost:30005")
    asked.add_argument("--samples", type=Path, default=Path("samples"))
    asked.add_argument("--out", type=Path, default=Path("docs/images"))
    found = asked.parse_args()
    found.out.mkdir(parents=True, exist_ok=True)
    photographs = {path.stem: Image.open(path).convert("RGB") for path in sorted(found.samples.iterdir())}
    for name, picture in variety(photographs):
        send(found.url, name, picture)
    newest = [send(found.url, f"{name}.jpg", photographs[name], WAIT) for name in SHOWN if name in photographs][-1]
    with chromium(found.url) as page:
        page.see_as(DESKTOP)
        page.open()
        page.until(
            lambda: len(page.all(".card img.here")) >= len(SHOWN) and not page.all(".steps:not([hidden])"), "cards"
        )
        keep(page, found.out / "gallery.png")
        for name, size, dark in (("picture.png", (DESKTOP[0], 1240), True), ("phone.png", PHONE, False)):
            page.see_as(size, dark=dark, scale=1 if size != PHONE else 2)
            page.open(f"#/picture/{newest}")
            page.until(lambda: len(page.all(".strip img.here")) >= 1 and page.all(".overlay .mark"), "the picture")
            keep(page, found.out / name)
        page.see_as((DESKTOP[0], 1000))
        page.open("#/line")
        traffic(found.url, photographs, TRAFFIC_SECONDS)
        keep(page, found.out / "line.png")


def variety(photographs: dict[str, Image.Image]) -> Iterator[tuple[str, Image.Image]]:
    """Name and picture of what is made of the photographs."""
    for name, picture in photographs.items():
        yield f"{name}, from the left.jpg", picture.crop((0, 0, picture.width * 3 // 4, picture.height))
    for name, picture in photographs.items():
        yield f"{name}, the middle.jpg", ImageOps.crop(picture, picture.height // 7)
    for name, picture in photographs.items():
        yield f"{name}, mirrored.jpg", ImageOps.mirror(picture)


def traffic(url: str, photographs: dict[str, Image.Image], seconds: float) -> None:
    """Send small pictures, now more, now fewer, so that the charts have something to show."""
    chance = random.Random(5)  # noqa: S311 - not for secrets
    small = [ImageOps.contain(picture, (448, 448)) for picture in photographs.values()]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        burst = [threading.Thread(target=send, args=(url, "traffic.jpg", chance.choice(small))) for _ in range(24)]
        for thread in burst:
            thread.start()
        for thread in burst:
            thread.join()
        time.sleep(chance.uniform(0.2, 2.5))


def send(url: str, name: str, picture: Image.Image, parameters: str = "process=true") -> str:
    """Send a picture, again while the line is full; return its id."""
    body = io.BytesIO()
    picture.save(body, "JPEG", quality=90)
    while True:
        request = urllib.request.Request(f"{url}/upload?{parameters}&filename={quote(name)}", body.getvalue())  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310 - the address is one's own line
                content: dict[str, Any] = json.loads(answer.read())
                return str(content["image_id"])
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise
            time.sleep(1)


def keep(page: Browser, path: Path) -> None:
    """Write what is shown as a small PNG: 256 colours, among them its commonest, and each that its style sheet names.

    Left to itself, the choice of colours follows the photographs, and a small green dot becomes grey.
    """
    time.sleep(0.5)  # for what fades in
    shot = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    common = sorted(shot.getcolors(shot.width * shot.height) or [], reverse=True)[:FLAT]
    sheet = {tuple(bytes.fromhex(colour)) for colour in re.findall("#([0-9a-f]{6})", STYLE.read_text())}
    named = sorted(sheet | {colour for _, colour in common})
    colours = [part for colour in named for part in colour]
    chosen = shot.quantize(COLOURS - len(named)).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((chosen[: 3 * (COLOURS - len(named))] + colours)[: 3 * COLOURS])
    indexed = shot.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    pixels, index = np.asarray(shot), np.array(indexed)
    for at, colour in enumerate(named, COLOURS - len(named)):  # exactly: the nearest of the others may be chosen else
        index[(pixels == colour).all(axis=2)] = at
    kept = Image.fromarray(index, "P")
    kept.putpalette(indexed.getpalette() or [])
    kept.save(path, optimize=True)


if __name__ == "__main__":
    main()
