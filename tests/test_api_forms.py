"""Forms are read as werkzeug reads them, however they are cut into pieces, and whatever the files hold."""

import io
import random
import re

import pytest
from flask import Flask, request

from grab_service import forms
from grab_service.forms import Sent, files, picture
from grab_service.problems import handle_errors
from stageline.errors import BadImage

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
    """An application with the door's limits."""
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
    """A file with too many bytes is told without them; one of another field is not even that; the first one counts."""
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
