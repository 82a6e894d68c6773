"""What "none of these" is learnt from: cut beside the categories' objects, always the same, of the network's size."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training import outliers
from models.training.cifar10 import LABELS, SIDE
from stageline.core.errors import BadImage
from stageline.evaluation import reading
from tests.support.picture_makers import encoded, noise
from tests.support.tiny_training import some

WHITE, SEED = 255, 3


def data_set(folder: Path, rows: dict[str, str]) -> Path:
    """Pictures of 200×200 with YOLO labels; black, but for a white square that is a cat, where they say so."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "names.yaml").write_text("names:\n  0: cat\n  1: pizza\n")
    for name, labels in rows.items():
        picture = np.zeros((200, 200, 3), np.uint8)
        if "0 " in labels:
            picture[50:150, 50:150] = WHITE
        cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
        (folder / "labels" / f"{name}.txt").write_text(labels)
    return folder


def test_nothing_is_cut_of_a_category_object(tmp_path: Path) -> None:
    """The white cat shows at the edge of a cut at most; the pizza beside it, and the empty picture, are cut."""
    cat = "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.15 0.15\n"
    folder = data_set(tmp_path, {"a": cat, "b": cat, "c": cat, "d": "1 0.5 0.5 0.9 0.9\n"})
    photographs = [*reading.first_half(folder), *reading.second_half(folder)]
    assert [picture.path.stem for picture in photographs] == ["a", "c", "b", "d"]
    made = outliers.make(photographs, some(), SEED)
    cut = made.learn.pixels[: len(made.learn) - 2 * outliers.MADE]
    assert len(cut) > 20
    assert cut.mean(axis=(1, 2, 3)).max() < 0.2 * WHITE
    assert made.held_out.pixels.mean() < 1
    assert len(made.held_out) == outliers.PER_OBJECT + outliers.BESIDE + outliers.PER_PICTURE
    for pictures in (made.learn, made.held_out):
        assert pictures.pixels.shape[1:] == (SIDE, SIDE, 3)
        assert set(pictures.labels.tolist()) == {len(LABELS)}


def test_they_are_the_same_each_time(tmp_path: Path) -> None:
    """A run that is resumed learns from the same; another seed gives others."""
    folder = data_set(tmp_path, dict.fromkeys("abcd", "1 0.5 0.5 0.9 0.9\n"))
    (folder / "images" / "a.png").write_bytes(encoded(noise(), "PNG"))
    photographs = [*reading.first_half(folder), *reading.second_half(folder)]
    first, again, other = (outliers.make(photographs, some(), seed) for seed in (SEED, SEED, SEED + 1))
    assert np.array_equal(first.learn.pixels, again.learn.pixels)
    assert not np.array_equal(first.learn.pixels, other.learn.pixels)


def test_shuffled_tiles_leave_no_tile_in_its_place() -> None:
    """They have a picture's colours, and show another thing."""
    picture = some().pixels[7]
    for seed in range(20):
        moved = outliers._shuffled(picture, np.random.default_rng(seed))
        assert np.array_equal(np.sort(moved, axis=None), np.sort(picture, axis=None))
        assert not np.array_equal(moved[: SIDE // 4, : SIDE // 4], picture[: SIDE // 4, : SIDE // 4])


def test_too_few_photographs_are_refused(tmp_path: Path) -> None:
    """Some must be held out."""
    folder = data_set(tmp_path, dict.fromkeys("ab", "1 0.5 0.5 0.9 0.9\n"))
    with pytest.raises(BadImage, match="1 are too few"):
        outliers.make(reading.first_half(folder), some(), SEED)
