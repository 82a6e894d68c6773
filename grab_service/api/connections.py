"""Clients that send or read too slowly: each gets so much time, and they do not keep others from being served.

gunicorn's threads wait for a client for as long as it likes. Here a connection's reads and writes have deadlines,
and there are many more threads, which cost little while they wait, than uploads are taken at once.
"""

import contextlib
import selectors
import socket
import threading
import time
from functools import partial
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn, ThreadWorker

CONNECTIONS = 128  # served at once, by a process
SILENT_SECONDS = 10.0  # for a new connection's first byte: until that, it has no thread
MAX_SILENT = 512  # of those; then the one that has waited longest goes
HEAD_SECONDS = 10.0  # for a request's line and headers
UPLOAD_SECONDS = 90.0  # for its body, with up to a third of it spent waiting for a turn
IDLE_SECONDS = 10.0  # between two pieces, either way
ANSWER_SECONDS = 300.0  # for one piece of the answer that the application made, and less where it is read slowly:
GRACE_SECONDS = 10.0  # after these,
SLOWEST = 1 << 16  # so many bytes a second must have been read
PIECE = 1 << 16  # bytes of an answer that must be taken within IDLE_SECONDS
DRAIN_SECONDS = 2.0  # for the last of an answer to arrive before the connection closes
DRAIN_BYTES = 1 << 16
STOPPING = threading.Event()  # set when the process is told to stop: answers that never end then do


class SlowClient(NoMoreData, TimeoutError):  # type: ignore[misc] # gunicorn has no types, and lets go of these quietly
    """A client did not send, or did not read, in time."""

    def __str__(self) -> str:
        return "it came too slowly"


class DeadlineSocket(socket.socket):
    """A connection whose reads and writes end in time, whatever its timeout is set to."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._read_by = time.monotonic() + HEAD_SECONDS
        self._ended = False

    def allow(self, seconds: float) -> None:
        """Give what is to be read so many seconds from now."""
        self._read_by = time.monotonic() + seconds

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read what has come, or wait for it.

        Raises:
            SlowClient: nothing came for a while, or it has taken too long in all.
        """
        if self._ended:
            return b""
        left = self._read_by - time.monotonic()
        if left <= 0:
            raise SlowClient
        self._wait_at_most(min(left, IDLE_SECONDS))
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise SlowClient from None

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of it, piece by piece.

        Raises:
            SlowClient: the client does not read it.
        """
        pieces, began = memoryview(data), time.monotonic()
        for start in range(0, len(pieces), PIECE):
            if time.monotonic() > began + min(ANSWER_SECONDS, GRACE_SECONDS + start / SLOWEST):
                raise SlowClient
            self._wait_at_most(IDLE_SECONDS)
            try:
                super().sendall(pieces[start : start + PIECE], flags)
            except TimeoutError:
                raise SlowClient from None

    def _wait_at_most(self, seconds: float) -> None:
        """Set the timeout, which is a system call, where it is another."""
        if self.gettimeout() != seconds:
            self.settimeout(seconds)

    def is_gone(self) -> bool:
        """Whether the client has hung up, so that nobody reads what is still to come."""
        self.settimeout(0)
        try:
            return not super().recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drain(self) -> None:
        """Let the last of the answer arrive, here and now: gunicorn would wait for it where it accepts others."""
        deadline, most = time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_WR)
            while most > 0 and (left := deadline - time.monotonic()) > 0:
                self.settimeout(left)
                got = super().recv(PIECE)
                if not got:
                    break
                most -= len(got)
        self._ended = True


class NoAccessLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's own messages; what it would say of each request costs as much as all of Flask."""

    def access(self, *_: Any) -> None:
        """Say nothing."""


class DeadlineWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's worker with threads, on such sockets."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """Stop: what is being answered is finished, and what would go on for ever ends."""
        STOPPING.set()
        super().handle_exit(sig, frame)

    def accept(self, listener: Any) -> None:
        """Accept a connection; it gets a thread when something comes: gunicorn would have one wait for that."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, DeadlineSocket(accepted), address, listener.getsockname())
        if len(self.pending_conns) >= MAX_SILENT:
            self.pending_conns[0].timeout = 0
            self.murder_pending()
        conn.timeout = time.monotonic() + SILENT_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _cap_keepalive(self, deadline: float) -> None:
        """Let go, when the worker stops, of who sent nothing yet as of who may send nothing more."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:
        """Read and answer a request; the time for its head begins now."""
        conn.sock.allow(HEAD_SECONDS)
        goes_on = super().handle(conn)
        if goes_on is False:
            conn.sock.drain()
        return goes_on

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head is there; the time for its body begins now."""
        conn.sock.allow(UPLOAD_SECONDS)
        return super().handle_request(req, conn)
