"""Face detection: the conversion trusts nothing, and the faces are facenet-pytorch's."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from detect_service.faces import Areas, suppress
from models import mtcnn, torch_weights
from stageline.core.errors import ModelError
from stageline.inference import Options, open_network

SHAPES: dict[str, tuple[int, ...]] = {"w": (2, 3)}


def weights_file(
    *, state: bytes | None = None, strides: tuple[int, int] = (3, 1), offset: int = 0, length: int = 6
) -> bytes:
    """Build a file of torch.save's old format by hand: one tensor "w" of 2x3 float32 numbers, 0 to 5."""
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI6\nNtQ"
        b"I%d\n(I2\nI3\nt(I%d\nI%d\ntI00\nNtR" % (offset, *strides)
    )
    parts = [pickle.dumps(part, 2) for part in (torch_weights.MAGIC, 1001, {"little_endian": True})]
    parts += [state or b"\x80\x02}S'w'\n" + tensor + b"s.", pickle.dumps(["0"], 2)]
    return b"".join(parts) + struct.pack("<q6f", length, *range(6))


def zipped(name: str) -> bytes:
    """A zip file that holds an empty file of that name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"")
    return file.getvalue()


def test_weights_are_read_in_any_stride_order() -> None:
    """A tensor comes out in its own shape, whichever of its axes torch stored first."""
    rows = torch_weights.read_state(weights_file(), SHAPES)["w"]
    columns = torch_weights.read_state(weights_file(strides=(1, 2)), SHAPES)["w"]
    np.testing.assert_array_equal(rows, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(columns, [[0, 2, 4], [1, 3, 5]])


def test_foreign_global_is_refused_and_not_called(tmp_path: Path) -> None:
    """A pickle that would run a command is refused with its name, the command does not run, nothing is written."""
    marker, wheel, out = tmp_path / "ran", tmp_path / "evil.whl", tmp_path / "out"
    out.mkdir()
    evil = weights_file(state=b"\x80\x02cos\nsystem\n(S'touch %s'\ntR." % str(marker).encode())
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("facenet_pytorch/data/pnet.pt", evil)
    with pytest.raises(ModelError, match=r"evil\.whl .*os\.system"):
        mtcnn.convert(wheel, out)
    assert not marker.exists()
    assert not list(out.iterdir())


@pytest.mark.parametrize("data", [None, b"", b"PK", zipped("other.txt")], ids=["missing", "empty", "cut off", "other"])
def test_what_is_not_the_wheel_is_refused(data: bytes | None, tmp_path: Path) -> None:
    """A sentence names the file, and nothing is written."""
    wheel, out = tmp_path / "some.whl", tmp_path / "out"
    out.mkdir()
    if data is not None:
        wheel.write_bytes(data)
    with pytest.raises(ModelError, match=r"some\.whl is not facenet-pytorch's wheel"):
        mtcnn.convert(wheel, out)
    assert not list(out.iterdir())


def test_truncated_weights_are_refused() -> None:
    """A file cut at any byte raises UnpicklingError."""
    whole = weights_file()
    for end in range(len(whole)):
        with pytest.raises(pickle.UnpicklingError):
            torch_weights.read_state(whole[:end], SHAPES)


@pytest.mark.parametrize(
    "data",
    [
        weights_file(strides=(3, 2)),
        weights_file(strides=(-3, 1)),
        weights_file(strides=(10**9, 1)),
        weights_file(offset=1),
        weights_file(length=1 << 60),
        weights_file(length=-1),
        weights_file(length=5),
        weights_file(state=b"\x80\x02}r\xff\xff\xff\x7f."),
        weights_file(state=b"\x80\x02K\x07."),
        bytes(torch_weights.MAX_FILE + 1),
    ],
    ids=["overlap", "negative", "beyond", "offset", "huge", "below", "short", "memo", "number", "large"],
)
def test_lying_weights_are_refused(data: bytes) -> None:
    """Sizes, strides and offsets that do not fit raise UnpicklingError before any memory is taken for them."""
    with pytest.raises(pickle.UnpicklingError):
        torch_weights.read_state(data, SHAPES)


def test_other_shapes_and_names_are_refused() -> None:
    """Weights of another network raise UnpicklingError."""
    for shapes in ({"w": (3, 2)}, {"w": (6,)}, {"v": (2, 3)}, {"w": (2, 3), "v": (1,)}):
        with pytest.raises(pickle.UnpicklingError):
            torch_weights.read_state(weights_file(), shapes)


def test_broken_model_is_a_model_error() -> None:
    """What is no network raises ModelError with its name."""
    for noise in (b"", b"\x00noise" * 100):
        with pytest.raises(ModelError, match=r"noise\.onnx"):
            open_network(noise, "noise.onnx", Options())


@pytest.mark.parametrize(("height", "width"), [(5, 7), (13, 4), (40, 40), (1, 1)])
def test_areas_are_adaptive_means(height: int, width: int) -> None:
    """Resizing gives the mean over whole pixels from floor to ceil, up and down, in RGB."""
    picture = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    got = Areas(picture).means(np.array([[3, 2, 20, 16]]), height, width)[0]
    part = picture[2:16, 3:20, ::-1].astype(np.float64)
    for y in range(height):
        for x in range(width):
            rows = slice(y * 14 // height, -(-(y + 1) * 14 // height))
            cells = part[rows, x * 17 // width : -(-(x + 1) * 17 // width)]
            np.testing.assert_allclose(got[:, y, x], cells.mean(axis=(0, 1)), rtol=1e-5)


def test_sums_may_wrap_around() -> None:
    """A white picture of more than 2^31 in all stays white."""
    areas = Areas(np.full((2000, 4300, 3), 255, np.uint8))
    np.testing.assert_allclose(areas.means(np.array([[0, 0, 4300, 2000]]), 13, 28), 255, rtol=1e-5)


def test_suppression_in_blocks_is_plain_suppression() -> None:
    """More boxes than one block holds are suppressed as one by one."""
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 300, (1000, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 90, (1000, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(0, 1, 1000).astype(np.float32).round(2)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        low = np.maximum(boxes[kept, :2], boxes[index, :2])
        inner = np.maximum(np.minimum(boxes[kept, 2:], boxes[index, 2:]) - low, 0).prod(axis=1)
        area = (boxes[[*kept, index], 2:] - boxes[[*kept, index], :2]).prod(axis=1)
        if not (inner / (area[:-1] + area[-1] - inner) > 0.5).any():
            kept.append(index)
    assert suppress(boxes, scores, 0.5).tolist() == kept
