"""Documents with candidates, for the tests of the catalogue."""

from tests.support.catalogue_makers import document

SHIP = {"category": "ship", "confidence": 0.9, "box": None, "model": "squeezenet-cifar10@2"}


def plain(image_id: str, seconds: float = 0, **more) -> dict:
    """A picture of kind object in which nothing was detected and nothing is named."""
    return document(image_id, seconds, **{"kind": "object", "faces": [], "detections": [], "categories": [], **more})
