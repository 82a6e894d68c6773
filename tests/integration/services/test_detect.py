"""The detect stage: it goes on without what is missing, stamps what it finds, and refuses what is no detector."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from detect_service.detectors import FACE_NETWORKS, load_faces
from detect_service.service import MODEL_LOADERS, Detect
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.registry.card import ModelFiles, made_of
from stageline.registry.missing_models import missing
from stageline.registry.repository import open_repository
from stageline.registry.serving import Loaded
from tests.support.detector_graphs import Graph, card, model, yolox_network

FIELDS = {"image_id": "a", "original_path": "original/a.jpg", "path": "grayscale/a.jpg"}


def task(original: bytes, **more: bytes) -> Task:
    """A picture's turn at the stage."""
    return Task(Message.of(FIELDS), {"original": original, **more})


def done(stage: Detect, given: Task) -> StageOutput:
    """What the stage makes of one picture."""
    (output,) = stage.run([given])
    return output


@pytest.fixture
def people(data_dir: Path) -> bytes:
    """A photograph of several people."""
    return (data_dir / "faces" / "multiface.jpg").read_bytes()


@pytest.fixture
def installed(models_dir: Path) -> dict[str, ModelFiles]:
    """The real detectors, by name."""
    repository = open_repository(Settings(models_dir=models_dir))
    found = {}
    for name in ("yolox-nano", "mtcnn"):
        pointer = repository.pointer(name)
        assert pointer is not None
        found[name] = repository.load(name, pointer.version)
    return found


def serve(stage: Detect, chosen: ModelFiles) -> None:
    """Have the stage use a model."""
    (served,) = (each for each in stage.models if each.name == chosen.card.name)
    settings: Any = stage._settings
    served.swap(Loaded(chosen.card, MODEL_LOADERS[chosen.card.task](chosen, settings)))  # type: ignore[arg-type]


def test_without_models_a_picture_passes_and_they_are_named(people: bytes) -> None:
    """Nothing is found, nothing fails, and the message says what was missing."""
    stage = Detect(Settings(detect_on="original"))
    fields = done(stage, task(people)).fields
    assert (fields["detections"], fields["faces"], fields["kind"]) == ([], [], "object")
    assert fields["missing_models"] == ["yolox-nano", "mtcnn"] == missing(stage.models)


def test_the_detector_is_chosen_by_name(people: bytes) -> None:
    """DETECT_MODEL names it."""
    stage = Detect(Settings(detect_model="ssd-mobilenet-v1", detect_on="original"))
    assert done(stage, task(people)).fields["missing_models"] == ["ssd-mobilenet-v1", "mtcnn"]


def test_every_finding_names_the_model_that_made_it(people: bytes, installed: dict[str, ModelFiles]) -> None:
    """Objects and faces of a photograph: model, version and sha256, in the message and in detections/."""
    stage = Detect(Settings(detect_on="original"))
    for each in installed.values():
        serve(stage, each)
    output = done(stage, task(people))
    detections, faces = output.fields["detections"], output.fields["faces"]
    assert {found["label"] for found in detections} >= {"person"}
    assert len(faces) > 3
    for found, name in [*((each, "yolox-nano") for each in detections), *((each, "mtcnn") for each in faces)]:
        assert found["model"] == installed[name].card.reference
        assert found["model_sha256"] == installed[name].card.sha256
    assert output.fields["kind"] == "face"
    assert output.fields["missing_models"] == []
    (stored,) = output.objects
    assert json.loads(stored.data) == {"image_id": "a", **output.fields}


@pytest.mark.parametrize("where", ["grayscale", "resized"])
def test_boxes_from_a_smaller_picture_are_the_originals(
    where: str, people: bytes, installed: dict[str, ModelFiles]
) -> None:
    """Objects that are looked for in a picture of half the size lie where they lie in the original, within 2 %."""
    found = {}
    pixels, _ = codec.decode(people, 50_000_000)
    small = codec.encode_jpeg(codec.shrink(pixels, pixels.shape[1] // 2, pixels.shape[0] // 2), 95)
    for on, inputs in (("original", {}), (where, {"picture": small})):
        stage = Detect(Settings(detect_on=on))
        serve(stage, installed["yolox-nano"])
        keys = stage.inputs(Message.of(FIELDS))
        assert keys.keys() == {"original", *inputs}
        found[on] = done(stage, task(people, **inputs)).fields["detections"]
    best = found["original"][0]
    twin = next(each for each in found[where] if each["label"] == best["label"])
    near = 0.02 * max(pixels.shape)
    np.testing.assert_allclose(twin["box"], best["box"], atol=near)


def test_a_model_is_swapped_between_two_pictures(people: bytes) -> None:
    """The next picture is the new version's, and says so."""
    stage = Detect(Settings(detect_on="original"))
    sure = [0.0, 0.0, 0.0, 0.0, 1.0, 0.9]
    for version in ("1", "2"):
        serve(stage, model("yolox-nano", yolox_network({1000 + int(version): sure}), version=version))
        (found,) = done(stage, task(people)).fields["detections"]
        assert found["model"] == f"yolox-nano@{version}"


def faces_model(files: dict[str, bytes], **changed: Any) -> ModelFiles:
    """A face detector of those networks."""
    return made_of(card("mtcnn", **changed), files)


def test_a_face_detector_lacks_nothing(installed: dict[str, ModelFiles]) -> None:
    """Three networks make MTCNN; the sentence names those that are missing."""
    files = {name: data for name, data in installed["mtcnn"].files.items() if name != "rnet.onnx"}
    with pytest.raises(ModelError, match=r"mtcnn@1 lacks rnet\.onnx of MTCNN's pnet\.onnx, rnet\.onnx, onet\.onnx"):
        load_faces(faces_model(files), Settings())


@pytest.mark.parametrize("name", FACE_NETWORKS)
def test_a_face_network_that_is_another_is_refused(name: str, installed: dict[str, ModelFiles]) -> None:
    """Each is tried when it is loaded: the next one in its place is not taken."""
    names = list(FACE_NETWORKS)
    other = names[(names.index(name) + 1) % 3]
    files = {**installed["mtcnn"].files, name: installed["mtcnn"].files[other]}
    with pytest.raises(ModelError, match=rf"mtcnn@1/{name}"):
        load_faces(faces_model(files), Settings())


def test_a_face_network_with_other_outputs_is_refused(installed: dict[str, ModelFiles]) -> None:
    """The sentence says what it gives, and what MTCNN's gives."""
    graph = Graph("pixels", TensorProto.FLOAT, ["faces", 3, 48, 48])
    means = graph.node("ReduceMean", graph.pixels, axes=[2, 3], keepdims=0)
    network = graph.model([("findings", means, ["faces", 3], TensorProto.FLOAT)])
    files = {**installed["mtcnn"].files, "onet.onnx": network}
    with pytest.raises(
        ModelError, match=r"mtcnn@1/onet.onnx: its outputs are \[2, 3\]; MTCNN's onet.onnx gives \[2, 15\]"
    ):
        load_faces(faces_model(files), Settings())


def test_a_face_detector_of_another_task_is_refused(installed: dict[str, ModelFiles]) -> None:
    """What it is for stands in its card."""
    other = faces_model(dict(installed["mtcnn"].files), task="face-embedding")
    with pytest.raises(ModelError, match="is for face-embedding, and face-detection is asked for"):
        load_faces(other, Settings())
