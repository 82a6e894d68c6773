"""Times contenders in turns, so that a machine that slows down slows all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Call each for `seconds`, one after the other, `rounds` times; return the seconds per call of each, by round."""
    for call in calls.values():
        call()  # initialisation happens now
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            count, began = 0, time.perf_counter()
            while not count or time.perf_counter() - began < seconds:
                call()
                count += 1
            found[name].append((time.perf_counter() - began) / count)
    return found


def times_faster(ours: list[float], theirs: list[float]) -> float:
    """Return how many times faster we are than they: the median of the rounds."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))
