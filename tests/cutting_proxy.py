"""A way to Redis that breaks at will: just before a script runs, or just after, so that its answer is lost."""

import contextlib
import socket
import threading

from stageline.ports import HOST


class CuttingProxy:
    """Passes on what clients and the server say; while ``cut_at`` has bytes in it, that request's connection breaks."""

    def __init__(self, server_port: int) -> None:
        self._server = (HOST, server_port)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://{HOST}:{self.port}/0"
        self.cut_at: bytes = b""
        self.before_it_runs = False  # else after, its answer lost
        self.only_once = False
        self.is_down = False  # every connection breaks
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def cut(self, script_sha: str, *, before_it_runs: bool = False, only_once: bool = False) -> None:
        """Break each connection at that script, until ``mend``; or the next one only."""
        self.before_it_runs, self.only_once, self.cut_at = before_it_runs, only_once, script_sha.encode()

    def mend(self) -> None:
        """Pass everything on again."""
        self.cut_at, self.is_down = b"", False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            threading.Thread(target=self._pass_back, args=(server, client), daemon=True).start()
            while said := client.recv(1 << 20):
                if self.is_down:
                    return
                if self.cut_at and self.cut_at in said:
                    self.cuts += 1
                    if self.only_once:
                        self.cut_at = b""
                    if not self.before_it_runs:
                        self._run_unheard(said)
                    return
                server.sendall(said)

    def _run_unheard(self, said: bytes) -> None:
        """Have the server run it, and wait until it has; a connection of its own, so nothing of it is passed back."""
        with socket.create_connection(self._server) as server:
            server.sendall(said)
            server.recv(1 << 20)

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while said := server.recv(1 << 20):
                client.sendall(said)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
