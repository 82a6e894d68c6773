"""Labelled folders are read as people have them; what is broken in them is said, by file and line."""

import json
from pathlib import Path

import pytest

from stageline.evaluation.class_names import read_names
from stageline.evaluation.dataset import BadDataSet, known_as
from stageline.evaluation.reading import first_half, read, sample, second_half
from tests.support.labelled_cases import EXPECTED, GOOD, boxes, said
from tests.support.labelled_pictures import NAMES, SCENES, coco, draw, write, yolo


def test_yolo_and_coco_say_the_same(tmp_path: Path) -> None:
    """The same labels, in pixels."""
    assert boxes(read(yolo(tmp_path / "y"))) == boxes(read(coco(tmp_path / "c"))) == EXPECTED


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("names.yaml", "names:\n  0: person\n  1: 'bicycle' # a comment\n  2: \"car\"\n"),
        ("data.yaml", "train: images/train\nnc: 3\nnames: ['person', bicycle, \"car\"]\n"),
        ("data.yaml", "names:\n- person\n- bicycle\n- car\npath: .\n"),
        ("data.yaml", "names: {0: person, 1: bicycle,\n  2: car}\n"),
        ("classes.txt", "person\nbicycle\ncar\n"),
        ("names.yaml", "\ufeffnames:\r\n  0: person\r\n  1: bicycle\r\n  2: car\r\n"),
    ],
)
def test_names_are_read_in_each_of_their_forms(file: str, text: str, tmp_path: Path) -> None:
    """A mapping or a list, on lines or in brackets, or a plain list."""
    write(tmp_path / file, text)
    assert read_names(tmp_path / file) == dict(enumerate(NAMES))


def test_names_with_blanks_commas_and_hashes_are_kept(tmp_path: Path) -> None:
    """Quotes hold them together, and only a # after a blank begins a comment."""
    write(tmp_path / "data.yaml", "names: ['traffic light', \"one, two\", c#, 'a # b', potter's wheel]  # five\n")
    names = ["traffic light", "one, two", "c#", "a # b", "potter's wheel"]
    assert list(read_names(tmp_path / "data.yaml").values()) == names


def test_the_pictures_for_validation_are_taken(tmp_path: Path) -> None:
    """Of Ultralytics' layout images/val; where data.yaml names others, those; the folder itself may be named too."""
    yolo(tmp_path, {"t": SCENES["a"]}, "train")
    yolo(tmp_path, {"v": SCENES["b"]}, "val")
    yolo(tmp_path, {"h": SCENES["c"]}, "held")
    assert list(boxes(read(tmp_path))) == ["v"]
    assert list(boxes(read(tmp_path / "images" / "train"))) == ["t"]
    write(tmp_path / "data.yaml", "val: images/held\nnames: [person, bicycle, car]\n")
    assert boxes(read(tmp_path)) == {"h": EXPECTED["c"]}


def test_labels_may_lie_beside_their_pictures_or_in_a_folder_of_each_part(tmp_path: Path) -> None:
    """As labelImg and Roboflow leave them; classes.txt is no file of labels."""
    made = yolo(tmp_path / "made")
    for stem in SCENES:
        draw(tmp_path / "beside" / f"{stem}.png", SCENES[stem])
        write(tmp_path / "beside" / f"{stem}.txt", (made / "labels" / f"{stem}.txt").read_text())
    write(tmp_path / "beside" / "classes.txt", "\n".join(NAMES))
    found = read(tmp_path / "beside")
    assert (boxes(found), said(found)) == (EXPECTED, "")
    yolo(tmp_path / "parts" / "valid", names="")
    (tmp_path / "parts" / "valid" / "data.yaml").unlink()
    write(tmp_path / "parts" / "data.yaml", "val: ../valid/images\nnames: [person, bicycle, car]\n")
    assert boxes(read(tmp_path / "parts")) == EXPECTED


def test_an_outline_is_read_as_its_box(tmp_path: Path) -> None:
    """Labels for segmentation have the corners of an outline."""
    data = yolo(tmp_path, {"a": []})
    write(data / "labels" / "a.txt", "2 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75")
    assert boxes(read(data)) == {"a": [("car", [160, 120, 480, 360])]}


def test_boxes_that_reach_out_are_cut_and_those_outside_left_out(tmp_path: Path) -> None:
    """Both are counted, with where they stand."""
    data = coco(tmp_path, {"a": [("car", (-40, 100, 60, 200)), ("car", (700, 10, 800, 50))]})
    found = read(data)
    assert boxes(found) == {"a": [("car", [0, 100, 60, 200])]}
    assert "1 × label that reaches out of its picture, cut at the edge: instances_val.json, annotation 10" in said(
        found
    )
    assert "1 × label outside its picture, left out: instances_val.json, annotation 11" in said(found)


@pytest.mark.parametrize("of", ["YOLO", "COCO"])
def test_pictures_and_labels_without_each_other_are_counted(of: str, tmp_path: Path) -> None:
    """A picture without labels shows nothing; labels without a picture are left out; neither is a fault."""
    data = (yolo if of == "YOLO" else coco)(tmp_path)
    (data / ("images" if of == "YOLO" else "val") / "a.png").unlink()
    if of == "YOLO":
        (data / "labels" / "b.txt").unlink()
    found = read(data)
    missing = "file of labels without a picture, left out: labels/a.txt"
    assert ("which is not there: a.png" if of == "COCO" else missing) in said(found)
    assert found.problems.failed == 0
    assert boxes(found) == {"b": [] if of == "YOLO" else EXPECTED["b"], "c": EXPECTED["c"]}


def test_a_crowd_is_a_crowd(tmp_path: Path) -> None:
    """`iscrowd` is kept."""
    content = json.loads((coco(tmp_path) / "annotations" / "instances_val.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    write(tmp_path / "annotations" / "instances_val.json", json.dumps(content))
    assert [label.crowd for label in read(tmp_path).pictures[0].labels] == [True, False]


def test_one_of_several_annotation_files_is_chosen_by_name(tmp_path: Path) -> None:
    """Without --annotations both are named; one that is for validation is taken by itself."""
    text = (coco(tmp_path) / "annotations" / "instances_val.json").read_text()
    (tmp_path / "annotations" / "instances_val.json").rename(tmp_path / "annotations" / "instances_one.json")
    write(tmp_path / "annotations" / "instances_two.json", text)
    with pytest.raises(BadDataSet, match=r"instances_one\.json, .*instances_two\.json; choose one with --annotations"):
        read(tmp_path)
    assert boxes(read(tmp_path, tmp_path / "annotations" / "instances_two.json")) == EXPECTED
    write(tmp_path / "annotations" / "instances_val2017.json", text)
    assert read(tmp_path).source.endswith("instances_val2017.json")


def test_pictures_of_one_name_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    """By the path in the file; without one, no picture is taken for another, and none from outside the folder."""
    coco(tmp_path, {"a": SCENES["a"]})
    draw(tmp_path / "train" / "a.png", [])
    draw(tmp_path.parent / "outside.png", [])
    content = json.loads((tmp_path / "annotations" / "instances_val.json").read_text())
    for file_name, path in (("val/a.png", "val/a.png"), ("train\\a.png", "train/a.png"), ("a.png", None),
                            ("../outside.png", None)):  # fmt: skip
        content["images"][0]["file_name"] = file_name
        write(tmp_path / "annotations" / "instances_val.json", json.dumps(content))
        if path is None:
            with pytest.raises(BadDataSet, match="none of the 1 pictures"):
                read(tmp_path)
        else:
            assert [picture.path for picture in read(tmp_path).pictures] == [tmp_path / path]


def test_a_folder_that_links_to_itself_is_walked_once(tmp_path: Path) -> None:
    """Links to folders are followed, as data sets are often put together by them."""
    made = yolo(tmp_path / "made")
    data = tmp_path / "data"
    data.mkdir()
    (data / "images").symlink_to(made / "images")
    (data / "labels").symlink_to(made / "labels")
    (data / "again").symlink_to(data)
    assert boxes(read(data, made / "data.yaml")) == EXPECTED


def test_a_sample_is_drawn_by_chance_and_the_same_each_time(tmp_path: Path) -> None:
    """In the order of the whole."""
    found = read(yolo(tmp_path, dict.fromkeys("abcdefgh", SCENES["a"])))
    names = [picture.path.stem for picture in sample(found, 4).pictures]
    assert names == [picture.path.stem for picture in sample(found, 4).pictures] == sorted(names)
    assert len(names) == 4
    assert sample(found, 8) is sample(found, None) is found


@pytest.mark.parametrize("of", ["YOLO", "COCO"])
def test_a_sample_has_the_problems_of_its_pictures_alone(of: str, tmp_path: Path) -> None:
    """Each picture has one label that is none; so each that was drawn has one, and no other is reported as a fault."""
    data = (yolo if of == "YOLO" else coco)(tmp_path, dict.fromkeys("abcdefgh", SCENES["a"]))
    if of == "YOLO":
        for path in (data / "labels").iterdir():
            write(path, path.read_text() + "\n9 0.5 0.5 0.1 0.1")
    else:
        path = data / "annotations" / "instances_val.json"
        content = json.loads(path.read_text())
        content["annotations"] += [
            {"id": image["file_name"], "image_id": image["id"], "category_id": 9} for image in content["images"]
        ]
        content["images"].append({"id": 99, "file_name": "absent.png"})
        content["annotations"].append({"id": "absent", "image_id": 99, "category_id": 9})
        write(path, json.dumps(content))
    found = read(data)
    some = sample(found, 2)
    drawn = [picture.path.stem for picture in some.pictures]
    assert found.problems.failed == (8 if of == "YOLO" else 9)
    assert some.problems.failed == 2
    places = [f"labels/{stem}.txt, line 3" if of == "YOLO" else f"annotation {stem}.png" for stem in drawn]
    (sentence,) = some.problems.sentences()
    assert all(place in sentence for place in places)


def test_a_sample_has_the_problems_of_no_picture_in_particular(tmp_path: Path) -> None:
    """Nobody knows whether they are of one that was drawn."""
    assert sample(read(coco(tmp_path, annotations=[GOOD, 7])), 1).problems.failed == 1


def test_the_halves_of_a_data_set_are_every_other_picture_by_name(tmp_path: Path) -> None:
    """The same ones whichever way the pictures were listed, and none in both."""
    scenes = dict.fromkeys("dbeac", SCENES["a"])
    for data in (coco(tmp_path / "c", scenes), yolo(tmp_path / "y", scenes)):
        assert [picture.path.stem for picture in first_half(data)] == ["a", "c", "e"]
        assert [picture.path.stem for picture in second_half(data)] == ["b", "d"]


def test_names_of_classes_are_the_same_however_they_are_written() -> None:
    """Capitals, underscores, hyphens and blanks do not count; a label that is empty names nothing."""
    known = known_as(["Person", "traffic_light", "hot-dog", "unicorn", ""], ["person", "traffic light", "hot dog", ""])
    assert known == {"Person": "person", "traffic_light": "traffic light", "hot-dog": "hot dog"}
