"""What the privacy copy hides of the heads in coco128, which were labelled by hand, without BLUR_HEADS and with it.

    python -m benchmarks.heads COCO128_FOLDER [--models DIR] [--no-variants] [--fit]

The folder holds images/. Pictures go through the very functions of the line, set as the environment says. A head's
face is found where the centre of a face's box lies in the head's box. A head is visible where less than three quarters
of its box are blurred. Shares come with their 95 % intervals (Wilson). Then the same for the heads that face the
camera, are 48 pixels high and more and in no way hard, made harder by code. --fit searches anew for the reach of a head
region.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.heads import fit
from benchmarks.heads.judging import JudgedHead, Sheet
from benchmarks.heads.labels import HeadPicture, read
from benchmarks.heads.report import groups, price, table
from benchmarks.heads.run import look, open_line, sheets
from benchmarks.heads.variants import VARIANTS, easy_heads, turned
from stageline.core import logs
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.local.monolith import Monolith
from stageline.registry.install import install_all, manifest


def main() -> int:
    """Print the tables; 0, or 2 where models or pictures are missing."""
    about, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=about, epilog=more)
    parser.add_argument("folder", type=Path, metavar="COCO128_FOLDER")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--no-variants", action="store_true", help="only the pictures as they are")
    parser.add_argument("--fit", action="store_true", help="search for the reach of a head region")
    options = parser.parse_args()
    settings = Settings(models_dir=options.models)
    logs.configure(Settings(log_level="ERROR", log_format="text"), "heads")
    pictures, images = read(), options.folder / "images"
    try:
        install_all({settings.detect_model, "mtcnn"} & manifest().keys(), settings)
        chain = open_line(settings)
        if options.fit:
            print(search(chain, images, pictures, settings))
            return 0
        print(as_they_are(sheets(list(look(chain, images, pictures)), settings)))
        if not options.no_variants:
            print(f"\n{harder(chain, images, pictures, settings)}")
    except (ModelError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def as_they_are(seen: Sequence[Sheet]) -> str:
    """The tables of the pictures as they are, and of the half that the reach was not fitted on."""
    halves = {"fitted on": seen[::2], "not fitted on": seen[1::2]}
    rows = {f"pictures {name}": [judged for sheet in half for judged in sheet.heads] for name, half in halves.items()}
    return "\n".join([groups(seen), table(rows).partition("\n")[2], price(seen)])


def harder(chain: Monolith, images: Path, pictures: Sequence[HeadPicture], settings: Settings) -> str:
    """The table of the easy heads, as they are and made harder."""
    easy = [picture for picture in map(easy_heads, pictures) if picture.heads]
    rows: dict[str, list[JudgedHead]] = {}
    for name, variant in VARIANTS.items():
        seen = sheets(list(look(chain, images, easy, variant)), settings)
        rows[name] = [judged for sheet in seen for judged in sheet.heads]
    return table(rows)


def search(chain: Monolith, images: Path, pictures: Sequence[HeadPicture], settings: Settings) -> str:
    """Fit on the first, third, … picture by name; judge on the rest, and on all turned on their side."""
    upright, lying = list(look(chain, images, pictures)), list(look(chain, images, pictures, partial(turned, 90)))
    return fit.report(upright[::2], upright[1::2], lying, settings)


if __name__ == "__main__":
    sys.exit(main())
