"""A picture becomes what a card asks for, and what is found in that is put back into the picture."""

from typing import Any

from detect_service.detectors import load_objects
from stageline.core.settings import Settings
from stageline.registry.repository import open_repository
from tests.support.object_cases import plain


def test_the_converted_yolox_is_given_no_more_than_it_needs(models_dir) -> None:
    """Height and width are free: a wide picture costs what it has."""
    repository = open_repository(Settings(models_dir=models_dir))
    pointer = repository.pointer("yolox-nano")
    assert pointer is not None
    detector = load_objects(repository.load("yolox-nano", pointer.version), Settings())
    shapes: list[tuple[int, ...]] = []
    run = detector._network.run

    class Watched:
        name = where = "watched"

        def run(self, *arrays: Any) -> Any:
            shapes.append(arrays[0].shape)
            return run(*arrays)

    detector._network = Watched()
    for size in ((300, 800), (800, 300), (416, 416), (1, 1), (10, 2000)):
        detector.detect(plain(*size), 0.3)
    assert shapes == [(1, 3, 160, 416), (1, 3, 416, 160), (1, 3, 416, 416), (1, 3, 416, 416), (1, 3, 32, 416)]
