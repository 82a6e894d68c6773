"""Deadlines for clients that send or read too slowly, so that they do not block others.

gunicorn's threads wait for a client without limit. Here the reads and writes of a connection have deadlines, and there
are many more threads than concurrent uploads: a waiting thread costs little.
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

CONNECTIONS = 128  # served at once by a process
SILENT_SECONDS = 10.0  # for the first byte of a new connection, which has no thread before that
MAX_SILENT = 512  # such connections; above that the oldest is closed
HEAD_SECONDS = 10.0  # for the request line and the headers
UPLOAD_SECONDS = 90.0  # for the body, up to a third of it spent waiting for a turn
IDLE_SECONDS = 10.0  # between two pieces, in either direction
ANSWER_SECONDS = 300.0  # for one piece that the application sends
GRACE_SECONDS = 10.0  # after these the client must have read
SLOWEST = 1 << 16  # bytes a second
PIECE = 1 << 16  # bytes of an answer that the client must read within IDLE_SECONDS
DRAIN_SECONDS = 2.0  # for the end of an answer to arrive before the connection closes
DRAIN_BYTES = 1 << 16
STOPPING = threading.Event()  # set when the process must stop: it ends endless answers


class SlowClient(NoMoreData, TimeoutError):  # type: ignore[misc] # gunicorn has no types, and drops these without a log line
    """A client did not send or read in time."""

    def __str__(self) -> str:
        return "it came too slowly"


class DeadlineSocket(socket.socket):
    """A connection whose reads and writes have deadlines, whatever its timeout."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._read_by = time.monotonic() + HEAD_SECONDS
        self._ended = False

    def allow(self, seconds: float) -> None:
        """Set the deadline of the next reads, in seconds from now."""
        self._read_by = time.monotonic() + seconds

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return received bytes, or wait for some.

        Raises:
            SlowClient: the client sent nothing for IDLE_SECONDS, or the deadline is over.
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
        """Send all bytes, piece by piece.

        Raises:
            SlowClient: the client does not read them.
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
        """Set the timeout if it differs: setting it is a system call."""
        if self.gettimeout() != seconds:
            self.settimeout(seconds)

    def is_gone(self) -> bool:
        """Return whether the client has closed the connection."""
        self.settimeout(0)
        try:
            return not super().recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drain(self) -> None:
        """Wait here until the end of the answer has arrived: gunicorn would wait in the thread that accepts."""
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
    """gunicorn's logger without its access log, which costs as much per request as all of Flask."""

    def access(self, *_: Any) -> None:
        """Log nothing."""


class DeadlineWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's threaded worker with deadlines on its sockets."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """Stop: answers in progress are finished, endless ones are ended."""
        STOPPING.set()
        super().handle_exit(sig, frame)

    def accept(self, listener: Any) -> None:
        """Accept a connection; it gets a thread with its first byte, where gunicorn would give it one at once."""
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
        """When the worker stops, also close the connections that have sent nothing yet."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:
        """Read and answer a request; the deadline for its headers begins now."""
        conn.sock.allow(HEAD_SECONDS)
        goes_on = super().handle(conn)
        if goes_on is False:
            conn.sock.drain()
        return goes_on

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request after its headers; the deadline for its body begins now."""
        conn.sock.allow(UPLOAD_SECONDS)
        return super().handle_request(req, conn)
