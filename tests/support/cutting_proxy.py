"""A way to a server that breaks at will: before a request is passed on, or after, so that its answer is lost."""

import contextlib
import socket
import threading

HOST = "127.0.0.1"
CHUNK = 1 << 20


class CuttingProxy:
    """Passes on what clients and the server say; while ``cut_at`` has bytes in it, that request's connection breaks."""

    def __init__(self, server_port: int) -> None:
        self.target = server_port  # of connections to come; those that stand keep theirs
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"{HOST}:{self.port}"
        self.url = f"redis://{HOST}:{self.port}/0"
        self.cut_at: bytes = b""
        self.before_it_runs = False  # else after, its answer lost
        self.only_once = False
        self.is_down = False  # every connection breaks
        self.refuse_at: bytes = b""  # a request that begins so is answered with `refusal`, and its connection ends
        self.refusal: bytes = b""
        self.hold_at: bytes = b""
        self.holds_the_answer = False  # else the request, too
        self.held = 0
        self.cuts = 0
        self.refused = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def cut(self, words: str | bytes, *, before_it_runs: bool = False, only_once: bool = False) -> None:
        """Break each connection at a request with these words, until ``mend``; or the next one only."""
        self.before_it_runs, self.only_once = before_it_runs, only_once
        self.cut_at = words.encode() if isinstance(words, str) else words

    def mend(self) -> None:
        """Pass everything on again."""
        self.cut_at, self.is_down, self.refuse_at, self.hold_at = b"", False, b"", b""
        self._flowing.set()

    def refuse(self, beginning: bytes, answer: bytes) -> None:
        """Answer each request that begins so in the server's place, until ``mend``."""
        self.refusal, self.refuse_at = answer, beginning

    def hold(self) -> None:
        """Keep what is said, both ways, until ``mend``: as a network that drops everything."""
        self._flowing.clear()

    def hold_from(self, words: str | bytes, *, answer: bool = False) -> None:
        """Hold from the next request with these words on: that request too, or only its ``answer`` and all after it."""
        self.holds_the_answer = answer
        self.hold_at = words.encode() if isinstance(words, str) else words

    def release(self) -> None:
        """Pass on what is held; what else is asked of this proxy stays, as a ``cut``."""
        self._flowing.set()

    def drop_connections(self) -> None:
        """Break every connection that stands."""
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection((HOST, self.target)) as server:
            self._open |= {client, server}
            try:
                self._pass_on(client, server)
            finally:
                self._open -= {client, server}

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        threading.Thread(target=self._pass_back, args=(server, client), daemon=True).start()
        while said := client.recv(CHUNK):
            self._flowing.wait()
            if self.hold_at and self.hold_at in said:
                self._begin_to_hold()
            if self.is_down:
                return
            if self.refuse_at and said.startswith(self.refuse_at):
                self.refused += 1
                client.sendall(self.refusal)
                return
            if self.cut_at and self.cut_at in said:
                self.cuts += 1
                if self.only_once:
                    self.cut_at = b""
                if not self.before_it_runs:
                    self._run_unheard(said)
                return
            server.sendall(said)

    def _begin_to_hold(self) -> None:
        """Hold; return at once where the request is to be passed on, else with the ``mend``."""
        self.hold_at = b""
        self._flowing.clear()
        self.held += 1
        if not self.holds_the_answer:
            self._flowing.wait()

    def _run_unheard(self, said: bytes) -> None:
        """Have the server run it, and wait until it has; a connection of its own, so nothing of it is passed back."""
        with socket.create_connection((HOST, self.target)) as server:
            server.sendall(said)
            server.recv(CHUNK)

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while said := server.recv(CHUNK):
                self._flowing.wait()
                client.sendall(said)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
