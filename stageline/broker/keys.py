"""The names of everything that Stageline keeps in Redis, beside the queues of the line."""

from stageline.pipeline.filenames import lookup_key

WORKERS = "stageline:workers"  # sorted set: a worker's identity → its last beat, in the server's seconds
UNFINISHED = (
    "stageline:moving"  # sorted set: ids of accepted pictures that are on their way, by when they were accepted
)
PACE = "stageline:pace"  # hash: how fast pictures come to their end; see stageline.broker.time_left
OUTCOMES = "stageline:outcomes"  # list of JSON: what the catalogue has yet to write down
OUTCOMES_SINCE = f"{OUTCOMES}:since"  # since when the first of them stands there, in the server's seconds
MODELS = "stageline:models"  # hash: a worker's identity → what it says of models that it lacks, as JSON
EVENTS = "stageline:events"  # stream: what happens to pictures, for those who watch; the newest 20,000
DEAD_LETTERS = "dead_letters"  # list of JSON
DEAD_COUNTS = "stageline:dead"  # hash: a stage → how many of its messages are among the dead letters

NEVER_THERE = "stageline:never"  # no key at all: what tries whether writes are taken names it


def status_key(image_id: str) -> str:
    """The hash that holds a picture's status."""
    return f"stageline:status:{image_id}"


def minute_key(seconds: float) -> str:
    """The hash that counts what happened in the minute of that time, in seconds since 1970."""
    return f"stageline:minute:{int(seconds // 60)}"


def content_key(sha256: str | None) -> str:
    """The id of the picture that has this content, for a day; '' where the content is not known."""
    return f"stageline:sha256:{sha256}" if sha256 else ""


def name_key(filename: str | None) -> str:
    """The id of the newest picture of that name, for as long as a status lasts; '' where it has none."""
    return f"stageline:named:{lookup_key(filename)}" if filename else ""


def delayed_key(queue: str) -> str:
    """The sorted set of a queue's delayed messages, by when they are due."""
    return f"stageline:delayed:{queue}"


def in_flight_key(identity: str) -> str:
    """The list of what this worker has taken and not yet handed on."""
    return f"stageline:inflight:{identity}"


def queue_of(identity: str) -> str:
    """The queue that this worker takes from."""
    return identity.split(":", 1)[0]
