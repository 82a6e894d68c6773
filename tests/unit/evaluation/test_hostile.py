"""What is broken in a labelled folder is said, by file and line, and harms nothing else in it."""

from pathlib import Path

import pytest

from stageline.evaluation.dataset import BadDataSet
from stageline.evaluation.reading import read
from tests.support.labelled_cases import EXPECTED, GOOD, boxes, said
from tests.support.labelled_pictures import coco, draw, write, yolo


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("7 0.5 0.5 0.1 0.1", "class 7 is none of the 3 that are named"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is none"),
        ("0 0.5 0.5 0.1", "it has 4 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.99", "it has 6 numbers"),
        ("0 320 240 64 48", "shares of the picture, 0 to 1, not pixels"),
        ("0 nan 0.5 0.1 0.1", "shares of the picture"),
        ("person 0.5 0.5 0.1 0.1", "numbers only"),
        ("0 0.5 0.5 0 0.1", "no area"),
        ("0 0.5 0.5 -0.1 -0.1", "no area"),
        ("\u0663\x00 , ;", "numbers only"),
    ],
)
def test_a_line_that_is_no_label_is_named(line: str, says: str, tmp_path: Path) -> None:
    """With its file and its number; the other labels of the file are kept."""
    data = yolo(tmp_path)
    write(data / "labels" / "a.txt", (data / "labels" / "a.txt").read_text() + "\n\n" + line)
    found = read(data)
    assert boxes(found) == EXPECTED
    assert "labels/a.txt, line 4: " in said(found)
    assert says in said(found)
    assert found.problems.failed == 1


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({**GOOD, "image_id": 9}, "a picture that is not listed"),
        ({**GOOD, "category_id": 9}, "a category that is not listed"),
        ({**GOOD, "category_id": {}}, "a category that is not listed"),
        ({**GOOD, "bbox": [1, 2, 30]}, "bbox is not x, y, width, height"),
        ({**GOOD, "bbox": [1, 2, -30, 40]}, "bbox is not"),
        ({**GOOD, "bbox": ["1", 2, 30, 40]}, "bbox is not"),
        ({**GOOD, "bbox": [1, 2, float("inf"), 40]}, "bbox is not"),
        ({**GOOD, "bbox": [1, 2, 10**400, 40]}, "bbox is not"),
        ({"id": 1, "image_id": 1, "caption": "a dog"}, "a category that is not listed"),
        (7, "a picture that is not listed"),
    ],
)
def test_an_annotation_that_is_none_is_named(annotation: object, says: str, tmp_path: Path) -> None:
    """By its id; the others are kept."""
    found = read(coco(tmp_path, annotations=[{**GOOD, "id": 2}, annotation]))
    assert says in said(found)
    assert "instances_val.json, annotation " in said(found)
    assert sum(len(picture.labels) for picture in found.pictures) == 1
    assert found.problems.failed == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "it has no list images"),
        ('{"images": [], "annotations": []}', "it has no list categories"),
        ('{"images": [], "annotations": [], "categories": []}', "has no categories"),
        ('{"images": [], "annotations": [], "categories": [{"name": "a"}]}', "categories[0] needs an id and a name"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "none of the 0 pictures"),
    ],
)
def test_a_file_that_is_no_coco_json_is_refused_in_a_sentence(content: str, says: str, tmp_path: Path) -> None:
    """It names the file."""
    write(tmp_path / "annotations" / "instances_val.json", content)
    with pytest.raises(BadDataSet, match=r"instances_val\.json") as refused:
        read(tmp_path)
    assert says in str(refused.value)


def test_a_json_that_was_not_taken_is_named_with_the_reason(tmp_path: Path) -> None:
    """In a folder where nothing else can be used, whatever it is called; of many the first few, and how many more."""
    text = (coco(tmp_path) / "annotations" / "instances_val.json").read_text()
    (tmp_path / "annotations" / "instances_val.json").unlink()
    write(tmp_path / "labels.json", text[:-9])
    with pytest.raises(BadDataSet, match=r"neither a COCO JSON nor .*labels\.json is no JSON: .*line 1") as refused:
        read(tmp_path)
    assert "more" not in str(refused.value)
    write(tmp_path / "labels.json", text.replace('"categories"', '"classes"'))
    with pytest.raises(BadDataSet, match=r"labels\.json is no COCO JSON of objects: it has no list categories"):
        read(tmp_path)
    write(tmp_path / "names.yaml", "names: [person]\n")
    with pytest.raises(BadDataSet, match=r"no label in .* can be used.*labels\.json is no COCO JSON"):
        read(tmp_path)
    for number in range(19):
        write(tmp_path / f"x{number}.json", "{}")
    with pytest.raises(BadDataSet, match=r"; 17 more JSON files were not taken either"):
        read(tmp_path)


def test_a_json_that_is_broken_beside_one_that_is_not_is_named(tmp_path: Path) -> None:
    """It may be the one that was meant."""
    data = coco(tmp_path)
    (data / "annotations" / "instances_val.json").rename(data / "annotations" / "instances_a.json")
    write(data / "annotations" / "instances_b.json", "{")
    found = read(data)
    assert boxes(found) == EXPECTED
    assert "1 × JSON file that was not taken: " in said(found)
    assert "instances_b.json is no JSON" in said(found)
    assert found.problems.failed == 0


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    """An empty folder, no folder, no pictures, no labels: each in a sentence that says what to do."""
    with pytest.raises(BadDataSet, match="no folder"):
        read(tmp_path / "absent")
    with pytest.raises(BadDataSet, match="neither a COCO JSON nor the names"):
        read(tmp_path)
    write(tmp_path / "data.yaml", "names: [a, b\n")
    with pytest.raises(BadDataSet, match="does not close"):
        read(tmp_path)
    write(tmp_path / "data.yaml", "nc: 3\n")
    with pytest.raises(BadDataSet, match="names no classes"):
        read(tmp_path)
    write(tmp_path / "data.yaml", "names: [a]\n")
    with pytest.raises(BadDataSet, match="holds no pictures"):
        read(tmp_path)
    draw(tmp_path / "images" / "a.png", [])
    with pytest.raises(BadDataSet, match=r"no label in .* can be used"):
        read(tmp_path)
