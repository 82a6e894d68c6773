"""Free ports of this machine."""

import random
import socket
from collections.abc import Collection
from itertools import islice

HOST = "127.0.0.1"
# Below the range that Linux gives to outgoing connections: a client that keeps dialling a dead server
# could otherwise be given the server's own port, and the restart would find it taken.
PORTS = range(20000, 32000)


def try_port(port: int, host: str = HOST) -> None:
    """Listen there for a moment.

    Raises:
        OSError: a server could not listen there; its errno says whether the port or the host is at fault.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        probe.bind((host, port))


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there."""
    try:
        try_port(port, host)
    except OSError:
        return False
    return True


def free_ports(count: int, but: Collection[int] = ()) -> list[int]:
    """That many ports of 127.0.0.1 that nobody listens on, all different, and none of ``but``.

    Raises:
        OSError: there are not as many among those tried.
    """
    tried = random.sample(PORTS, min(len(PORTS), 200 + 2 * count))
    found = list(islice((port for port in tried if port not in but and is_free(port)), count))
    if len(found) < count:
        raise OSError(f"{len(found)} of {count} free ports on {HOST} found among {len(tried)} tried")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Raises:
        OSError: two hundred tried were all taken.
    """
    return free_ports(1)[0]
