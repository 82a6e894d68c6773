"""What answers at MINIO_ENDPOINT and is no store, or a store in trouble: Unavailable, in words that help."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import NamedTuple

import pytest

from stageline.core.errors import Unavailable
from stageline.core.settings import Settings
from stageline.store import FolderStore, S3Store
from stageline.store.base import StoredObject

PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title><body><p>It works<br></body></html>"
XML = "application/xml"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>"
CUT_OFF = b'<?xml version="1.0"?><ListBucketResult><Name>images</Name><Contents><Key>a'
ITEM = StoredObject("original/a.jpg", b"data", "image/jpeg")
STEPS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put(ITEM),
    "put_all": lambda store: store.put_all([ITEM, StoredObject("original/b.jpg", b"data", "image/jpeg")]),
    "keys": lambda store: list(store.keys("")),
    "check": lambda store: store.check(),
}
# Whether the bucket is there is asked by HEAD, which has nothing but the status to go by.
PAGES = [each for each in product(STEPS, (200, 403, 404, 500, 502, 503)) if each != ("check", 200)]


class Answer(NamedTuple):
    """What is answered to everything."""

    status: int
    kind: str
    body: bytes


class Endpoint(ThreadingHTTPServer):
    """Something that answers the same to every request."""

    daemon_threads = True
    answer = Answer(200, "text/plain", b"")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def store(self) -> S3Store:
        """A store there."""
        address = f"http://127.0.0.1:{self.server_port}"
        keys = {"minio_access_key": "a", "minio_secret_key": "secret-one", "s3_region": "us-east-1"}
        return S3Store.from_settings(Settings(minio_endpoint=address, **keys))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, kind, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()
    yield found
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize("step", ["put", "put_all"])
@pytest.mark.parametrize("answer", [Answer(200, "text/plain", b""), Answer(200, "text/html", PAGE)])
def test_a_write_is_taken_for_done_only_where_a_store_says_so(answer: Answer, step: str, endpoint: Endpoint) -> None:
    """A store returns the ETag of what it wrote; a proxy, or another server at the address, answers 200 to anything."""
    endpoint.answer = answer
    with pytest.raises(Unavailable, match="MINIO_ENDPOINT"):
        STEPS[step](endpoint.store())


@pytest.mark.parametrize("body", [CUT_OFF, PAGE, b"", b"\x00\xff"])
def test_a_list_that_is_no_list_is_unavailable(body: bytes, endpoint: Endpoint) -> None:
    """XML that was cut off, or a page: nothing is known of the bucket then, not that it is empty."""
    endpoint.answer = Answer(200, XML, body)
    with pytest.raises(Unavailable, match="MINIO_ENDPOINT"):
        STEPS["keys"](endpoint.store())


@pytest.mark.parametrize(("step", "status"), PAGES)
def test_a_page_is_no_answer_of_a_store(step: str, status: int, endpoint: Endpoint) -> None:
    """Whatever its status: Unavailable, and no fault of ours."""
    endpoint.answer = Answer(status, "text/html", PAGE)
    with pytest.raises(Unavailable):
        STEPS[step](endpoint.store())


@pytest.mark.parametrize("step", ["put", "keys"])
def test_the_error_has_the_stores_own_words(step: str, endpoint: Endpoint) -> None:
    """After all tries the error has the store's answer, not that there were too many tries."""
    endpoint.answer = Answer(503, XML, SLOW_DOWN)
    with pytest.raises(Unavailable, match="SlowDown: Please reduce your request rate"):
        STEPS[step](endpoint.store())


def test_a_folder_that_cannot_be_listed_is_unavailable(tmp_path, monkeypatch) -> None:
    """A disk with an error is a store that is away, also for a listing."""
    store = FolderStore(tmp_path)
    store.put(ITEM)

    def broken(_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.iterdir", broken)
        with pytest.raises(Unavailable, match="cannot be read"):
            list(store.keys("original/"))
    assert list(store.keys("original/")) == [ITEM.key]
