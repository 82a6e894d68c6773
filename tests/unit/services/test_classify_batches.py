"""Batches at the classify stage: together as one by one, in bounded memory, and all by the same models."""

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from classify_service import crops
from classify_service.networks import BATCH_SIZE
from stageline.core.errors import BadImage
from stageline.imaging import codec
from stageline.inference import FloatArray
from tests.support.classify_helpers import SCALE, both, document, found, named, serve, task, work
from tests.support.picture_makers import encoded, noise, scene
from tests.support.tiny_embedder import cells
from tests.support.tiny_models import colours

WIDE, HIGH = 4000, 3000  # twelve megapixels


def photograph(**options: Any) -> bytes:
    """A JPEG of twelve megapixels: the scene's quarters, with soft shapes in them."""
    small = cv2.resize(np.random.default_rng(3).integers(0, 60, (30, 40, 3), dtype=np.uint8), (WIDE, HIGH))
    return encoded(Image.fromarray(np.asarray(scene(WIDE, HIGH)) // 2 + small.astype(np.uint8)), "JPEG", **options)


def test_hundreds_of_findings_are_looked_at_sixteen_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five hundred the three hundred surest, in their order; what a call holds does not grow with them."""
    stage, sizes = both(), []
    for served in stage.models[::2]:
        network = served.now().value.network
        run = network.run

        def counted(fitted: Any, run: Any = run) -> Any:
            sizes.append(len(fitted))
            return run(fitted)

        monkeypatch.setattr(network, "run", counted)
    many = [found([20, 16, 31, 23], score=((i * 7) % 500) / 500) for i in range(500)]
    (output,) = stage.run([task(encoded(scene(), "PNG"), detections=many, faces=many)])
    embedded = [face["score"] for face in output.fields["faces"] if "embedding" in face]
    assert len(output.fields["faces"]) == 500
    assert embedded == [item["score"] for item in many if item["score"] >= 200 / 500]
    assert [item["box"] for item in document(output)["faces"]] == [many[0]["box"]] * 300
    assert len([box for _, box in named(output) if box]) == 300
    assert max(sizes) <= BATCH_SIZE
    assert sum(sizes) == 300 + 300


def test_a_damaged_picture_fails_alone() -> None:
    """It fails its batch with its own reason, and the others have lost nothing when they are tried again one by one."""
    sound = task(encoded(Image.new("RGB", (64, 48), "red"), "JPEG"))
    for damaged in (b"", b"no picture", encoded(noise(), "PNG")[:500]):
        stage = both()
        with pytest.raises(BadImage):
            stage.run([sound, task(damaged), sound])
        with pytest.raises(BadImage):
            stage.run([task(damaged)])
        assert named(stage.run([sound])[0]) == [("red", None)]


def test_a_swap_falls_between_two_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is swapped while a batch is worked serves from the next one on; each finding names its own."""
    stage = work(colours("1", SCALE), cells(), classify_min_confidence=0.0)
    value = stage.models[0].now().value
    probabilities = value.probabilities

    def swapping(fitted: Any) -> FloatArray:
        serve(stage, colours("2", SCALE, labels=["rot", "grün", "blau"]))
        return probabilities(fitted)

    monkeypatch.setattr(value, "probabilities", swapping)
    pictures = [task(encoded(scene(), "PNG"), f"p{i}") for i in range(20)]  # more than one call takes
    first, second = stage.run(pictures), stage.run(pictures)
    for outputs, model, labels in ((first, "colours@1", {"green"}), (second, "colours@2", {"grün"})):
        items = [item for output in outputs for item in output.fields["categories"]]
        assert ({item["model"] for item in items}, {item["category"] for item in items}) == ({model}, labels)


@pytest.mark.parametrize(
    ("face", "width"),
    [(None, 500), (1280, 500), (1279, 1000), (700, 1000), (400, 2000), (320, 2000), (319, 4000), (60, 4000)],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_an_original_is_decoded_once_and_no_larger_than_needed(
    face: int | None, width: int, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder shrinks it as far as leaves every face its 160 pixels, or those it has, and an object its 32."""
    decoded: list[tuple[int, int]] = []
    decode = codec.decode

    def watched(*args: Any, **named: Any) -> Any:
        pixels, info = decode(*args, **named)
        decoded.append((max(pixels.shape[:2]), max(info.width, info.height)))
        return pixels, info

    monkeypatch.setattr(crops.codec, "decode", watched)
    faces = [{"score": 1, "box": [100, 100, 100 + face, 100 + face * 1.3]}] if face else []
    exif = Image.Exif()
    exif[0x0112] = orientation
    given = task(photograph(exif=exif), detections=[found([0, 0, 300, 2000])], faces=faces)
    (output,) = both().run([given])
    assert decoded == [(width, WIDE)]
    assert len(document(output)["faces"]) == len(faces)


def test_a_smaller_decode_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Categories, confidences and embeddings from the smallest decode are nearly those of the whole original."""
    boxes = [[0.0, 0.0, 900.0, 700.0], [2100.0, 100.0, 3900.0, 1400.0], [301.0, 1777.0, 1200.0, 2950.0]]
    faces = [{"score": 1, "box": box, "landmarks": [[box[0] + 200, 500], [box[0] + 500, 600]]} for box in boxes]
    given = task(photograph(quality=95), detections=[found(box) for box in boxes], faces=faces)
    stage = work(colours(scale=0.05), cells(), classify_min_confidence=0.0)
    (small,) = stage.run([given])
    decode = codec.decode
    monkeypatch.setattr(crops.codec, "decode", lambda data, most, at_least: decode(data, most, max(at_least, WIDE)))
    (large,) = stage.run([given])
    assert named(small) == named(large)
    for a, b in zip(small.fields["categories"], large.fields["categories"], strict=True):
        assert a["confidence"] == pytest.approx(b["confidence"], abs=0.02)
    for a, b in zip(document(small)["faces"], document(large)["faces"], strict=True):
        assert float(np.dot(a["embedding"], b["embedding"])) > 0.999
