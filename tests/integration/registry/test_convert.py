"""The converters: a torch network's ONNX file computes what torch does, and no file is trusted.

The published weights are not to be had where the tests run; random ones of the very same shapes stand for them, and
are installed as `stageline models fetch` does it: from a mirror, held against a sha256, converted, published.
"""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detect_service.detectors import load_objects
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference import FloatArray, Options, open_network
from stageline.registry.card import ModelFiles
from stageline.registry.install import manifest
from tests.support.torch_networks import saved, settled

pytest_plugins = ("tests.support.convert_fixtures",)
Install = Callable[[str, bytes], ModelFiles]

CLASSIFIERS = {
    "resnet18-imagenet": ("resnet18", "ResNet18_Weights.IMAGENET1K_V1"),
    "mobilenet-v2-imagenet": ("mobilenet_v2", "MobileNet_V2_Weights.IMAGENET1K_V2"),
    "squeezenet1_1-imagenet": ("squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"),
}
NEED_TORCH = [name for name, entry in manifest().items() if entry.get("extra") == "train"]


def computed(model: ModelFiles, *arrays: Any) -> tuple[FloatArray, ...]:
    """What the installed network gives."""
    return open_network(model.network, model.card.reference, Options()).run(*arrays)


@pytest.mark.parametrize("zipped", [True, False], ids=["as torch saves", "as torch saved before 1.6"])
def test_face_embeddings_are_those_of_facenet_pytorch(
    torch: Any, faces: FloatArray, install_from: Install, *, zipped: bool
) -> None:
    """Within 1e-4 on real faces, each of length 1, one by one and in a batch."""
    from facenet_pytorch import InceptionResnetV1, fixed_image_standardization

    theirs = settled(torch, InceptionResnetV1(dropout_prob=0), fixed_image_standardization(torch.from_numpy(faces)))
    published = {**theirs.state_dict(), "logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}
    ours = install_from("facenet-vggface2", saved(torch, published, _use_new_zipfile_serialization=zipped))
    with torch.inference_mode():
        wanted = theirs(fixed_image_standardization(torch.from_numpy(faces))).numpy()

    (found,) = computed(ours, faces)

    assert found.shape == (len(faces), 512)
    assert np.abs(wanted - wanted.mean(axis=0)).max() > 0.02, "the faces must differ, or all of this shows nothing"
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(computed(ours, faces[:1])[0], wanted[:1], atol=1e-4)
    assert len(ours.network) < 95_000_000, "the classifier that it was trained with is left out"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_imagenet_classifiers_say_what_torchvision_says(
    name: str, torch: Any, data_dir: Path, install_from: Install
) -> None:
    """The same logits within 1e-3 of their range, the same best class, torchvision's labels and preprocessing."""
    from torchvision import models

    architecture, weights_name = CLASSIFIERS[name]
    published = models.get_weight(weights_name)
    wanted = published.transforms()
    paths = sorted((data_dir / "coco128" / "images").iterdir())[:6]
    pictures = [
        cv2.resize(cv2.imread(str(path))[:, :, ::-1], (224, 224), interpolation=cv2.INTER_AREA) for path in paths
    ]
    pixels = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2), np.float32)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (wanted.mean, wanted.std))
    batch = (torch.from_numpy(pixels) / 255 - mean) / std
    network = settled(torch, models.get_model(architecture, weights=None), batch)
    with torch.inference_mode():
        theirs = network(batch).numpy()

    ours = install_from(name, saved(torch, network.state_dict()))

    (found,) = computed(ours, pixels)
    np.testing.assert_allclose(found, theirs, atol=1e-3 * np.ptp(theirs))
    assert found.argmax(axis=1).tolist() == theirs.argmax(axis=1).tolist()
    assert list(ours.card.labels) == published.meta["categories"]
    (given,) = wanted.crop_size
    assert ours.card.input.shape == ("batch", 3, given, given)
    assert [ours.card.preprocessing.resize] == wanted.resize_size


def test_ssdlite_finds_what_torchvision_finds(torch: Any, data_dir: Path, install_from: Install) -> None:
    """The real architecture, from a picture to boxes: the labels, the scores within 1e-4, the boxes within a pixel."""
    from torchvision.models import detection

    paths = sorted((data_dir / "coco128" / "images").iterdir())[:4]
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR).astype(np.uint8) for path in paths]
    stretched = [cv2.resize(each, (320, 320), interpolation=cv2.INTER_AREA)[:, :, ::-1] for each in pictures]
    pixels = torch.from_numpy(np.stack(stretched)).permute(0, 3, 1, 2).float() / 255
    network = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    settled(torch, network, pixels * 2 - 1, lambda x: network.head(list(network.backbone(x).values())))
    for layer in network.head.classification_head.module_list:  # mostly background, as in a trained one
        layer[-1].weight.data *= 4
        layer[-1].bias.data.view(-1, 91)[:, 0] = 7
    with torch.inference_mode():
        (theirs,) = network([pixels[0]])

    ours = install_from("ssdlite320-mobilenet-v3", saved(torch, network.state_dict()))

    assert list(ours.card.labels) == manifest()["ssd-mobilenet-v1"]["labels"]
    found = load_objects(ours, Settings(inference_precision="float32")).detect(pictures[0], 0.3)
    scale = np.array([pictures[0].shape[1], pictures[0].shape[0]] * 2) / 320
    rows = zip(theirs["boxes"].numpy() * scale, theirs["scores"].tolist(), theirs["labels"].tolist(), strict=True)
    wanted = [(ours.card.labels[label], score, box) for box, score, label in rows if score >= 0.3]
    wanted = [each for each in wanted if each[0]]  # a random network also finds what COCO has no name for
    assert len(wanted) > 5
    assert [each.label for each in found] == [label for label, _, _ in wanted]
    np.testing.assert_allclose([each.score for each in found], [score for _, score, _ in wanted], atol=1e-4)
    np.testing.assert_allclose([each.box for each in found], [box for _, _, box in wanted], atol=1)


@pytest.mark.parametrize("name", NEED_TORCH)
def test_what_is_not_the_weights_is_refused(name: str, torch: Any, install_from: Install, tmp_path: Path) -> None:
    """Noise, a number, other weights, and a pickle that would run a command, which does not run: a sentence each."""
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (marker.touch, ())

    other = saved(torch, {"conv.weight": torch.zeros(3)})
    for data, says in (
        (b"\x00noise" * 100, "no file of weights"),
        (b"", "no file of weights"),
        (saved(torch, 7), "something else than named tensors"),
        (saved(torch, {"conv.weight": 7}), "something else than named tensors"),
        (saved(torch, {"conv.weight": Evil()}), "no file of weights"),
        (pickle.dumps(Evil(), 2), "no file of weights"),
        (other[: len(other) // 2], "no file of weights"),
        (other, "weights of another network"),
    ):
        with pytest.raises(ModelError, match=says):
            install_from(name, data)
    assert not marker.exists()


@pytest.mark.parametrize("name", NEED_TORCH)
def test_without_torch_a_sentence_says_what_to_install(
    name: str, install_from: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is refused before anything is read."""
    for package in ("torch", "torchvision", "torchvision.models", "torchvision.models.detection", "facenet_pytorch"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=r"needs torch: pip install 'stageline\[train\]'"):
        install_from(name, b"weights")
