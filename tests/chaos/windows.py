"""What the tests of windows share: waiting for one to open, and naming what broke, a promise or the harness."""

from collections.abc import Callable

from tests.chaos.deployment import Found, until

BATCH_SIZE = 1.0  # seconds, for what must be so already


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


def opened(look: Callable[[], Found | None], seconds: float = 120.0) -> Found:
    """Wait until a window is open, and return what shows it.

    Raises:
        RuntimeError: it was not opened in that many seconds, so nothing was tried: no fault that a test may expect.
    """
    try:
        return until(look, seconds, pause=0.01)
    except AssertionError as error:
        raise RuntimeError(f"the window did not open: {error}") from None
