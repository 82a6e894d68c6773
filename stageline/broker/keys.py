"""The Redis keys of Stageline, except the queues, which the table of stages names."""

from stageline.pipeline.filenames import lookup_key

WORKERS = "stageline:workers"  # sorted set: a worker's identity → its last heartbeat, in the server's seconds
UNFINISHED = "stageline:moving"  # sorted set: ids of accepted pictures in progress → when they were accepted
PACE = "stageline:pace"  # hash: how fast pictures are finished; see stageline.broker.time_left
OUTCOMES = "stageline:outcomes"  # list of JSON: the outbox events that the catalogue has yet to write
OUTCOMES_SINCE = f"{OUTCOMES}:since"  # since when the first outbox event has been the first, in the server's seconds
MODELS = "stageline:models"  # hash: a worker's identity → the models that it lacks, as JSON
ANNOUNCED = "stageline:announced"  # set: stages, and folders as `<folder>/`, that some version of the workers knows
EVENTS = "stageline:events"  # stream: events about pictures, for clients that watch; the newest 20,000
DEAD_LETTERS = "dead_letters"  # list of JSON
DEAD_COUNTS = "stageline:dead"  # hash: a stage → how many of its messages are among the dead letters

BY_NAME = {  # by the names that the scripts declare
    "workers": WORKERS, "unfinished": UNFINISHED, "pace": PACE, "outcomes": OUTCOMES, "outcomes_since": OUTCOMES_SINCE,
    "models": MODELS, "events": EVENTS, "dead_letters": DEAD_LETTERS, "dead_counts": DEAD_COUNTS,
}  # fmt: skip
NEVER_THERE = "stageline:never"  # never exists: a SET of it that changes nothing shows whether Redis takes writes


def status_key(image_id: str) -> str:
    """The hash that holds a picture's status."""
    return f"stageline:status:{image_id}"


def minute_key(seconds: float) -> str:
    """The hash of counters of one minute; ``seconds`` is a time within it, in seconds since 1970."""
    return f"stageline:minute:{int(seconds // 60)}"


def content_key(sha256: str | None) -> str:
    """The key that holds the id of the picture with this content, for a day; '' when the content is not known."""
    return f"stageline:sha256:{sha256}" if sha256 else ""


def name_key(filename: str | None) -> str:
    """The key that holds the id of the newest picture of this name, for STATUS_TTL seconds; '' without a name."""
    return f"stageline:named:{lookup_key(filename)}" if filename else ""


def delayed_key(queue: str) -> str:
    """The sorted set of a queue's delayed messages, scored by when they are due."""
    return f"stageline:delayed:{queue}"


def in_flight_key(identity: str) -> str:
    """The list of the messages that this worker holds in flight."""
    return f"stageline:inflight:{identity}"


def queue_of(identity: str) -> str:
    """The queue of the worker with this identity."""
    return identity.split(":", 1)[0]
