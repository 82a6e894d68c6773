"""Classifying crops: fed strictly by the card, together as one by one, and no network that is not its card's."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from classify_service import preprocessing
from classify_service.categories import Classifier, load_classifier
from classify_service.networks import BATCH_SIZE
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference import model_input
from stageline.registry.card import Input, Preprocessing, made_of
from tests.support.tiny_models import COLOURS, card, colours

Pixels = NDArray[np.uint8]
SETTINGS = Settings(device="cpu", inference_precision="float32")
SHAPES = [(32, 32), (1, 1), (5, 300), (300, 5), (33, 31), (200, 100), (31, 64), (640, 480)]


def noise(height: int, width: int, seed: int = 7) -> Pixels:
    """BGR, uint8 [height, width, 3], every pixel another."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(height: int, width: int, rgb: tuple[int, int, int]) -> Pixels:
    """BGR, uint8 [height, width, 3], of one colour."""
    return np.full((height, width, 3), rgb[::-1], dtype=np.uint8)


def ramp(height: int, width: int, across: float, down: float) -> Pixels:
    """BGR, uint8 [height, width, 3], rising by so much a pixel, from 0."""
    rows, columns = np.mgrid[:height, :width]
    return np.repeat(np.rint(rows * down + columns * across).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """The classifier of the mean colour."""
    return load_classifier(colours(scale=0.02), SETTINGS)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_crop_of_any_shape_gets_the_probabilities_of_its_mean_colour(
    shape: tuple[int, int], classifier: Classifier
) -> None:
    """What can be computed by hand: the softmax of 0.02 times the means of red, green and blue."""
    for rgb in ((255, 0, 0), (0, 255, 0), (40, 90, 200), (0, 0, 0)):
        (found,) = classifier.classify([plain(*shape, rgb)])
        powers = np.exp(0.02 * np.array(rgb))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, powers / powers.sum(), atol=1e-6)


def test_the_best_are_the_surest_first(classifier: Classifier) -> None:
    """Labels come with their confidences, in falling order, and no more than there are."""
    (found,) = classifier.classify([plain(9, 9, (10, 200, 100))])
    names, shares = zip(*classifier.best(found, 5), strict=True)
    assert names == ("green", "blue", "red")
    assert sum(shares) == pytest.approx(1)
    assert classifier.best(found)[0][0] == "green"


def test_together_is_one_by_one(classifier: Classifier) -> None:
    """Crops of many sizes get, in more calls than one, what each of them gets alone; none gets none."""
    crops = [noise(*SHAPES[i % len(SHAPES)], seed=i) for i in range(2 * BATCH_SIZE + 3)]
    together = classifier.classify(crops)
    np.testing.assert_allclose(together, np.concatenate([classifier.classify([crop]) for crop in crops]), atol=1e-6)
    assert together.shape == (len(crops), len(COLOURS))
    assert classifier.classify([]).shape == (0, len(COLOURS))


def test_large_outputs_stay_probabilities() -> None:
    """Logits of tens of thousands overflow nothing."""
    sure = load_classifier(colours(scale=200.0), SETTINGS)
    np.testing.assert_array_equal(sure.classify([plain(3, 3, (0, 255, 0))]), [[0, 1, 0]])


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: colours(outputs=2), r"gives \[1, 2\] for 1 crops; by its card it is \[1, 3\]"),
        (lambda: colours(outputs=1), r"\[1, 1\]"),
        (lambda: colours(scale=float("nan")), "not finite"),
        (lambda: colours(task="face-embedding"), "is for face-embedding"),
        (lambda: colours(input={"shape": ["batch", 3, 48, 32]}), r"3, 48, 32"),
        (lambda: colours(input={"shape": ["batch", 1, 32, 32]}), r"input\.shape is \['batch', 1, 32, 32\]"),
        (lambda: colours(input={"shape": [4, 3, 32, 32]}), r"input\.shape"),
        (lambda: colours(input={"shape": ["batch", 3, "h", "w"]}), r"input\.shape"),
        (lambda: colours(input={"shape": ["batch", 3, 32, 32], "dtype": "uint8", "std": [2, 2, 2]}), "as they are"),
        (lambda: colours(preprocessing={"fit": "crop", "resize": 16}), r"preprocessing\.resize is 16"),
    ],
)  # fmt: skip
def test_a_network_that_is_not_its_cards_is_refused(model: Any, says: str) -> None:
    """The wrong number of outputs, another shape, another task: a sentence that names the model, before it serves."""
    with pytest.raises(ModelError, match=says) as error:
        load_classifier(model(), SETTINGS)
    assert "colours@1" in str(error.value)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_the_array_is_what_the_card_says(layout: Any, colour: Any) -> None:
    """Each byte, in its place: layout, order of colours, range, mean and deviation."""
    crops, mean, std = [noise(5, 4, seed) for seed in (1, 2)], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    shape = ("batch", 3, 5, 4) if layout == "NCHW" else ("batch", 5, 4, 3)
    card = Input(shape=shape, layout=layout, colour=colour, range=(0, 1), mean=mean, std=std)
    array = model_input.as_array(crops, card)
    raw = model_input.as_array(crops, Input(shape=shape, layout=layout, colour=colour, dtype="uint8"))
    assert (array.dtype, raw.dtype) == (np.float32, np.uint8)
    assert array.flags.c_contiguous
    assert raw.flags.c_contiguous
    for n, y, x, c in np.ndindex(2, 5, 4, 3):
        place = (n, c, y, x) if layout == "NCHW" else (n, y, x, c)
        byte = int(crops[n][y, x, 2 - c if colour == "RGB" else c])
        assert raw[place] == byte
        assert array[place] == pytest.approx((byte / 255 - mean[c]) / std[c], abs=1e-5)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("shape", [*SHAPES, (1, 30_000), (40_000, 1), (65_000, 2), (3, 9999)])
def test_every_shape_is_fitted(fit: Any, shape: tuple[int, int]) -> None:
    """The result has the input's size, whatever the crop's, and keeps no hold of the picture that it was cut from."""
    picture = noise(*shape)
    found = preprocessing.fitted(picture, (48, 32), Preprocessing(fit=fit, resize=56 if fit == "crop" else None))
    assert (found.shape, found.dtype) == ((48, 32, 3), np.uint8)
    assert not np.shares_memory(found, picture)
    assert preprocessing.fitted(found, (48, 32), Preprocessing()).base is None


def test_the_middle_is_cut_out_as_torchvision_does() -> None:
    """Of a ramp of 400 × 300, resized to 256 in height, the cut begins at the 59th column, the 16th row."""
    found = preprocessing.fitted(ramp(300, 400, 0.5, 0.1), (224, 224), Preprocessing(fit="crop", resize=256)).astype(
        float
    )
    step = 300 / 256
    for row, column in ((0, 0), (0, 223), (223, 0), (100, 50)):
        y, x = (16 + row + 0.5) * step - 0.5, (round((341 - 224) / 2) + column + 0.5) * 400 / 341 - 0.5
        assert found[row, column, 0] == pytest.approx(0.5 * x + 0.1 * y, abs=1.0)


def test_letterboxing_keeps_the_shape() -> None:
    """A wide crop lies at the top, a tall one at the left, and the rest is grey."""
    wide = preprocessing.fitted(plain(50, 200, (9, 9, 9)), (48, 32), Preprocessing(fit="letterbox"))
    tall = preprocessing.fitted(plain(200, 50, (9, 9, 9)), (48, 32), Preprocessing(fit="letterbox"))
    assert ((wide == 9).all(axis=2).sum(), (tall == 9).all(axis=2).sum()) == (32 * 8, 48 * 12)
    assert (wide[8:] == 114).all()
    assert (tall[:, 12:] == 114).all()


@pytest.mark.parametrize("shape", [(640, 640), (640, 8), (8, 640), (500, 700)])
def test_nothing_is_lost_between_pixels(shape: tuple[int, int]) -> None:
    """Stripes of one pixel shrink to the grey that they are, along whichever side they shrink: none is left out."""
    stripes = np.zeros((*shape, 3), np.uint8)
    stripes[::2, ::2] = stripes[1::2, 1::2] = 255
    if shape[0] < 32:  # that side grows, so its pixels stay to be seen
        stripes[:] = stripes[:1]
    if shape[1] < 32:
        stripes[:] = stripes[:, :1]
    found = preprocessing.fitted(stripes, (32, 32), Preprocessing()).astype(int)
    assert np.abs(found - 127.5).max() < 12


@pytest.mark.parametrize("how", [Preprocessing(), Preprocessing(fit="letterbox"), Preprocessing(fit="crop", resize=40)])
def test_a_picture_may_be_shrunk_as_far_as_is_useful(how: Preprocessing) -> None:
    """Shrunk by that scale beforehand, a crop fills the input as before; by less, it would have to be enlarged."""
    picture = cv2.GaussianBlur(noise(400, 600), (0, 0), 25)
    picture = cv2.normalize(picture, np.empty(0), 0, 255, cv2.NORM_MINMAX)
    scale = preprocessing.useful_scale(600, 400, (32, 32), how)
    small = cv2.resize(picture, (round(600 * scale), round(400 * scale)), interpolation=cv2.INTER_AREA)
    assert min(small.shape[:2]) >= 21
    before, after = (preprocessing.fitted(part, (32, 32), how).astype(int) for part in (np.asarray(picture), small))
    assert np.abs(before - after).mean() < 4
    assert preprocessing.useful_scale(8, 4, (32, 32), how) > 1


@pytest.mark.parametrize("fault", ["two at a time", "not finite on white"])
def test_a_network_that_fails_on_some_crops_is_refused_when_it_is_loaded(fault: str) -> None:
    """A batch that was baked in when it was exported, and numbers that overflow where a crop is bright."""
    if fault == "two at a time":
        constants = [numpy_helper.from_array(np.array([2, 3072], np.int64), "shape")]
        nodes = [helper.make_node("Reshape", ["pixels", "shape"], ["flat"])]
    else:
        constants = [numpy_helper.from_array(np.array(255, np.float32), "white")]
        nodes = [
            helper.make_node("Sub", ["white", "pixels"], ["dark"]),
            helper.make_node("Div", ["pixels", "dark"], ["ratio"]),
            helper.make_node("Flatten", ["ratio"], ["flat"]),
        ]
    constants.append(numpy_helper.from_array(np.ones((3072, 3), np.float32), "weights"))
    nodes.append(helper.make_node("MatMul", ["flat", "weights"], ["logits"]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "faulty", [pixels], [logits], constants)
    onnx = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    with pytest.raises(ModelError):
        load_classifier(made_of(card(), {"model.onnx": onnx}), Settings())
