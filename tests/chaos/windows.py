"""What the tests of windows share: waiting until one is open."""

from collections.abc import Callable

from tests.chaos.deployment import Found, until

AT_ONCE = 1.0  # seconds, for what must be so already


def opened(look: Callable[[], Found | None], seconds: float = 120.0) -> Found:
    """Wait until a window is open, and return what shows it.

    Raises:
        RuntimeError: it was not opened in that many seconds, so nothing was tried: no fault that a test may expect.
    """
    try:
        return until(look, seconds, pause=0.01)
    except AssertionError as error:
        raise RuntimeError(f"the window did not open: {error}") from None
