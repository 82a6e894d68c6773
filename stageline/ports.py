"""Free ports of this machine."""

import random
import socket

HOST = "127.0.0.1"
# Below the range that Linux gives to outgoing connections: a client that keeps dialling a dead server
# could otherwise be given the server's own port, and the restart would find it taken.
PORTS = range(20000, 32000)


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Raises:
        OSError: two hundred tried were all taken.
    """
    for port in random.sample(PORTS, 200):
        if is_free(port):
            return port
    raise OSError(f"no free port on {HOST} among 200 tried")
