"""Writes the sample photographs into a folder: public-domain ones that two wheels carry.

    python scripts/samples.py REQUIREMENTS FOLDER

astronaut, chelsea, coffee and rocket come from scikit-image, grace_hopper from matplotlib. The wheels are
fetched by pip, held against the hashes in REQUIREMENTS, opened, and not installed.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PHOTOGRAPHS = (
    "skimage/data/astronaut.png",
    "skimage/data/chelsea.png",
    "skimage/data/coffee.png",
    "skimage/data/rocket.jpg",
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
)


def main(requirements: Path, folder: Path) -> None:
    """Fetch what is missing."""
    if all((folder / Path(name).name).exists() for name in PHOTOGRAPHS):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(  # noqa: S603 - our own command line
            [*command, "--require-hashes", "--dest", scratch, "--requirement", str(requirements)], check=False
        )
        if done.returncode:
            sys.exit(f"the sample photographs cannot be had; put pictures of your own into {folder}/, or try again")
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in set(PHOTOGRAPHS) & set(archive.namelist()):
                    (folder / Path(name).name).write_bytes(archive.read(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
