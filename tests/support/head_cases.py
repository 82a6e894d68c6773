"""A labelled picture, for the tests of the benchmark of heads."""

from benchmarks.heads.labels import Head, HeadPicture, corners


def picture(*boxes: list[float], ignore: tuple[list[float], ...] = ()) -> HeadPicture:
    """Labels of a picture of 100 × 200 pixels."""
    return HeadPicture("a.png", 100, 200, [Head(corners(b), "front") for b in boxes], [corners(b) for b in ignore])
