"""The page shows an original the way up that the API names, whatever a browser thinks of its EXIF; boxes lie right."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stageline.imaging import codec
from tests.support.browser import PHONE, Browser
from tests.support.page_helpers import ask, send, settled
from tests.support.picture_makers import encoded, exif_block, png_chunk, raw_profile, scene, with_chunks, with_segments
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)

PREFIX = b"Exif\0\0"
END = png_chunk(b"IEND", b"")
WIDTH, HEIGHT = 320, 200
SHOWN = "return document.querySelector('.viewer-image')?.getBoundingClientRect().width > 50"
THERE = "return [...document.querySelectorAll('.tile-image')].filter((one) => one.matches('.here')).length"


def stored(orientation: int) -> Image.Image:
    """A scene as it must be stored to be seen upright by this orientation."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    image = scene(WIDTH, HEIGHT)
    return image.transpose(undo[orientation]) if orientation in undo else image


def jpeg(orientation: int, kind: str = "H", prefix: bytes = PREFIX) -> bytes:
    """It as a JPEG, with EXIF of one of the types of integers."""
    held = (0xE1, prefix + exif_block(orientation, kind))
    return with_segments(encoded(stored(orientation), "JPEG", quality=95), held)


FILES = {
    "upright": encoded(scene(WIDTH, HEIGHT), "JPEG", quality=95),
    **{f"orientation {number}": jpeg(number) for number in range(2, 9)},
    "LONG": jpeg(6, "I"),
    "prefix twice": jpeg(8, prefix=PREFIX + PREFIX),
    "PNG": with_chunks(encoded(stored(6), "PNG"), png_chunk(b"eXIf", exif_block(6))),
    "PNG, behind the pixels": encoded(stored(5), "PNG")[:-12] + png_chunk(b"eXIf", exif_block(5)) + END,
    "PNG, raw profile": with_chunks(
        encoded(stored(6), "PNG"),
        png_chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile("exif", PREFIX + exif_block(6))),
    ),
    "WebP": encoded(stored(6), "WEBP", lossless=True, exif=exif_block(6)),
}  # fmt: skip


def pictured(page: Browser, selector: str) -> Image.Image:
    """An element as it is on the screen."""
    return Image.open(io.BytesIO(page.one(selector).screenshot_as_png)).convert("RGB")


def colours(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters, and in the dark corner."""
    at = [(0.35, 0.35), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75), (0.1, 0.1)]
    return [image.getpixel((int(x * image.width), int(y * image.height))) for x, y in at]  # type: ignore[misc]


def lies_right(image: Image.Image) -> None:
    """Its quarters are where they are in the scene."""
    assert np.abs(np.subtract(colours(image), colours(scene(WIDTH, HEIGHT)))).max() < 40


@pytest.mark.parametrize("name", FILES)
def test_an_original_is_shown_upright(name: str, page: Browser, page_line: RunningLine, tmp_path: Path) -> None:
    """In the viewer, among the stages and enlarged, for each orientation and wherever a format keeps EXIF."""
    path = tmp_path / "picture"
    path.write_bytes(FILES[name])
    image_id = send(page_line, path, f"{name}.bin")
    answer = ask(page_line, f"/status/{image_id}")
    assert (answer["width"], answer["height"]) == (WIDTH, HEIGHT)
    assert answer["orientation"] == answer["results"]["orientation"] == codec.probe(FILES[name], 10**6).orientation
    page.open(f"#/picture/{image_id}")
    page.until(lambda: page.run(SHOWN), "the picture")
    settled(page)
    page.until(lambda: page.run(THERE) == 5, "every stage")
    viewer = pictured(page, ".viewer-image")
    assert viewer.width / viewer.height == pytest.approx(WIDTH / HEIGHT, rel=0.02)
    lies_right(viewer)
    first, second = (pictured(page, f".strip li:nth-child({number}) .tile-frame") for number in (1, 2))
    difference = np.abs(np.asarray(first, int)[8:-8, 8:-8] - np.asarray(second, int)[8:-8, 8:-8])
    assert difference.mean() < 8  # the original beside the resized one, which is upright
    page.one(".strip li:nth-child(1) button").click()
    page.until(
        lambda: page.run("return document.querySelector('.large')?.getBoundingClientRect().width > 50"), "it, large"
    )
    page.until(lambda: colours(pictured(page, ".large")) and _matches(pictured(page, ".large")), "it, upright")


def _matches(image: Image.Image) -> bool:
    assert image.width / image.height == pytest.approx(WIDTH / HEIGHT, rel=0.02)
    lies_right(image)
    return True


def test_faces_are_cut_out_right(page: Browser, page_line: RunningLine, data_dir: Path, tmp_path: Path) -> None:
    """The faces beside a picture that is stored on its side, as LONG has it, are those of the upright one."""
    upright = Image.open(data_dir / "faces" / "multiface.jpg").convert("RGB")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    crops = []
    for name, data in (
        ("upright", encoded(upright, "PNG")),
        ("turned", with_chunks(encoded(turned, "PNG"), png_chunk(b"eXIf", exif_block(6, "I")))),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        image_id = send(page_line, path, f"{name}.png")
        page.open(f"#/picture/{image_id}")
        page.until(lambda: page.run(SHOWN), "the picture")
        page.until(lambda: page.all(".face .crop"), "its faces")
        settled(page)
        crops.append(page.run("return [...document.querySelectorAll('.face .crop')].length"))
        crops.append(np.asarray(pictured(page, ".face .crop"), int))
    assert crops[0] == crops[2] > 1
    assert np.abs(crops[1] - crops[3]).mean() < 6
    assert crops[1].std() > 20  # a face, and no empty square


def test_a_turned_picture_fits_a_phone(page: Browser, page_line: RunningLine, tmp_path: Path) -> None:
    """A portrait that is stored on its side is no wider than the screen, and keeps its shape."""
    path = tmp_path / "portrait"
    path.write_bytes(jpeg(8))
    image_id = send(page_line, path, "portrait.jpg")
    page.see_as(PHONE)
    page.open(f"#/picture/{image_id}")
    page.until(lambda: page.run(SHOWN), "the picture")
    settled(page)
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    wide, high = (float(page.run(f"return document.querySelector('.viewer-image').getBoundingClientRect().{side}"))
        for side in ("width", "height"))  # fmt: skip
    assert wide / high == pytest.approx(WIDTH / HEIGHT, rel=0.02)
