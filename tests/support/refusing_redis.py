"""A Redis that refuses on demand: it stands before a real one, and answers with an error of one's choice instead."""

import socket
import threading

import hiredis

HANDSHAKE = (b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"PING")


class RefusingRedis:
    """Hands everything to the server at ``port`` and back; while ``refusal`` is set, that is every answer."""

    def __init__(self, port: int, *, wraps: bool = False) -> None:
        """Stand before that server; ``wraps``: errors within scripts come as Redis 6.2 reports them."""
        self.refusal: str | None = None
        self._behind, self._wraps = port, wraps
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                behind = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                client.close()
                continue
            for pump in (self._ask, self._answer):
                threading.Thread(target=pump, args=(client, behind), daemon=True).start()

    def _ask(self, client: socket.socket, behind: socket.socket) -> None:
        reader = hiredis.Reader()
        try:
            while data := client.recv(1 << 16):
                reader.feed(data)
                words = []
                while (command := reader.gets()) is not False:
                    words.append(command[0].upper())
                if self.refusal is None or all(word in HANDSHAKE for word in words):
                    behind.sendall(data)
                else:
                    client.sendall(b"".join(map(self._refused, words)))
        except OSError:
            pass
        _close(client, behind)

    def _answer(self, client: socket.socket, behind: socket.socket) -> None:
        try:
            while data := behind.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass
        _close(client, behind)

    def _refused(self, word: bytes) -> bytes:
        words = self.refusal or "ERR it was over at this moment"
        if self._wraps and word in (b"EVAL", b"EVALSHA"):
            words = f"ERR Error running script (call to f_{'0' * 40}): @user_script:3: @user_script: 3: -{words}"
        return f"-{words}\r\n".encode()


def _close(*connections: socket.socket) -> None:
    for connection in connections:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
