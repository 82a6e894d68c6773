"""Free ports of this machine."""

import random
import socket
from collections.abc import Collection
from itertools import islice

HOST = "127.0.0.1"
# Below Linux's range for outgoing connections: a client that keeps dialling a dead server could otherwise get the
# server's own port, and the restarted server would find the port taken.
PORTS = range(20000, 32000)


def try_port(port: int, host: str = HOST) -> None:
    """Listen on a port for a moment.

    Raises:
        OSError: the port is not available; its errno shows whether the port or the host is the cause.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        probe.bind((host, port))


def is_free(port: int, host: str = HOST) -> bool:
    """Return whether a server could listen there."""
    try:
        try_port(port, host)
    except OSError:
        return False
    return True


def free_ports(count: int, but: Collection[int] = ()) -> list[int]:
    """Return `count` different free ports of 127.0.0.1, none of them in ``but``.

    Raises:
        OSError: too few of the ports that were tried are free.
    """
    tried = random.sample(PORTS, min(len(PORTS), 200 + 2 * count))
    found = list(islice((port for port in tried if port not in but and is_free(port)), count))
    if len(found) < count:
        raise OSError(f"{len(found)} of {count} free ports on {HOST} found among {len(tried)} tried")
    return found


def free_port() -> int:
    """Return a free port of 127.0.0.1.

    Raises:
        OSError: none of the ports that were tried is free.
    """
    return free_ports(1)[0]
