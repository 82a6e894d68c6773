"""Reads the files of a form one by one, or the raw body, each into one buffer and within limits."""

import io
import re
from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import IO, NamedTuple

from flask import current_app, request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import Headers
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from grab_service.api import addresses
from grab_service.api.problems import FORM
from grab_service.uploads.dispositions import Part, part_of
from stageline.core.errors import BadImage
from stageline.pipeline.filenames import Name

FIELDS = ("image", "file")
PIECE = 1 << 16
MAX_PARTS = 1000
MAX_PEEKS = 8  # reads beyond a boundary; one of dashes alone may seem to end anywhere
# A part without a filename is a file if its first bytes hold a NUL or begin a JPEG.
BEGINNING, JPEG = 64, b"\xff\xd8"
FORM_OVERHEAD = 64 * 1024  # bytes of a multipart body around its picture
HOW_TO_SEND = "send a picture as the multipart field `image` or `file` (curl -F image=@street.jpg), or as the raw body"


class Sent(NamedTuple):
    """A received file; its data is None if it is larger than allowed."""

    data: bytes | None
    filename: str | None
    guessed: bool = False  # whether the encoding of the name is a guess


def picture() -> Sent:
    """Read the one picture of the request, from a form or from the raw body.

    Raises:
        BadImage: there is no picture, or the body cannot be read to its end.
        RequestEntityTooLarge: the picture is larger than allowed.
    """
    sent = _first(files(FIELDS)) if request.mimetype == FORM else _raw()
    if sent.data is None or len(sent.data) > current_app.config["MAX_UPLOAD_BYTES"]:
        raise RequestEntityTooLarge
    if not sent.data:
        raise BadImage(f"the upload is empty (0 bytes); {HOW_TO_SEND}", HTTPStatus.BAD_REQUEST)
    return sent


def files(fields: Collection[str], *, most_parts: int | None = MAX_PARTS) -> Iterator[Sent]:
    """Yield each file of a form as soon as it is complete; nothing else is kept.

    Raises:
        BadImage: the form cannot be read to its end, or has no file in these fields.
        RequestEntityTooLarge: the form has more parts or more text than allowed.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or len(boundary) > 256 or not boundary.isascii():  # noqa: PLR2004 - RFC 2046 allows 70
        raise BadImage(f"the form's Content-Type names no boundary; {HOW_TO_SEND}", HTTPStatus.BAD_REQUEST)
    found = as_text = False
    for field, sent in _Form(boundary.encode(), request.stream, fields, most_parts):
        if sent is None:
            as_text = as_text or field in fields
            continue
        found = True
        yield sent
    if not found:
        named = " or ".join(f"`{field}`" for field in fields)
        wrong = "the field came as text, not as a file" if as_text else f"the form has no field {named}"
        raise BadImage(f"{wrong}; {HOW_TO_SEND}", HTTPStatus.BAD_REQUEST)


def _first(sent: Iterator[Sent]) -> Sent:
    """Return the first file; read and drop the others, since a form that breaks off is refused."""
    first = next(sent)
    for _ in sent:
        pass
    return first


def _raw() -> Sent:
    buffer = io.BytesIO()
    while piece := _read(request.stream):
        buffer.write(piece)
    return Sent(buffer.getvalue(), request.args.get("filename"), addresses.is_guessed(request.environ, "filename"))


def _read(stream: IO[bytes], most: int | None = None) -> bytes:
    try:
        return stream.read(most or PIECE)
    except ClientDisconnected as error:  # werkzeug raises this for any OSError
        why = error.__context__ or "it ends too soon"
        status = HTTPStatus.REQUEST_TIMEOUT if isinstance(why, TimeoutError) else HTTPStatus.BAD_REQUEST
        raise BadImage(f"the body cannot be read to its end: {why}; {HOW_TO_SEND}", status) from error
    except (OSError, ParseException) as error:  # our side only uses memory: the client or its network failed
        raise BadImage(f"the body cannot be read to its end: {error}; {HOW_TO_SEND}", 400) from error


class _Near:
    """A pattern that is searched from a literal that it must contain: it would try each byte before that."""

    def __init__(self, held: bytes, pattern: re.Pattern[bytes]) -> None:
        self._held, self._pattern = held, pattern

    def search(self, data: bytearray) -> re.Match[bytes] | None:
        """Search the pattern; at most one line break stands before the literal."""
        at = data.find(self._held)
        return None if at < 0 else self._pattern.search(data, max(0, at - 2))


class _Decoder(MultipartDecoder):
    """werkzeug's decoder, which finds the parts, with headers that are read here, from bytes.

    werkzeug refuses the whole form where a header is not UTF-8, or a part has no Content-Disposition.
    """

    part = Part()  # the current one

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        self.part = part_of(bytes(data))
        return Headers([("Content-Disposition", "form-data")])


class _Content:
    """The content of a part: a file if it has a filename, or bytes that no text has."""

    def __init__(self, part: Part, most: int, *, is_wanted: bool) -> None:
        self.field = part.field
        self.is_wanted = is_wanted
        self._name = part.filename
        self._most = most
        self._buffer = io.BytesIO()

    @property
    def is_file(self) -> bool:
        """Whether the content is a file, by the bytes so far."""
        begins = self._buffer.getbuffer()[:BEGINNING].tobytes()
        return self._name is not None or b"\0" in begins or begins.startswith(JPEG)

    def take(self, data: bytes) -> None:
        """Keep the data if the part is wanted and not too large."""
        if self.is_wanted and self._buffer.tell() <= self._most:
            self._buffer.write(data)

    def sent(self) -> Sent:
        """Return the content as a file."""
        name = self._name or Name("")
        data = self._buffer.getvalue() if self._buffer.tell() <= self._most else None
        return Sent(data, name.text if self._name else None, name.guessed)


class _Form:
    """Yields the parts of a form: the field's name, and its file if the field is wanted."""

    def __init__(self, boundary: bytes, stream: IO[bytes], wanted: Collection[str], most_parts: int | None) -> None:
        config = current_app.config
        self._most, self._text_left = config["MAX_UPLOAD_BYTES"], config["MAX_FORM_MEMORY_SIZE"]
        self._decoder = _Decoder(boundary, max_form_memory_size=self._text_left, max_parts=most_parts)
        self._held, self._tail = b"--" + boundary, b""
        self._decoder.boundary_re = _Near(self._held, self._decoder.boundary_re)  # type: ignore[assignment]
        self._stream, self._wanted = stream, wanted

    def __iter__(self) -> Iterator[tuple[str | None, Sent | None]]:
        content: _Content | None = None
        for event in self._events():
            if isinstance(event, Field | File):
                part = self._decoder.part
                content = _Content(part, self._most, is_wanted=part.field in self._wanted)
            elif isinstance(event, Data) and content is not None:
                self._keep(content, event)
                if not event.more_data:
                    yield content.field, content.sent() if content.is_wanted and content.is_file else None
                    content = None

    def _keep(self, content: _Content, event: Data) -> None:
        """Keep a file; count other content against the limit for text."""
        content.take(event.data)
        if not content.is_file:
            self._text_left -= len(event.data)
            if self._text_left < 0:
                raise RequestEntityTooLarge

    def _more(self) -> bytes:
        """Read a piece that ends neither in a boundary nor one byte after it.

        In such a piece werkzeug's decoder (3.1) takes the CR before the boundary for the file's last byte.
        """
        piece = _read(self._stream)
        for _ in range(MAX_PEEKS if piece else 0):
            if self._held not in (self._tail + piece)[-len(self._held) - 1 :]:
                break
            piece += _read(self._stream, 2)
        self._tail = (self._tail + piece)[-len(self._held) - 1 :]
        return piece

    def _events(self) -> Iterator[object]:
        try:
            while True:
                event = self._decoder.next_event()
                if isinstance(event, Epilogue):
                    return
                if isinstance(event, NeedData):
                    self._decoder.receive_data(self._more() or None)
                else:
                    yield event
        except (ValueError, AttributeError) as error:  # werkzeug's errors for broken forms
            raise BadImage(f"the form is broken or breaks off: {error}; {HOW_TO_SEND}", 400) from error
