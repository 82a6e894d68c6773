"""What may be found at CACHE_URL instead of a cache; each is started for as long as a stack is open."""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack


def refuses(stack: ExitStack) -> str:
    """Nothing listens; the port is held, so that nothing can."""
    held = stack.enter_context(socket.socket())
    held.bind(("127.0.0.1", 0))
    return f"redis://127.0.0.1:{held.getsockname()[1]}/0"


def swallows(stack: ExitStack) -> str:
    """Connections are never taken: the list of those that wait is full, so that further packets are dropped."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(server.getsockname())
    return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def is_silent(stack: ExitStack) -> str:
    """Takes connections, and never answers."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=50))
    return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def answers(words: bytes) -> Callable[[ExitStack], str]:
    """Takes connections, and answers anything with these words."""

    def start(stack: ExitStack) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        stack.callback(server.close)
        stack.callback(server.shutdown, socket.SHUT_RDWR)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with connection:
                try:
                    while connection.recv(65536):
                        connection.sendall(words)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"

    return start


BROKEN = {
    "nothing listens": refuses,
    "packets are dropped": swallows,
    "it never answers": is_silent,
    "a web server": answers(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "noise": answers(b"\x00\xff\xfe" * 50 + b"\r\n"),
    "numbers": answers(b":42\r\n"),
    "lists": answers(b"*1\r\n*1\r\n$-1\r\n"),
}
