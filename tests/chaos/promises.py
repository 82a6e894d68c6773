"""What a window asserts of Stageline, told from what the harness itself could not do."""

from collections.abc import Callable

from tests.chaos.deployment import until


class Broken(AssertionError):
    """A promise is not kept: what an expected failure expects."""


def promised(words: str, kept: object) -> None:
    """Assert what was promised.

    Raises:
        Broken: it is not so; the text says what was promised.
    """
    if not kept:
        raise Broken(words)


def comes(words: str, look: Callable[[], object], seconds: float = 120.0, pause: float = 0.05) -> None:
    """Wait for what was promised to come by itself.

    Raises:
        Broken: it did not within that many seconds, of which there are plenty; the text says what was promised.
    """
    try:
        until(look, seconds, pause)
    except AssertionError as error:
        raise Broken(f"{words}: {error}") from None
