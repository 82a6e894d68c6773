"""The largest pictures that are taken, through the API's check and each stage's work: under 1 GB, every time."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.picture_makers import png_chunk, with_chunks
from tests.support.profile_makers import cmyk

LIMIT_MB = 1000
WIDTH, HEIGHT = 8000, 6250  # 50 megapixels
FINDINGS = '[{"label": "car", "score": 0.9, "box": [100, 100, 7000, 6000]}]'
PROGRAM = """
import importlib, json, re, sys
from pathlib import Path
from stageline.imaging import codec as images
from stageline.pipeline.message import Message
from stageline.registry.serving import load_once
from stageline.core.settings import Settings
from stageline.pipeline.stage import Task

step, file, models, findings = sys.argv[1:]
data = Path(file).read_bytes()
if step == "check":
    images.check(data, Settings().max_image_pixels)
else:
    settings = Settings(models_dir=models)
    work = importlib.import_module(f"{step}_service.service").create(settings)
    load_once(work.models, settings, step)
    fields = {"image_id": "a", "original_path": "original/a.jpg", "detections": json.loads(findings)}
    task = Task(Message.of(fields), {"original": data})
    (outcome,) = work.run([task])
    assert outcome.fields.get("origin_w", 8000) in (8000, 6250), outcome.fields
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def rgb(mode: str = "RGB") -> Image.Image:
    """A picture of 50 megapixels that is not of one colour."""
    return Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert(mode)


def jpeg(file: Path) -> None:
    """Stored on its side, so that it must be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb().save(file, "JPEG", exif=exif)


def png(file: Path) -> None:
    """With an alpha channel."""
    image = rgb("RGBA")
    image.putalpha(Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((WIDTH, HEIGHT)))
    image.save(file, "PNG", compress_level=1)


def progressive_cmyk(file: Path) -> None:
    """All coefficients are held at once."""
    rgb("CMYK").save(file, "JPEG", progressive=True)


def webp(file: Path) -> None:
    """With alpha, lossless."""
    image = rgb("RGBA")
    image.putalpha(128)
    image.save(file, "WEBP", lossless=True, quality=0, method=0)


def deep_png(file: Path) -> None:
    """Of 16 bits a sample, one colour of which is transparent."""
    grey = np.asarray(rgb("L")).astype(np.uint16) * 257
    written = cv2.imencode(".png", np.dstack([grey] * 3), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    file.write_bytes(with_chunks(written, png_chunk(b"tRNS", bytes(6))))


def other_colours(file: Path) -> None:
    """In CMYK, by a profile."""
    rgb("CMYK").save(file, "JPEG", icc_profile=cmyk())


def gif(file: Path) -> None:
    """Of a palette."""
    rgb("L").convert("P").save(file, "GIF")


@pytest.fixture(scope="module")
def largest(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], None]], Path]:
    """The file that a maker makes, made once."""
    folder = tmp_path_factory.mktemp("largest")

    def file(make: Callable[[Path], None]) -> Path:
        found = folder / make.__name__
        if not found.exists():
            make(found)
        return found

    return file


def peak_mb(step: str, file: Path, models: str = "none") -> float:
    """The most memory that a process of its own held during a step."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, step, str(file), models, FINDINGS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1]) / 1024


@pytest.mark.parametrize("make", [jpeg, png, progressive_cmyk, webp, gif])
def test_check_stays_under_the_limit(make: Callable[[Path], None], largest: Callable[..., Path]) -> None:
    """The API looks at 50 megapixels of any format well under 1 GB: it has bodies to hold as well."""
    assert peak_mb("check", largest(make)) < 0.6 * LIMIT_MB


@pytest.mark.parametrize("make", [jpeg, png])
@pytest.mark.parametrize("step", ["resize", "detect", "tag"])
def test_stages_stay_under_the_limit(
    step: str, make: Callable[[Path], None], largest: Callable[..., Path], models_dir: Path
) -> None:
    """Each stage's work on 50 megapixels, turned or with alpha, peaks under 1 GB; models included."""
    assert peak_mb(step, largest(make), str(models_dir)) < LIMIT_MB


@pytest.mark.parametrize("make", [progressive_cmyk, webp, deep_png, other_colours])
def test_the_costliest_formats_stay_under_the_limit(make: Callable[[Path], None], largest: Callable[..., Path]) -> None:
    """The formats whose decoders need the most, through the stage that keeps the most: the last."""
    assert peak_mb("tag", largest(make)) < LIMIT_MB
