"""Plain pictures and their colours, for the tests of objects."""

import numpy as np

BLUE, GREEN, RED = 200, 100, 50


def plain(height: int, width: int) -> np.ndarray:
    """A picture of one colour, BGR."""
    return np.full((height, width, 3), (BLUE, GREEN, RED), np.uint8)
