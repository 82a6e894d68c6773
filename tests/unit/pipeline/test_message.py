"""The message: what is well-formed travels on untouched, what is not is a BadMessage, and nothing else is raised."""

import json
import random
from typing import Any

import pytest

from stageline.core.errors import BadMessage, NewerMessage
from stageline.core.settings import Settings
from stageline.pipeline.message import MAX_BYTES, VERSION, Message
from stageline.pipeline.stage import Task
from tag_service.service import create as create_tag
from tests.support.picture_makers import encoded, scene

CAR: dict[str, Any] = {"label": "car", "score": 0.91, "box": [12.0, 40.5, 310.2, 222.8], "model": "yolox-nano@0.1.1"}
FACE: dict[str, Any] = {"score": 0.99, "box": [90.1, 30, 140.7, 98.4], "landmarks": [[101.0, 55.2], [127, 54.8]]}
DOG: dict[str, Any] = {"category": "dog", "confidence": 0.97, "box": CAR["box"], "model": "resnet18-cifar10@1"}
REFERENCE: dict[str, Any] = {"key": "findings/01JD.json", "index": 0}
GOOD: dict[str, Any] = {
    "image_id": "01JD", "filename": "straße ☃.jpg", "original_path": "original/01JD.jpg",
    "path": "grayscale/01JD.jpg", "origin_w": 640, "origin_h": 480, "kind": "object", "attempt": 1,
    "detections": [CAR], "faces": [{**FACE, "embedding": REFERENCE}], "categories": [DOG, {**DOG, "box": None}],
    "imagenet": [{**DOG, "box": None}], "traceparent": "00-…", "missing_models": ["mtcnn"], "stages": {},
}  # fmt: skip
MINIMAL = {"image_id": "a", "original_path": "original/a.jpg"}
HUGE = 10**400


def with_(**fields: Any) -> bytes:
    """The good message with some fields replaced."""
    return json.dumps({**GOOD, **fields}).encode()


def test_a_message_keeps_its_bytes_and_its_fields() -> None:
    """What was read is kept as it was, and is what its fields say; unknown fields are there as well."""
    raw = json.dumps({**GOOD, "somebody": {"elses": [1, None]}}, indent=3).encode()
    message = Message.decode(raw)
    assert message.raw == raw
    assert message.image_id == "01JD"
    assert message.path == "grayscale/01JD.jpg"
    assert message.pixels == 640 * 480
    onward = Message.decode(message.successor("tag", {"state": "done"}, {"kind": "face"}).raw)
    assert onward.fields["somebody"] == {"elses": [1, None]}
    assert onward.fields["filename"] == "straße ☃.jpg"
    assert onward.fields["stages"] == {"tag": {"state": "done", "path": "grayscale/01JD.jpg", "fields": ["kind"]}}


def test_a_foreign_producer_needs_two_fields() -> None:
    """An id and a key are a message; what is absent or null has its default."""
    for raw in (
        json.dumps(MINIMAL),
        json.dumps({**MINIMAL, "attempt": None, "path": None, "v": None, "origin_w": None}),
    ):
        message = Message.decode(raw.encode())
        assert (message.attempt, message.path, message.pixels) == (1, "original/a.jpg", None)
        assert message.retried("resize", {"state": "retrying"}).attempt == 2
    doubled = b'{"image_id": "b", "image_id": "a", "original_path": "original/a.jpg"}'
    assert Message.decode(doubled).image_id == "a"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\0", b"hello", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"{}",
        json.dumps(MINIMAL).encode("utf-16"), json.dumps(MINIMAL).encode() + b"x", b"[" * 100_000, b'{"a":' * 100_000,
        b'{"image_id":"a","original_path":"original/a.jpg","x":"\xff"}', b" " * (MAX_BYTES + 1),
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    """No JSON, no object, no UTF-8, too deep, too long: BadMessage."""
    with pytest.raises(BadMessage):
        Message.decode(raw)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
@pytest.mark.parametrize("place", ['"x": %s', '"origin_w": %s', '"stages": {"a": [%s]}', '"faces": [{"score": %s}]'])
def test_what_is_no_number_in_json_is_refused(number: str, place: str) -> None:
    """Python's json reads NaN and Infinity, and a float too large as infinite; the next stage's language may not."""
    raw = '{"image_id": "a", "original_path": "original/a.jpg", ' + place % number + "}"
    with pytest.raises(BadMessage):
        Message.decode(raw.encode())


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("image_id", [None, "", 1, "a/b", "../a", "a" * 65, "a\n", "ä", ["a"]]),
        ("original_path", [None, "", 1, "a.jpg", "/original/a.jpg", "original/../a.jpg", "secret/a.jpg",
                           "original/a.jpg\n", "original/a/b.jpg", "original/a", "original/a.JPG"]),
        ("path", ["", 1, "../x", "models/a.onnx", "resized/a.jpg/..", {}]),
        ("attempt", [0, -1, 1.5, True, "1", HUGE, 2**31, []]),
        ("run", [0, True, "1"]),
        ("origin_w", [0, -5, "640", 1e3, HUGE]),
        ("orientation", [0, 9, -1, "6", 2.5, True, HUGE]),
        ("origin_h", [0, -5, "640", 1e3, HUGE]),
        ("v", [0, -1, True, "1", 1.0, []]),
        ("stages", [None, [], "x", {"tag": "x"}, {"tag": {"path": "../x"}}, {"tag": {"fields": [1]}},
                    {"tag": {"fields": "ab"}}, {str(number): {} for number in range(65)}]),
        ("history", [{}, "x", [1], [None]]),
        ("runs", [{}, "x", ["x"]]),
        ("until", [1, ["detect"]]),
        ("missing_models", ["mtcnn", [1], [["mtcnn"]], {"mtcnn": 1}, [None]]),
        ("detections", ["x", {}, 5, [None], [[]], ["car"], [{}]]),
        ("faces", ["x", {}, 5, [None], [[]], [{}]]),
        ("categories", ["x", {}, 5, [None], [[]], ["dog"], [{}]]),
        ("imagenet", ["x", {}, 5, [None], [[]], ["dog"], [{}]]),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_name(field: str, values: list[Any]) -> None:
    """A field that is not what the contract says is a BadMessage that names it."""
    for value in values:
        with pytest.raises(BadMessage, match=field):
            Message.decode(with_(**{field: value}))


BAD_BOXES = [None, [], [1, 2, 3], [1, 2, 3, 4, 5], "1234", [1, 2, 3, "4"], [1, 2, 3, None], [0, 0, 1, HUGE],
             [0, 0, 1, 1e30], [True, 0, 1, 1], [[0], 0, 1, 1], {"x": 1}]  # fmt: skip
BAD_FINDINGS: list[tuple[str, dict[str, Any]]] = [
    *[(name, {**CAR, **FACE, "box": box}) for name in ("detections", "faces") for box in BAD_BOXES],
    *[(name, {**CAR, "score": score}) for name in ("detections", "faces") for score in (None, "1", True, HUGE, [])],
    *[("detections", {**CAR, "label": label}) for label in (None, 5, ["car"], {})],
    *[("faces", {**FACE, "landmarks": marks}) for marks in ("x", {}, 5, [1], [[1]], [[1, 2, 3]], [["1", 2]], [None],
                                                            [[HUGE, 1]], [[True, 1]])],
    *[("faces", {**FACE, "embedding": bad}) for bad in (5, "x", [], {}, [1.0] * 512, {**REFERENCE, "key": "faces.json"},
        {**REFERENCE, "key": "original/a.jpg"}, {**REFERENCE, "key": "findings/../a.json"}, {**REFERENCE, "index": -1},
        {**REFERENCE, "index": "0"}, {**REFERENCE, "index": True}, {**REFERENCE, "index": HUGE}, {"index": 0})],
    *[(name, {**DOG, "box": box}) for name in ("categories", "imagenet") for box in BAD_BOXES[1:]],
    *[(name, {**DOG, "category": text}) for name in ("categories", "imagenet") for text in (None, 5, ["dog"], {})],
    *[(name, {**DOG, "confidence": much}) for name in ("categories", "imagenet") for much in (None, "1", True, HUGE)],
]  # fmt: skip


@pytest.mark.parametrize(("name", "finding"), BAD_FINDINGS)
def test_a_wrong_finding_is_refused(name: str, finding: dict[str, Any]) -> None:
    """What the tag stage draws and hides by is checked when the message is read: labels, scores, boxes, landmarks."""
    with pytest.raises(BadMessage, match=name):
        Message.decode(with_(**{name: [*GOOD[name], finding]}))


@pytest.mark.parametrize(
    "fields",
    [
        {"detections": None, "faces": None, "missing_models": None}, {"detections": [], "faces": []},
        {"faces": [{"score": 1, "box": [0, 0, 1, 1]}]}, {"faces": [{**FACE, "landmarks": None}]},
        {"detections": [{**CAR, "score": -3, "label": ""}]}, {"detections": [{**CAR, "box": [9e8, -9e8, 5, -0.0]}]},
        {"detections": [{**CAR, "label": "\x00\x1b[2J\u202e" * 99}]}, {"detections": [CAR] * 3000},
        {"faces": [{**FACE, "landmarks": [[-9e8, 9e8]] * 500}]}, {"missing_models": []},
        {"categories": None, "imagenet": None}, {"categories": [], "imagenet": []},
        {"categories": [{"category": "\n" * 99 + "ж猫", "confidence": -1e8}] * 300, "imagenet": [DOG] * 9},
        {"faces": [{**FACE, "embedding": None}], "detections": [{**CAR, "embedding": "a field of somebody's own"}]},
        {"categories": [{**DOG, "box": [9e8, -9e8, 5, -0.0], "confidence": 9e8}]},
    ],
)  # fmt: skip
def test_what_is_let_through_can_be_drawn(fields: dict[str, Any]) -> None:
    """Every message that decodes is one that the tag stage survives."""
    message = Message.decode(with_(**fields))
    (output,) = create_tag(Settings()).run([Task(message, {"original": encoded(scene(), "JPEG")})])
    assert output.fields["tagged_path"] == "tagged/01JD.jpg"
    Message.decode(message.successor("tag", {}, output.fields).raw)


def test_depth_is_limited_before_python_does() -> None:
    """A message nested so deep that it can be read, and not be written again, is refused."""
    for depth in (20, 40, 100, 900, 990):
        raw = json.dumps(MINIMAL).encode()[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
        if depth < 30:
            assert Message.decode(raw).retried("resize", {"state": "retrying"}).attempt == 2
        else:
            with pytest.raises(BadMessage, match=r"levels|not JSON"):
                Message.decode(raw)


@pytest.mark.parametrize("text", [r"\ud800", r"\uDFFF", r"a\ud83dz", r"\ud83d\ud83d"])
def test_half_a_character_is_refused(text: str) -> None:
    """JSON can spell an unpaired surrogate, which cannot be written as UTF-8 for the next stage."""
    raw = '{"image_id": "a", "original_path": "original/a.jpg", "x": {"%s": 1}}'
    with pytest.raises(BadMessage, match="half a character"):
        Message.decode((raw % text).encode())
    whole = Message.decode((raw % r"\ud83d\ude00").encode())
    assert "😀" in whole.retried("resize", {"state": "retrying"}).raw.decode()


def test_a_newer_message_waits_for_a_newer_worker() -> None:
    """A higher version is no error of the message's, whatever else is in it."""
    for version in (VERSION + 1, 2**64, 10**4000):
        with pytest.raises(NewerMessage) as error:
            Message.decode(with_(v=version, attempt="new meaning"))
        assert len(str(error.value)) < 200
    assert Message.decode(with_(v=VERSION)).fields["v"] == VERSION


TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"true", b"-", b"1e9", b"NaN", b"\\ud800", b"\xff",
          b"0", b'"box"', b'"v"', b"\0", b"1" * 400]  # fmt: skip


def mutant(chance: random.Random, raw: bytes) -> bytes:
    """The message with a few bytes or tokens put in, taken out or changed."""
    data = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 4))):
        start = chance.randrange(len(data) + 1)
        data[start : start + chance.choice((0, 0, 1, 3, 30))] = chance.choice(TOKENS) * chance.choice((0, 1, 1, 5))
    return bytes(data)


def test_no_bytes_raise_anything_else() -> None:
    """Mutated and random bytes are a Message, a BadMessage or a NewerMessage; a Message can be written again."""
    chance, passed = random.Random(5), 0
    raws = [mutant(chance, with_()) for _ in range(3000)]
    raws += [chance.randbytes(chance.randrange(200)) for _ in range(500)]
    for raw in raws:
        try:
            message = Message.decode(raw)
        except (BadMessage, NewerMessage) as error:
            assert str(error)  # noqa: PT017 - it may or may not be raised
            continue
        passed += 1
        again = Message.decode(message.successor("detect", {}, {}).raw)
        assert again.image_id == message.image_id
        assert message.retried("resize", {"state": "retrying"}).attempt == message.attempt + 1
        assert message.path
        assert message.pixels is None or message.pixels > 0
    assert 0 < passed < len(raws)
