"""The errors of Stageline: those that a retry can mend, and those that it cannot."""

EXIT_SETTINGS = 78  # EX_CONFIG: the exit status of a process with a malformed setting


class StagelineError(Exception):
    """The base of all errors of Stageline."""


class SettingsError(StagelineError):
    """A setting is malformed; the text names the environment variable and what it takes."""


class Unavailable(StagelineError):
    """A server (Redis, the object store) cannot be reached. The retry does not count as an attempt."""


class Busy(Unavailable):
    """The API answers that its servers cannot be reached; a retry is due after ``seconds``."""

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds


class NoRoom(Busy):
    """The API answers that the line is full; a retry is due after ``seconds``."""


class NotFound(StagelineError):
    """The object store has no object with this key."""


class ModelError(StagelineError):
    """A model file is missing, damaged, or not the network of its card."""


class Rejected(StagelineError):
    """The input is at fault. No retry can mend it, so its message is dead-lettered at once."""


class BadImage(Rejected):
    """The bytes are not a picture that Stageline accepts.

    ``status`` is the HTTP status of the API's answer: 415 for data that is not a picture, 413 for a picture that is too
    large, 422 for a damaged picture.
    """

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


class Forgotten(Rejected):
    """The picture was deleted, or sent down the line again, while this message was in progress."""


class TooLarge(Rejected):
    """The object is too large to read into memory."""


class BadMessage(Rejected):
    """The bytes on a queue are not a message."""


class UnknownFolder(BadMessage):
    """The message names an object in a folder that this version does not know; a newer version may know it."""

    def __init__(self, sentence: str, folder: str) -> None:
        super().__init__(sentence)
        self.folder = folder


class NewerMessage(StagelineError):
    """The message is of a version that this worker does not know; a newer worker must take it."""
