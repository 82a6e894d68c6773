"""The API as it is deployed, among clients that send too slowly: others are served, and the slow are let go."""

import contextlib
import io
import json
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from grab_service.api import connections
from grab_service.api.connections import DeadlineSocket, SlowClient
from grab_service.images import downloads
from tests.support.processes import descendants, peak_rss_mb
from tests.support.served_api import TIMEOUT, ServedApi, assert_problem, until

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
EACH = 30  # of either kind: more than uploads are taken at once, and more than any machine has cores


@pytest.fixture
def api(settings, tmp_path) -> Iterator[ServedApi]:
    """An API process on a folder."""
    served = ServedApi(tmp_path, REDIS_URL=settings.redis_url, DOOR_THREADS="2")
    yield served
    served.stop()


@pytest.fixture
def pair() -> Iterator[tuple[DeadlineSocket, socket.socket]]:
    """The API's end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    with DeadlineSocket(ours) as with_deadline, theirs:
        yield with_deadline, theirs


def trickle(clients: list[socket.socket], ended: threading.Event) -> None:
    """Send a byte now and then, so that no connection is ever idle."""
    while not ended.wait(0.5):
        for client in clients:
            with contextlib.suppress(OSError):  # it was let go
                client.sendall(b"x")


def let_go(client: socket.socket) -> bool:
    """Whether the API has closed the connection, or said something on it."""
    return bool(select.select([client], [], [], 0)[0])


def test_slow_clients_keep_no_other_out(api: ServedApi) -> None:
    """With many clients in the middle of a head or a body, health is answered; half heads are let go after a while."""
    ended, clients = threading.Event(), []
    for start in [HALF_HEAD, HALF_BODY] * EACH:
        clients.append(socket.create_connection(("127.0.0.1", api.port), timeout=TIMEOUT))
        clients[-1].sendall(start)
    trickler = threading.Thread(target=trickle, args=(clients, ended))
    trickler.start()
    try:
        for path in ("/healthz", "/readyz", "/queue-status"):
            assert api.curl(path).status == 200
        assert not any(let_go(client) for client in clients[1::2][:2]), "the bodies were still trickling in meanwhile"
        until(lambda: all(let_go(client) for client in clients[0::2]))
        assert api.curl("/healthz").status == 200
    finally:
        ended.set()
        trickler.join()
        for client in clients:
            client.close()
    assert api.upload().status == 202


def threads(api: ServedApi) -> int:
    """How many threads the API's worker has."""
    said = [Path(f"/proc/{pid}/status").read_text() for pid in descendants(api.process.pid)]
    return max(int(line.split()[1]) for each in said for line in each.splitlines() if line.startswith("Threads:"))


def test_a_silent_client_holds_no_thread(api: ServedApi) -> None:
    """Hundreds of connections on which nothing comes are waited for together, and let go after a while."""
    before = threads(api)
    clients = [socket.create_connection(("127.0.0.1", api.port), timeout=TIMEOUT) for _ in range(300)]
    assert api.curl("/healthz").status == 200
    assert threads(api) <= before + 5
    clients[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert clients[-1].recv(100).startswith(b"HTTP/1.1 200")
    until(lambda: all(let_go(client) for client in clients[:-1]))
    for client in clients:
        client.close()


def test_clients_that_do_not_read_pictures_leave_room_for_others(settings, tmp_path) -> None:
    """As many as there are threads: most get Retry-After, memory stays small, health is answered."""
    most = "8000000"  # of which SENT_AT_ONCE fit into SENT_BYTES, also before it is known how large each is
    api = ServedApi(tmp_path, REDIS_URL=settings.redis_url, MAX_UPLOAD_BYTES=most)
    picture = io.BytesIO()
    Image.frombytes("RGB", (1600, 1600), os.urandom(1600 * 1600 * 3)).save(picture, "PNG", compress_level=0)
    clients = []
    try:
        image_id = json.loads(api.upload(picture.getvalue()).body)["image_id"]
        for _ in range(connections.CONNECTIONS):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", api.port))
            client.sendall(f"GET /image/{image_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            clients.append(client)
        assert api.curl("/healthz").status == 200
        until(lambda: all(let_go(client) for client in clients))
        said = [client.recv(12, socket.MSG_PEEK).split()[1] for client in clients]
        assert said.count(b"503") >= connections.CONNECTIONS - downloads.SENT_AT_ONCE - downloads.MAX_WAITING
        assert said.count(b"200") >= downloads.SENT_AT_ONCE
        assert max(peak_rss_mb(pid) for pid in descendants(api.process.pid)) < 700
    finally:
        for client in clients:
            client.close()
        api.stop()


def test_a_client_that_reads_too_slowly_is_cut_off(pair, monkeypatch) -> None:
    """However regularly it reads, after a grace so many bytes a second must have gone."""
    with_deadline, theirs = pair
    monkeypatch.setattr(connections, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(connections, "SLOWEST", 1 << 40)

    def read() -> None:
        with contextlib.suppress(OSError):
            while theirs.recv(1 << 16):
                time.sleep(0.02)

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.raises(SlowClient):
        with_deadline.sendall(bytes(100_000_000))
    with_deadline.close()
    reader.join()


def test_a_body_that_stops_coming_is_a_408(api: ServedApi) -> None:
    """A client that stops in the middle of its body gets an error that says so, and its connection is closed."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=TIMEOUT) as client:
        client.sendall(HALF_BODY + b"x")
        answer = b""
        while piece := client.recv(10_000):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"too slowly" in answer


def test_what_trickles_for_too_long_is_let_go(pair) -> None:
    """However regularly bytes come, reading ends by its deadline."""
    with_deadline, theirs = pair
    with_deadline.allow(0.5)
    with pytest.raises(SlowClient):  # noqa: PT012 - it is the last of many reads that ends so
        while True:
            theirs.sendall(b"x")
            assert with_deadline.recv(10) == b"x"
            time.sleep(0.05)


def test_a_client_that_does_not_read_the_answer_is_cut_off(pair, monkeypatch) -> None:
    """Writing to a client that reads nothing ends as well."""
    with_deadline, theirs = pair
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    with_deadline.sendall(b"x" * 1000)
    assert theirs.recv(1000) == b"x" * 1000
    with pytest.raises(SlowClient):
        with_deadline.sendall(b"x" * 10_000_000)


def test_every_line_on_stderr_is_one_of_json(api: ServedApi) -> None:
    """gunicorn's own lines too: what it says of a request that is none of HTTP's is an event like ours."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=TIMEOUT) as client:
        client.sendall(b"no http at all\r\n\r\n")
        while client.recv(1000):
            pass
    assert_problem(api.upload(b"x"), 415)
    assert api.upload().status == 202
    api.stop()
    events = [json.loads(entry) for entry in (api.folder / "api.log").read_text().splitlines()]
    assert any(entry.get("logger") == "gunicorn.error" and entry["level"] == "warning" for entry in events)
    (accepted,) = [entry for entry in events if entry["event"] == "accepted"]
    assert (accepted["service"], accepted["stage"], accepted["attempt"]) == ("grab", "grab", 1)
