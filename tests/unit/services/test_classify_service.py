"""The classify stage: what it adds to the message, from every kind of original, and with whichever models there are."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from classify_service.crops import Span, squared
from classify_service.service import FACENET, IMAGENET, create
from stageline.core.settings import Settings
from tests.support.classify_cases import BOTTOM_LEFT, LABELS, TOP_LEFT, TOP_RIGHT
from tests.support.classify_helpers import SCALE, both, document, found, named, serve, task, work
from tests.support.picture_makers import all_kinds, encoded, noise, scene, with_orientation
from tests.support.tiny_embedder import cells
from tests.support.tiny_models import colours


def test_each_object_is_classified_in_its_own_pixels() -> None:
    """The scene's quarters are what they are, after the whole picture, in the order of the detections."""
    boxes = [TOP_RIGHT, BOTTOM_LEFT, TOP_LEFT]
    (output,) = work(colours(scale=SCALE)).run(
        [task(encoded(scene(), "PNG"), detections=[found(box) for box in boxes])]
    )
    assert named(output)[1:] == [("green", TOP_RIGHT), ("blue", BOTTOM_LEFT), ("red", TOP_LEFT)]
    (whole,) = work(colours(scale=SCALE)).run([task(encoded(Image.new("RGB", (64, 48), "blue"), "PNG"))])
    assert named(whole) == [("blue", None)]


@pytest.mark.parametrize("least", [0.0, 0.5, 0.75, 0.99])
def test_what_is_not_sure_enough_is_not_named(least: float) -> None:
    """CLASSIFY_MIN_CONFIDENCE is the least confidence, and it is included."""
    sure = np.exp(0.02 * np.array([128, 60, 60]))
    confidence = float(np.float32((sure / sure.sum())[0]))
    data = encoded(Image.new("RGB", (40, 40), (128, 60, 60)), "PNG")
    (output,) = work(colours(scale=0.02), classify_min_confidence=least).run([task(data)])
    assert [item["confidence"] for item in output.fields["categories"]] == (
        [round(confidence, 4)] if confidence >= least else []
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_in_the_picture_as_it_is_meant_to_be_seen(orientation: int, form: str) -> None:
    """Whichever way a camera was held, an object's box names the pixels that a person sees there."""
    data = with_orientation(scene(320, 240), orientation, form, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    height, width = upright.shape[:2]
    boxes = [
        [0.57 * width, 0.28 * height, 0.72 * width, 0.43 * height],
        [0.28 * width, 0.57 * height, 0.43 * width, 0.72 * height],
    ]
    (output,) = both().run([task(data, detections=[found(box) for box in boxes])])
    for box in boxes:
        x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
        seen = upright[y, x] > 128
        names = [name for name, at in named(output) if at == box]
        assert names == ([LABELS[int(seen.argmax())]] if seen.sum() == 1 else [])
    assert len(output.fields["categories"]) >= 1


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((40, 40, 60, 50), (38, 33, 62, 57)), ((0, 40, 20, 50), (0, 33, 24, 57)),
        ((90, 70, 100, 80), (88, 68, 100, 80)),
        ((0, 10, 100, 20), (0, 0, 100, 80)), ((0, 0, 100, 80), (0, 0, 100, 80)), ((50, 50, 51, 51), (50, 50, 51, 51)),
    ],
)  # fmt: skip
def test_an_object_is_looked_at_in_a_square_around_it(box: Span, square: Span) -> None:
    """A fifth longer than its box's longer side, about its middle, moved into the picture, and cut to it."""
    assert squared(box, 100, 80) == square


@pytest.mark.parametrize("kind", all_kinds())
def test_every_kind_of_original_is_looked_at(kind: str) -> None:
    """Grey, CMYK, palette, alpha, 16 bits, animated: categories and embeddings come of all."""
    given = task(all_kinds()[kind], detections=[found([1, 2, 30, 40])], faces=[{"score": 1, "box": [3, 3, 40, 40]}])
    (output,) = work(colours(), cells(), classify_min_confidence=0.0).run([given])
    assert [box for _, box in named(output)] == [[1, 2, 30, 40]]
    assert output.fields["faces"][0]["embedding"] == {"key": "findings/a.json", "index": 0}
    assert np.linalg.norm(document(output)["faces"][0]["embedding"]) == pytest.approx(1, abs=1e-5)


def test_grey_is_neither_colour_and_transparency_is_white() -> None:
    """A grey picture is no colour more than another; of a transparent red one, white is seen."""
    grey, clear = Image.new("L", (64, 64), 200), Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    for image, form in ((grey, "JPEG"), (grey, "PNG"), (clear, "PNG"), (clear, "WEBP"), (grey.convert("CMYK"), "JPEG")):
        (output,) = work(colours(), classify_min_confidence=0.0).run([task(encoded(image, form))])
        assert output.fields["categories"][0]["confidence"] == pytest.approx(1 / 3, abs=0.01)


ODD_BOXES: list[list[float]] = [
    [5, 5, 5, 20], [5, 5, 20, 5], [5.1, 5.2, 5.8, 20], [-50, -50, -1, -1], [64, 0, 90, 48], [1e8, 1e8, 2e8, 2e8],
    [0, 0, 0, 0],
]  # fmt: skip


@pytest.mark.parametrize("box", ODD_BOXES)
def test_a_box_without_an_area_is_passed_over(box: list[float]) -> None:
    """A line, a point, less than a pixel, or outside: nothing is said of it, and its neighbours are not disturbed."""
    faces = [{"score": 1, "box": box}, {"score": 1, "box": [1, 1, 60, 45], "landmarks": [[0, 0]]}]
    given = task(encoded(scene(), "PNG"), detections=[found(box), found(TOP_RIGHT)], faces=faces)
    (output,) = both().run([given])
    assert [item for item in named(output) if item[1]] == [("green", TOP_RIGHT)]
    assert output.fields["faces"] == [faces[0], {**faces[1], "embedding": {"key": "findings/a.json", "index": 0}}]
    assert [item["box"] for item in document(output)["faces"]] == [[1, 1, 60, 45]]


@pytest.mark.parametrize("box", [[-1e8, -1e8, 1e8, 1e8], [64, 48, 0, 0], [0, 0, 64, 48], [-3, 48.9, 64.2, -7]])
def test_a_box_that_reaches_out_is_cut_to_the_picture(box: list[float]) -> None:
    """Beyond the edges, or with its corners swapped, it is what of it can be seen."""
    data = encoded(noise(), "PNG")
    (output,) = work(colours(), classify_min_confidence=0.0).run([task(data, detections=[found(box)])])
    whole, cut = output.fields["categories"]
    assert {**cut, "box": None} == whole


def test_a_foreign_message_needs_no_findings() -> None:
    """Without detections, faces or sizes the whole picture is classified, and nothing else is said to be looked for."""
    for fields in ({}, {"detections": None, "faces": None, "missing_models": None}, {"origin_w": 3, "origin_h": 99999}):
        (output,) = both().run([task(encoded(Image.new("RGB", (64, 48), "lime"), "JPEG"), **fields)])
        assert named(output) == [("green", None)]
        assert "faces" not in output.fields
        assert output.fields["missing_models"] == []


def test_a_missing_model_is_named_and_nothing_is_found_by_it() -> None:
    """Its findings are absent, so that they are not taken for none; the others are there. ImageNet's are not missed."""
    given = task(encoded(scene(), "JPEG"), faces=[{"score": 1, "box": [0, 0, 9, 9]}], missing_models=["mtcnn", FACENET])
    (none,) = work().run([given])
    assert none.fields == {"missing_models": ["mtcnn", "colours", FACENET]}
    assert document(none) == {"image_id": "a", "missing_models": ["mtcnn", "colours", FACENET]}
    (some,) = work(colours()).run([given])
    assert some.fields.keys() == {"categories", "candidates", "missing_models"}
    assert some.fields["missing_models"] == ["mtcnn", FACENET]
    (others,) = work(cells()).run([given])
    assert others.fields.keys() == {"faces", "missing_models"}
    assert others.fields["missing_models"] == ["mtcnn", "colours"], "what an earlier run missed is there now"


def test_imagenets_five_best_are_given_where_it_is_installed() -> None:
    """They are of the whole picture, however unsure, surest first; with two labels, it is two."""
    thousand = colours(name=IMAGENET, scale=0.001)
    (output,) = work(colours(scale=SCALE), thousand).run([task(encoded(scene(), "PNG"))])
    items = output.fields["imagenet"]
    assert sorted(item["category"] for item in items) == sorted(LABELS)
    assert [item["confidence"] for item in items] == sorted((item["confidence"] for item in items), reverse=True)
    assert all((item["box"], item["model"]) == (None, f"{IMAGENET}@1") for item in items)
    assert document(output)["imagenet"] == items


def test_classify_model_may_be_an_imagenet_network() -> None:
    """Then categories are its labels; it is loaded once, and missed where it is not there."""
    stage = create(Settings(classify_model=IMAGENET, device="cpu", classify_min_confidence=0.0))
    assert [served.name for served in stage.models] == [IMAGENET, FACENET]
    assert stage.run([task(encoded(scene(), "PNG"))])[0].fields["missing_models"] == [IMAGENET]
    serve(stage, colours(name=IMAGENET, labels=["tabby", "tench", "goldfish"]))
    (output,) = stage.run([task(encoded(scene(), "PNG"))])
    assert output.fields["categories"] == output.fields["imagenet"][:1]
    assert output.fields["categories"][0]["category"] in ("tabby", "tench", "goldfish")
