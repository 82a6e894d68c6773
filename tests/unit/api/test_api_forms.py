"""Forms are read as werkzeug reads them, however they are cut into pieces, and whatever the files hold."""

import io
import random
import re

import pytest
from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge

from grab_service.api.problems import handle_errors
from grab_service.uploads import forms
from grab_service.uploads.forms import Sent, files, picture
from stageline.core.errors import BadImage

BOUNDARY = "xx"
NEARLY = [
    b"\r\n--xx",
    b"--xx",
    b"--xx--",
    b"\r\n--x",
    b"\n--xx\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"--xx \r\n",
    b"\r\n--xxy\r\n",
    b"\0\xff",
]
REALLY = re.compile(rb"[\r\n]--xx(--|[^\S\r\n]*[\r\n])")
WANTED = ("image", "file")


@pytest.fixture
def app() -> Flask:
    """An application with the API's limits."""
    found = Flask(__name__)
    found.config["MAX_UPLOAD_BYTES"] = 1000
    handle_errors(found)
    return found


def contents(source: random.Random) -> bytes:
    """What nearly holds the boundary, again and again, and never does."""
    while True:
        data = b"".join(source.choices(NEARLY, k=source.randrange(12)))
        if not REALLY.search(b"\r\n" + data + b"\r\n"):
            return data


def form(source: random.Random) -> tuple[bytes, list[tuple[str, bytes]]]:
    """A form of some files, whose contents look like boundaries but are none; and those files that are wanted."""
    body, wanted = b"", []
    for _ in range(source.randrange(1, 5)):
        field = source.choice(["image", "file", "other"])
        data = contents(source)
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="n.jpg"\r\n\r\n'
        body += head.encode() + data + b"\r\n"
        if field in WANTED:
            wanted.append((field, data))
    return body + f"--{BOUNDARY}--\r\n".encode(), wanted


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 16, 61, 1 << 16])
def test_files_come_whole_however_they_are_cut(piece: int, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files as werkzeug's own parser finds, byte for byte, in pieces of any size."""
    monkeypatch.setattr(forms, "PIECE", piece)
    source = random.Random(piece)
    for _ in range(60):
        body, wanted = form(source)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        with app.test_request_context("/", method="POST", data=body, content_type=kind):
            theirs = [file.stream.read() for name, file in request.files.items(multi=True) if name in WANTED]
        with app.test_request_context("/", method="POST", data=body, content_type=kind):
            if wanted:
                ours = [sent.data for sent in files(WANTED)]
                assert sorted(ours) == sorted(theirs) == sorted(data for _, data in wanted)
            else:
                with pytest.raises(BadImage, match="has no field"):
                    list(files(WANTED))


def test_only_what_is_wanted_is_kept(app: Flask) -> None:
    """A file with too many bytes is named without them; one of another field is not named; the first one counts."""
    part = '--xx\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
    body = (
        part % ("other", "a", "o" * 5000)
        + part % ("image", "b", "i" * 1001)
        + part % ("file", "c", "f" * 1000)
        + "--xx--"
    )
    kind = "multipart/form-data; boundary=xx"
    with app.test_request_context("/", method="POST", data=body, content_type=kind):
        assert list(files(WANTED)) == [Sent(None, "b"), Sent(b"f" * 1000, "c")]
    with app.test_request_context("/", method="POST", data=body.replace("i" * 1001, "i"), content_type=kind):
        assert picture() == Sent(b"i", "b")


@pytest.mark.parametrize("boundary", ["", "y" * 257, "ä"])
def test_a_boundary_that_is_none_is_refused(boundary: str, app: Flask) -> None:
    """It is looked for in all that comes: it must be one."""
    kind = f"multipart/form-data; boundary={boundary}"
    with (
        app.test_request_context("/", method="POST", data=b"--", content_type=kind),
        pytest.raises(BadImage, match="boundary"),
    ):
        list(files(WANTED))


def test_a_raw_body_is_read_whole(app: Flask) -> None:
    """Into one buffer, piece by piece; its name comes with the query."""
    data = random.Random(1).randbytes(200_000)
    app.config["MAX_UPLOAD_BYTES"] = len(data)
    with app.test_request_context("/?filename=x.jpg", method="POST", input_stream=io.BytesIO(data),
                                  content_length=len(data)):  # fmt: skip
        assert picture() == Sent(data, "x.jpg")


def part(disposition: bytes, data: bytes, more: bytes = b"") -> bytes:
    """A part of a form, whose Content-Disposition ends so."""
    return b"--xx\r\nContent-Disposition: form-data; " + disposition + b"\r\n" + more + b"\r\n" + data + b"\r\n"


def sent_in(app: Flask, *parts: bytes) -> list[Sent]:
    """The files that a form of these parts sends."""
    kind = "multipart/form-data; boundary=xx"
    with app.test_request_context("/", method="POST", data=b"".join(parts) + b"--xx--\r\n", content_type=kind):
        return list(files(WANTED))


COMMENTED = b"\xff\xd8\xff\xfe\x01\x2c" + b"c" * 298  # how a JPEG may begin, with no NUL for long
FIRST, LAST = part(b'name="image"; filename="a.jpg"', b"1"), part(b'name="file"; filename="c.jpg"', b"3")


@pytest.mark.parametrize(
    ("between", "sent"),
    [
        (part(b'name="image"; filename="caf\xe9.jpg"', b"2"), [Sent(b"2", "café.jpg", guessed=True)]),
        (part(b"name=image; filename*=utf-8''caf%E9.jpg", b"2"), [Sent(b"2", "café.jpg", guessed=True)]),
        (part(b'name="image"; filename="\x95\\"', b"2"), [Sent(b"2", "\x95\\", guessed=True)]),
        (part(b'name="image"; filename=""', b"2"), [Sent(b"2", "")]),
        (part(b'name="image"; filename="' + b"\xe9" * 100_000 + b'"', b"2"), [Sent(b"2", "é" * 100_000, guessed=True)]),
        (part(b'name="image"', b"\xff\xd8\xff\xe0\0\x10"), [Sent(b"\xff\xd8\xff\xe0\0\x10", None)]),
        (part(b'name="image"', b"\x89PNG\r\n\x1a\n\0" + b"x" * 2000), [Sent(None, None)]),
        (part(b'name="image"', COMMENTED), [Sent(COMMENTED, None)]),
        (part(b'name="image"', b"street.jpg"), []), (part(b'name="im\xe9ge"; filename="b.jpg"', b"2"), []),
        (part(b'name="text\xff"', b"\xe9\0"), []), (b"--xx\r\nContent-Type: image/jpeg\r\n\r\n2\r\n", []),
        (b"--xx\r\n\xff\xfe\r\nX-Odd: \xe9\r\n\r\n2\r\n", []),
        (part(b'name="image"; filename="b"', b"2", b"\xff\r\nContent-Type: \xe9; charset=\xe9\r\n"), [Sent(b"2", "b")]),
    ],
)  # fmt: skip
def test_no_part_breaks_a_form(between: bytes, sent: list[Sent], app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a part says of itself, in whatever bytes, and where it says nothing: the others come whole."""
    app.config["MAX_FORM_MEMORY_SIZE"] = 500_000
    for piece in (1 << 16, 7):
        monkeypatch.setattr(forms, "PIECE", piece)
        assert sent_in(app, FIRST, between, LAST) == [Sent(b"1", "a.jpg"), *sent, Sent(b"3", "c.jpg")]


def test_the_error_names_a_forgotten_at_sign(app: Flask) -> None:
    """A field that holds a file's name, in any encoding, is text; so is all that has no NUL in it."""
    for text in (b"street.jpg", b"caf\xe9.jpg", b"", b"x" * 1000):
        with pytest.raises(BadImage, match=r"came as text, not as a file; .*image=@street.jpg"):
            sent_in(app, part(b'name="image"', text))


def test_text_is_no_way_around_the_limit(app: Flask) -> None:
    """As much of a form may be text as before, also in the field of a picture."""
    app.config["MAX_UPLOAD_BYTES"] = 10_000_000
    for field in (b"image", b"other"):
        with pytest.raises(RequestEntityTooLarge):
            sent_in(app, part(b"name=" + field, b"x" * 300_000), part(b"name=" + field, b"x" * 300_000))
