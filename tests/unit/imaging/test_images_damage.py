"""Damage to JPEGs is noticed, and wholeness is not denied."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter

from stageline.core.errors import BadImage
from stageline.imaging import codec
from tests.support.picture_makers import MAX_PIXELS, encoded, noise, scene, with_segments

END = b"\xff\xd9"


def photograph(mode: str = "RGB") -> Image.Image:
    """Soft and with detail, as photographs are."""
    soft = Image.effect_noise((480, 360), 60).filter(ImageFilter.GaussianBlur(2))
    return Image.merge(
        "RGB", (soft, soft.rotate(90, expand=False), Image.linear_gradient("L").resize((480, 360)))
    ).convert(mode)


SEVERAL = {
    "baseline": encoded(photograph(), "JPEG", quality=85),
    "best": encoded(photograph(), "JPEG", quality=100, subsampling=0),
    "optimised": encoded(photograph(), "JPEG", quality=60, optimize=True),
    "progressive": encoded(photograph(), "JPEG", quality=85, progressive=True),
    "restarts": encoded(photograph(), "JPEG", quality=85, restart_marker_rows=1),
    "short restarts": encoded(photograph(), "JPEG", quality=85, restart_marker_blocks=5),
    "grey": encoded(photograph("L"), "JPEG", quality=85),
    "cmyk": encoded(photograph("CMYK"), "JPEG", quality=85),
}  # fmt: skip


def pixels_of(data: bytes) -> int:
    """Where the codes of the pixels begin."""
    at = data.index(b"\xff\xda") + 2
    return at + int.from_bytes(data[at : at + 2], "big")


def place(data: bytes, share: float) -> int:
    """A place within the codes of the pixels."""
    begin = pixels_of(data)
    return begin + int(share * (len(data) - 2 - begin))


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "cut, in a stream": lambda data, at: data[:at] + b"\r\n--frame--\r\n",
    "cut, and the next picture": lambda data, at: data[:at] + encoded(noise(), "JPEG"),
    "cut": lambda data, at: data[:at],
    "cut, with an end marker glued on": lambda data, at: data[:at] + END,
    "filled up with zeros": lambda data, at: data[:at] + bytes(len(data) - at),
    "filled up with zeros, and an end marker": lambda data, at: data[:at] + bytes(len(data) - at - 2) + END,
    "a hole of 64 zeros": lambda data, at: data[:at] + bytes(64) + data[at + 64 :],
    "a hole of a disk's block": lambda data, at: data[:at] + bytes(4096) + data[at + 4096 :],
    "a piece cut out": lambda data, at: data[:at] + data[at + 3000 :],
}


SMALL_HOLE = "a hole of 64 zeros"
MAY_BE_ZEROS = ("optimised", "progressive")  # in these a few zeros may be pixels, and only some holes can be detected


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.8])
@pytest.mark.parametrize(
    ("kind", "damage"),
    [(kind, damage) for kind in SEVERAL for damage in DAMAGES if damage != SMALL_HOLE or kind not in MAY_BE_ZEROS],
)
def test_damage_is_refused(kind: str, damage: str, share: float) -> None:
    """Where a part of the pixels is lost, check refuses with 422 and says so, also where a decoder would go on."""
    data = SEVERAL[kind]
    damaged = DAMAGES[damage](data, place(data, share))
    assert damaged != data
    with pytest.raises(BadImage, match="is cut off or damaged") as error:
        codec.check(damaged, MAX_PIXELS)
    assert error.value.status == 422


@pytest.mark.parametrize("lost", [1, 3, 8])
def test_lost_restart_intervals_are_noticed(lost: int) -> None:
    """A JPEG that lacks intervals between its restart markers is refused, also eight, after which the markers agree."""
    data = SEVERAL["restarts"]
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    with pytest.raises(BadImage, match="a part of its pixels is lost"):
        codec.check(data[: restarts[4]] + data[restarts[4 + lost] :], MAX_PIXELS)


def test_missing_passes_are_noticed() -> None:
    """A progressive JPEG that was cut between two passes, which no decoder complains of, is refused."""
    data = SEVERAL["progressive"]
    for scan in [found.start() for found in re.finditer(rb"\xff\xda", data)][1:]:
        with pytest.raises(BadImage, match="passes over the picture are missing"):
            codec.check(data[:scan] + END, MAX_PIXELS)


def test_a_kind_whose_decoder_reports_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a rare kind that only Pillow reads, and without a word on its state, lost pixels are noticed all the same."""
    monkeypatch.setattr(codec.damage, "refuse_damaged", lambda _: False)
    for kind in ("baseline", "best", "restarts", "grey", "cmyk"):
        data = SEVERAL[kind]
        assert codec.check(data, MAX_PIXELS).width == 480
        for share in (0.1, 0.5, 0.95):
            with pytest.raises(BadImage, match="the pixels end too soon"):
                codec.check(data[: place(data, share)] + END, MAX_PIXELS)


def without_jfif(data: bytes) -> bytes:
    """A JPEG whose colours another segment may describe."""
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]


def of_another_transform(number: int) -> bytes:
    """A JPEG whose Adobe segment says something that decoders do not know."""
    return with_segments(without_jfif(SEVERAL["baseline"]), (0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([number])))


def without_spectrum() -> bytes:
    """A JPEG with zeros at the end of its scan's header, as some programs write it."""
    data = SEVERAL["baseline"]
    return data[: pixels_of(data) - 3] + bytes(3) + data[pixels_of(data) :]


WARNED_OF = {
    "Adobe's transform 2": of_another_transform(2),
    "Adobe's transform 9": of_another_transform(9),
    "zeros in the scan's header": without_spectrum(),
    "another version of JFIF": SEVERAL["baseline"].replace(b"JFIF\0\1", b"JFIF\0\x09"),
}


@pytest.mark.parametrize("name", WARNED_OF)
def test_a_harmless_warning_hides_no_damage(name: str) -> None:
    """A decoder reports its first warning only: what is odd in a header is put right before."""
    data = WARNED_OF[name]
    whole, _ = codec.decode(SEVERAL["baseline"], MAX_PIXELS)
    assert codec.check(data, MAX_PIXELS).width == 480
    assert (codec.decode(data, MAX_PIXELS)[0] == whole).all()
    with pytest.raises(BadImage, match="a part of its pixels is lost"):
        codec.check(data[: place(data, 0.5)] + END, MAX_PIXELS)


def test_a_byte_before_each_restart_marker_is_harmless() -> None:
    """Some webcams leave one there."""
    data = SEVERAL["restarts"]
    begin = pixels_of(data)
    odd = data[:begin] + re.sub(rb"(?=\xff[\xd0-\xd7])", b"\x11", data[begin:])
    assert codec.check(odd, MAX_PIXELS) == codec.check(data, MAX_PIXELS)
    assert (codec.decode(odd, MAX_PIXELS)[0] == codec.decode(data, MAX_PIXELS)[0]).all()


def test_pixels_that_end_in_zeros_are_not_taken_for_filling() -> None:
    """Zeros in the place of the end marker, behind codes that end in stuffed bytes, or in zeros."""
    ramp = Image.fromarray((255 - np.mgrid[:256, :256][0]).astype(np.uint8))
    data = encoded(ramp, "JPEG", progressive=True)
    assert data[-4:-2] == b"\xff\0"
    for odd in (data[:-2] + bytes(600), data[:-2] + bytes(600) + END):
        assert codec.check(odd, MAX_PIXELS).width == 256


WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "without its end marker": lambda data: data[:-2],
    "with half of it": lambda data: data[:-1],
    "zeros in its place": lambda data: data[:-2] + bytes(1000),
    "ones in its place": lambda data: data[:-2] + b"\xff" * 1000,
    "zeros before it": lambda data: data[:-2] + bytes(500) + END,
    "one byte before it": lambda data: data[:-2] + b"\x5a" + END,
    "fill bytes before it": lambda data: data[:-2] + b"\xff" * 7 + END,
    "a stream's boundary in its place": lambda data: data[:-2] + b"\r\n--frame--\r\n",
    "blanks in its place": lambda data: data[:-2] + b" " * 50,
    "one byte again and again": lambda data: data[:-2] + b"\xaa" * 500 + END,
    "the next picture in its place": lambda data: data[:-2] + encoded(noise(), "JPEG"),
    "junk behind it": lambda data: data + b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" * 20,
    "zeros behind it": lambda data: data + bytes(5000),
    "another picture behind it": lambda data: data + encoded(noise(), "JPEG"),
    "half of another behind it": lambda data: data + encoded(noise(), "JPEG")[:300],
}


@pytest.mark.parametrize("how", WHOLE)
@pytest.mark.parametrize("kind", SEVERAL)
def test_what_is_whole_is_taken(kind: str, how: str) -> None:
    """A JPEG all of whose pixels are there is taken, and decoded to the same, whatever its end looks like."""
    data = SEVERAL[kind]
    made = WHOLE[how](data)
    assert codec.check(made, MAX_PIXELS) == codec.check(data, MAX_PIXELS) == codec.probe(made, MAX_PIXELS)
    assert (codec.decode(made, MAX_PIXELS)[0] == codec.decode(data, MAX_PIXELS)[0]).all()
    assert (codec.decode(made, MAX_PIXELS, at_least=100)[0] == codec.decode(data, MAX_PIXELS, at_least=100)[0]).all()


@pytest.mark.parametrize(
    "image",
    [Image.new("RGB", (2000, 1500), "white"), Image.new("L", (2000, 1500)), scene(1200, 900), Image.new("RGB", (1, 1))],
    ids=["white", "black", "four colours", "one pixel"],
)
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"quality": 1}, {"quality": 100}])
def test_plain_pictures_are_not_taken_for_damaged(image: Image.Image, options: dict) -> None:
    """Of one colour a picture is nearly all zeros, and is whole all the same."""
    assert codec.check(encoded(image, "JPEG", **options), MAX_PIXELS).width == image.width


def test_a_stage_still_decodes_what_came_past_the_api() -> None:
    """The API refuses damage; a picture that another producer stored is decoded as far as it goes."""
    data = SEVERAL["baseline"]
    pixels, _ = codec.decode(data[: place(data, 0.5)] + END, MAX_PIXELS)
    whole, _ = codec.decode(data, MAX_PIXELS)
    assert np.array_equal(pixels[:100], whole[:100])
