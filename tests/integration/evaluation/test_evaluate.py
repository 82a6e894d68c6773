"""`stageline evaluate`: what it prints, on data sets whose every figure is known by hand."""

import json
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stageline.core.settings import Settings
from stageline.evaluation.reading import read, sample
from stageline.registry.repository import open_repository
from tests.support import commands
from tests.support.labelled_pictures import BLUE, CHOSEN, RED, SCENES, SIZE, coco, draw, publish, write, yolo
from tests.support.tiny_models import colours

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def seeing_models(tmp_path_factory) -> Path:
    """A model store with a detector of red and blue, and a classifier of both."""
    folder = tmp_path_factory.mktemp("models")
    publish(folder)
    return folder


@pytest.fixture
def evaluate(tmp_path, seeing_models) -> Run:
    """Run `stageline evaluate`; the figures are in `figures.json`, where it got that far."""

    def run(folder: Path, *words: object, **environment: str) -> subprocess.CompletedProcess:
        own = {"MODELS_DIR": str(seeing_models), **CHOSEN, **environment}
        return commands.stageline(tmp_path, "evaluate", folder, "--json", "figures.json", *words, **own)

    return run


def figures(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "figures.json").read_text())


def of(report: dict, **settings: object) -> dict:
    """What came of these settings."""
    (one,) = [one for one in report["tried"] if one["settings"] == settings]
    return one


def test_grey_costs_all_and_another_setting_brings_it(evaluate, tmp_path) -> None:
    """A network that sees colours only: the line as configured finds nothing, the bare network all, and it says which
    setting would mend that. The folder is left as it was."""
    twenty = dict.fromkeys(map(str, range(20)), SCENES["a"])
    before = sorted(yolo(tmp_path / "data", twenty).rglob("*"))
    done = evaluate(tmp_path / "data")
    assert done.returncode == 0, done.stderr
    report = figures(tmp_path)
    assert (report["line"]["ap50"], report["network"]["ap50"], report["network"]["ap"]) == (0.0, 1.0, 1.0)
    grey = {one["step"]: one for one in report["steps"]}["grey"]
    assert (grey["ap50_without"], grey["ap50_with"], grey["ap50_difference"]) == (1.0, 0.0, -1.0)
    for name in ("resized", "original"):
        assert of(report, DETECT_ON=name)["verdict"] == "better"
        assert f"DETECT_ON={name}: AP50 1.000 instead of 0.000 (+1.000" in done.stdout
    better = done.stdout.partition("Settings that would do better:")[2].partition("\n\n")[0]
    assert "DETECT_ON=original" in better
    assert sorted((tmp_path / "data").rglob("*")) == before


def test_both_kinds_of_data_set_give_the_same_figures(evaluate, tmp_path) -> None:
    """The same pictures and labels, as YOLO and as COCO, with misses and false findings in them."""
    scenes = {**SCENES, "d": [("person", RED)], "e": [("car", BLUE)], "f": []}
    assert evaluate(yolo(tmp_path / "y", scenes), DETECT_ON="resized").returncode == 0
    by_yolo = figures(tmp_path)
    assert evaluate(coco(tmp_path / "c", scenes), DETECT_ON="resized").returncode == 0
    by_coco = figures(tmp_path)
    for part in ("classes", "categories", "steps"):
        assert by_yolo[part] == by_coco[part], part
    assert (by_yolo["data"]["kind"], by_coco["data"]["kind"]) == ("YOLO labels", "COCO JSON")
    for report in (by_yolo, by_coco):
        assert (report["data"]["pictures"], report["data"]["labels"]) == (6, 8)
        assert report["line"]["ap50"] == report["network"]["ap50"] > 0.5


def test_named_categories_are_counted_by_their_labels(evaluate, tmp_path) -> None:
    """Of four red things one is labelled a car: three are named right, one wrong, and that car is missed."""
    scenes = {stem: [("person", RED)] for stem in "abcd"}
    data = yolo(tmp_path / "data", scenes)
    row = (data / "labels" / "d.txt").read_text()
    write(data / "labels" / "d.txt", "2" + row[1:])
    done = evaluate(data, DETECT_ON="resized", DETECT_MIN_SCORE="0.85")
    assert done.returncode == 0, done.stderr
    objects = figures(tmp_path)["categories"]["objects"]
    assert {name: objects[name] for name in ("named", "right", "wrong", "missed")} == {
        "named": 4, "right": 3, "wrong": 1, "missed": 1,
    }  # fmt: skip
    assert objects["interval"] == pytest.approx([0.3006, 0.9544], abs=1e-4)  # Wilson's, of 3 in 4


def test_categories_of_unlabelled_classes_are_not_judged(evaluate, tmp_path) -> None:
    """Each picture shows a person and a car, and persons alone are labelled: named cars are neither right nor wrong.
    Nor where the one picture with a labelled car cannot be looked at."""
    data = yolo(tmp_path / "data")
    for stem in SCENES:
        path = data / "labels" / f"{stem}.txt"
        write(path, path.read_text().partition("\n")[0])
    alone = {"named": 3, "right": 3, "wrong": 0, "missed": 0}
    for broken in (False, True):
        if broken:
            write(data / "labels" / "z.txt", "2 0.5 0.5 0.5 0.5")
            (data / "images" / "z.png").write_bytes(b"nothing")
        done = evaluate(data, DETECT_ON="resized")
        assert done.returncode == int(broken), done.stderr
        categories = figures(tmp_path)["categories"]
        assert {name: categories["objects"][name] for name in alone} == alone
        assert categories["pictures"]["wrong"] == 0


def test_classes_that_the_detector_does_not_know_are_listed_and_left_out(evaluate, tmp_path) -> None:
    """And names that differ in capitals and underscores are the same."""
    data = yolo(tmp_path / "data", names="names: {0: PERSON, 1: Traffic_Light, 2: unicorn}\n")
    done = evaluate(data, DETECT_ON="resized")
    assert done.returncode == 0, done.stderr
    report = figures(tmp_path)
    assert report["data"]["unknown_classes"] == {"unicorn": 3}
    assert [(one["class"], one["labels"], one["line_ap50"]) for one in report["classes"]] == [("person", 3, 1.0)]
    assert "unicorn (3)" in done.stdout


def test_what_cannot_be_used_is_named_and_the_rest_is_measured(evaluate, tmp_path) -> None:
    """A picture that is none, a line that is no label, an unknown class: said with file and line, exit status 1."""
    data = yolo(tmp_path / "data")
    (data / "images" / "b.png").write_bytes(b"nothing")
    with (data / "labels" / "c.txt").open("a") as file:
        file.write("\n0 0.5 0.5\n99 0.5 0.5 0.1 0.1\n")
    done = evaluate(data, DETECT_ON="resized")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "b.png: not a picture" in done.stderr
    assert "labels/c.txt, line 3: it has 3 numbers" in done.stderr
    assert "labels/c.txt, line 4: class 99 is none of the 3" in done.stderr
    assert figures(tmp_path)["data"]["pictures"] == 2
    assert figures(tmp_path)["line"]["ap50"] == 1.0


def test_a_picture_of_another_size_than_its_annotations_say_is_left_out(evaluate, tmp_path) -> None:
    """Its boxes would lie elsewhere; the others count."""
    data = coco(tmp_path / "data")
    draw(data / "val" / "b.png", SCENES["b"], (SIZE[0] + 10, SIZE[1]))
    done = evaluate(data, DETECT_ON="resized")
    assert done.returncode == 1
    assert "650 × 480, not 640 × 480" in done.stderr
    assert figures(tmp_path)["data"]["pictures"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--json", "nowhere/figures.json"], "--json"), (["--annotations", "absent.json"], "no such file")],
)
def test_wrong_input_is_reported_before_the_pictures_are_read(words, says, evaluate, tmp_path) -> None:
    """One sentence, exit status 1."""
    done = evaluate(yolo(tmp_path / "data"), *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_detector_that_knows_no_class_is_said(evaluate, tmp_path) -> None:
    """Nothing can be measured then."""
    done = evaluate(yolo(tmp_path / "data", names="names: [elf, dwarf, orc]\n"))
    assert done.returncode == 1
    assert "knows none of the classes that are labelled (elf, orc)" in done.stderr


def test_a_limit_takes_the_same_pictures_each_time(evaluate, tmp_path) -> None:
    """Two of five: their 1, 2, 4, 8 and 16 labels show which, and the problems of the others are not reported."""
    data = yolo(tmp_path / "data", dict.fromkeys("abcde", SCENES["a"]))
    counts = {stem: 2**place for place, stem in enumerate("abcde")}
    for stem, count in counts.items():
        write(data / "labels" / f"{stem}.txt", "0 0.2 0.2 0.1 0.1\n" * count)
    drawn = {picture.path.stem for picture in sample(read(data), 2).pictures}
    for stem in counts.keys() - drawn:
        with (data / "labels" / f"{stem}.txt").open("a") as file:
            file.write("99 0.5 0.5 0.1 0.1\n")
    for _ in range(2):
        done = evaluate(data, "--limit", 2, DETECT_ON="resized")
        report = figures(tmp_path)["data"]
        assert (done.returncode, report["problems"]) == (0, []), done.stderr
        assert (report["pictures"], report["labels"]) == (2, sum(counts[stem] for stem in drawn))
    assert f"2 pictures, {report['labels']} labels of 1 class (" in done.stdout


@pytest.mark.parametrize("configured", ["colours", "outputs"])
def test_models_that_cannot_be_used_are_named_in_plain_sentences(configured: str, evaluate, tmp_path) -> None:
    """One whose network gives other outputs than its card says, a broken card, one that knows nothing of what is
    detected: stderr and the figures say why, in no line of a log. So it is where the first is the configured one."""
    publish(tmp_path / "models")
    repository = open_repository(Settings(models_dir=tmp_path / "models"))
    mapping = {"person": "red"}
    for made in (
        colours(name="outputs", outputs=4, detector_labels=mapping),
        colours(name="broken"),
        colours(name="strange"),
    ):
        repository.publish(made)
        repository.promote(made.card.name, made.card.version)
    write(tmp_path / "models" / "broken" / "1" / "model.json", "{")
    models = {"MODELS_DIR": str(tmp_path / "models"), "CLASSIFY_MODEL": configured}
    done = evaluate(yolo(tmp_path / "data", {"a": SCENES["a"]}), DETECT_ON="resized", **models)
    assert done.returncode == 0, done.stderr
    left_out = figures(tmp_path)["models_left_out"]
    assert left_out.keys() == {"outputs", "broken", "strange"}
    assert "gives [1, 4] for 1 crops; by its card it is [1, 3]" in left_out["outputs"]
    assert "the card of broken@1 is refused" in left_out["broken"]
    assert left_out["strange"] == "none of its categories is one of the detector's labels"
    for name, why in left_out.items():
        assert f"the model {name} is left out: {why}\n" in done.stderr
    assert "{" not in done.stderr
    assert ("categories: none; outputs is not used" in done.stdout) == (configured == "outputs")
    assert "1 picture, 2 labels of 2 classes" in done.stdout
    assert "too few for intervals" in done.stdout


def test_ctrl_c_ends_it_without_a_traceback(tmp_path, seeing_models) -> None:
    """As soon as it has begun: no figures, no half of a file, no traceback."""
    data = yolo(tmp_path / "data", {f"{number:03}": SCENES["a"] for number in range(60)})
    process = subprocess.Popen(
        [*commands.STAGELINE, "evaluate", str(data), "--json", "figures.json"],
        env=commands.environment(MODELS_DIR=str(seeing_models), **CHOSEN), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a job of a shell ignores it
    )  # fmt: skip
    assert process.stderr is not None
    assert "60 pictures" in process.stderr.readline()  # printed when it begins
    process.send_signal(signal.SIGINT)
    _, noted = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in noted
    assert not (tmp_path / "figures.json").exists()
