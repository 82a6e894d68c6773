"""What a labelled folder must be read as, for tests."""

from stageline.evaluation.dataset import DataSet
from tests.support.labelled_pictures import SCENES, SIZE

GOOD = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}


def said(found: DataSet) -> str:
    return "\n".join(found.problems.sentences())


def boxes(found: DataSet) -> dict[str, list[tuple[str, list[int]]]]:
    """What is labelled in each picture, in whole pixels."""
    return {
        picture.path.stem: [
            (label.name, [round(edge) for edge in label.box])
            for label in picture.in_pixels(*SIZE, found.problems)
        ]
        for picture in found.pictures
    }  # fmt: skip


EXPECTED = {stem: [(name, list(box)) for name, box in things] for stem, things in SCENES.items()}
