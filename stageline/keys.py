"""The names of everything that Stageline keeps in Redis, beside the queues of the line."""

WORKERS = "stageline:workers"  # sorted set: a worker's identity → its last beat, in the server's seconds
UNFINISHED = "stageline:unfinished"  # set: ids of accepted pictures that are neither completed nor failed
DEAD_LETTERS = "dead_letters"  # list of JSON
DEAD_COUNTS = "stageline:dead"  # hash: a stage → how many of its messages are among the dead letters


def status_key(image_id: str) -> str:
    """The hash that holds a picture's status."""
    return f"stageline:status:{image_id}"


def delayed_key(queue: str) -> str:
    """The sorted set of a queue's delayed messages, by when they are due."""
    return f"stageline:delayed:{queue}"


def in_flight_key(identity: str) -> str:
    """The list of what this worker has taken and not yet handed on."""
    return f"stageline:inflight:{identity}"


def queue_of(identity: str) -> str:
    """The queue that this worker takes from."""
    return identity.split(":", 1)[0]
