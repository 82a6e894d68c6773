"""Every error of Stageline has one root, split into what a retry can mend and what it cannot."""

EXIT_SETTINGS = 78  # EX_CONFIG: how a process ends whose setting is malformed


class StagelineError(Exception):
    """Root of all errors that Stageline raises itself."""


class SettingsError(StagelineError):
    """A setting is malformed; the text names the environment variable and what it takes."""


class Unavailable(StagelineError):
    """A server (Redis, the object store) cannot be reached: wait and try again; it costs no attempt."""


class NotFound(StagelineError):
    """The object store has no object of that key."""


class ModelError(StagelineError):
    """A model file is missing, damaged, or not the network that its card describes."""


class Rejected(StagelineError):
    """The input itself is at fault: no retry can mend it, so it goes to the dead letters at once."""


class BadImage(Rejected):
    """The bytes are not a picture that Stageline takes.

    ``status`` is the HTTP status that the door answers with: 415 for what is no picture at all, 413 for
    one that is too large, 422 for one that is damaged.
    """

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


class Forgotten(Rejected):
    """The picture was deleted, or sent down the line again, while this message was on its way."""


class TooLarge(Rejected):
    """The object is larger than what is read into memory."""


class BadMessage(Rejected):
    """The bytes on a queue are not a message."""


class NewerMessage(StagelineError):
    """The message is of a version that this worker does not know: a newer worker must take it."""
