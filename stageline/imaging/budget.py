"""Memory that threads share."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Budget:
    """Bytes to hold for a while: whoever needs more than is left waits, and the next behind waits too."""

    def __init__(self, total: int) -> None:
        self._left = self._total = total
        self._queue = Lock()
        self._returned = Condition()

    @contextmanager
    def spend(self, cost: int) -> Iterator[None]:
        """Hold ``cost`` bytes, or all there are."""
        cost = min(cost, self._total)
        with self._queue, self._returned:
            self._returned.wait_for(lambda: self._left >= cost)
            self._left -= cost
        try:
            yield
        finally:
            with self._returned:
                self._left += cost
                self._returned.notify_all()
