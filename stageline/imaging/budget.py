"""A memory budget that threads share."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Budget:
    """A budget of bytes: a thread that needs more than is left waits, and so do those after it, in order."""

    def __init__(self, total: int) -> None:
        self._left = self._total = total
        self._queue = Lock()
        self._returned = Condition()

    @contextmanager
    def spend(self, cost: int) -> Iterator[None]:
        """Hold ``cost`` bytes, at most the whole budget, while the context is open."""
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
