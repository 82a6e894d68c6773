"""Pictures that are made here, each from its number: the same number is the same file."""

import cv2
import numpy as np


def picture(number: int, side: int = 160) -> bytes:
    """Return a JPEG of smooth shapes and some noise; its sides lie between `side` and twice that, in pixels."""
    random = np.random.default_rng(number)
    height, width = (int(side * (1 + random.random())) for _ in range(2))
    canvas = cv2.resize(
        random.integers(0, 256, (4, 5, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(6):
        centre = (int(random.integers(width)), int(random.integers(height)))
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        cv2.circle(canvas, centre, int(random.integers(5, side // 2)), colour, thickness=-1)
    done, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return data.tobytes()
