"""The API as it is deployed, and what it answers to the real curl, and to clients that are worse."""

import io
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from PIL import Image

from stageline.broker.producer import Producer
from tests.support.processes import descendants, peak_rss_mb
from tests.support.served_api import JPEG, MAX_BYTES, TIMEOUT, Answer, ServedApi, assert_problem
from tests.support.servers import RedisServer


@pytest.fixture(scope="module")
def api(own_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    """An API process on a folder."""
    served = ServedApi(tmp_path_factory.mktemp("api"), REDIS_URL=own_redis.url)
    yield served
    served.stop()


def test_curl_uploads_in_every_way(api: ServedApi, own_redis: RedisServer) -> None:
    """Form, raw body, chunked, with and without Expect: 100-continue: each is a 202 with a Location."""
    file = api.folder / "straße.jpg"
    file.write_bytes(JPEG)
    ways = [
        ("-F", f"image=@{file}"), ("-F", f"file=@{file};filename=../../x.jpg"), ("--data-binary", f"@{file}"),
        ("-T", str(file), "-X", "POST"), ("-H", "Transfer-Encoding: chunked", "--data-binary", f"@{file}"),
        ("-H", "Transfer-Encoding: chunked", "-F", f"image=@{file}"), ("-0", "--data-binary", f"@{file}"),
        ("-H", "Expect: 100-continue", "--data-binary", f"@{file}"), ("-F", f"image=@{file};filename={'é' * 2048}.jpg"),
        ("-H", "Expect: 100-continue", "-F", f"image=@{file}"),
        ("-H", "Content-Type: image/jpeg", "-T", str(file), "-X", "POST"), ("-F", f"image=<{file};type=image/jpeg"),
    ]  # fmt: skip
    for way in ways:
        answer = api.curl("/upload", *way)
        assert answer.status == 202, (way, answer)
        content = json.loads(answer.body)
        assert content["file_size"] == len(JPEG)
        assert f"Location: /status/{content['image_id']}" in answer.headers
    assert Producer(own_redis.url, 1).unfinished() >= len(ways)


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 3 * MAX_BYTES, 40 * MAX_BYTES])
def test_curl_gets_its_413(size: int, api: ServedApi) -> None:
    """A body over the limit is answered, not reset, however it is sent."""
    file = api.folder / "long"
    file.write_bytes(JPEG + bytes(size - len(JPEG)))
    for way in (
        ("--data-binary", f"@{file}"), ("-F", f"image=@{file}"), ("-H", "Expect:", "--data-binary", f"@{file}"),
        ("-H", "Transfer-Encoding: chunked", "--data-binary", f"@{file}"),
        ("-H", "Transfer-Encoding: chunked", "-F", f"image=@{file}"), ("-0", "--data-binary", f"@{file}"),
    ):  # fmt: skip
        assert_problem(api.curl("/upload", *way), 413, b"MAX_UPLOAD_BYTES", f"{MAX_BYTES:,}".encode())


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_client_that_reads_late_gets_its_413(connection: str, api: ServedApi) -> None:
    """Many clients write their whole body before they read: they are not cut off before they can."""
    head = f"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\nContent-Length: {40 * MAX_BYTES}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api.port), timeout=TIMEOUT) as client:
        client.sendall(head.encode())
        client.sendall(bytes(40 * MAX_BYTES))
        assert client.recv(100).startswith(b"HTTP/1.1 413")


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("request_", [
    b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n123",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nbad trailer\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n%s" % CHUNKED + b"-1\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /status/\0 HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0\0\0\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: a b\r\nContent-Length: 1\r\n\r\nx", b"GET /image/%00 HTTP/1.0\r\n\r\n",
])  # fmt: skip
def test_broken_requests_harm_nothing(request_: bytes, api: ServedApi) -> None:
    """Half a body, a broken chunk, no length, NUL bytes: a 4xx or a closed connection, and the API serves on."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=TIMEOUT) as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(1000)
    assert not answer or answer.split()[1].startswith(b"4"), answer
    assert api.upload().status == 202


def test_large_uploads_side_by_side_stay_small(api: ServedApi) -> None:
    """More uploads at once than threads: all are answered, and the API keeps under 1 GB."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((8000, 6000)).convert("RGBA").save(buffer, "WEBP", quality=1, method=0)
    answers: list[Answer] = []
    senders = [threading.Thread(target=lambda: answers.append(api.upload(buffer.getvalue()))) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [answer.status for answer in answers] == [202] * 4
    assert max(peak_rss_mb(pid) for pid in descendants(api.process.pid)) < 1000


def test_a_batch_needs_the_memory_of_a_file(api: ServedApi) -> None:
    """Hundreds of megabytes in one form go through, each file on its own, and the API stays as small as it was."""
    before = max(peak_rss_mb(pid) for pid in descendants(api.process.pid))
    file = api.folder / "padded.jpg"
    file.write_bytes(JPEG + bytes(MAX_BYTES - len(JPEG)))
    parts = [option for _ in range(300) for option in ("-F", f"images=@{file}")]
    answer = api.curl("/batch-upload", "-m", "300", *parts)
    assert answer.status == 202, answer
    content = json.loads(answer.body)
    assert (content["accepted"], content["refused"]) == (300, 0)
    assert max(peak_rss_mb(pid) for pid in descendants(api.process.pid)) < before + 100


def test_a_batch_takes_so_many_files_and_no_more(api: ServedApi) -> None:
    """The first thousand files are accepted; the others are refused with the advice to send another batch."""
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\nnonsense\r\n'
    kind = "Content-Type: multipart/form-data; boundary=x"
    answer = api.curl("/batch-upload", "-H", kind, "--data-binary", "@-", body=part * 1005 + b"--x--\r\n")
    assert answer.status == 202
    files = json.loads(answer.body)["files"]
    assert [each["problem"]["status"] for each in files] == [415] * 1000 + [413]
