"""Removing everything that the bucket has of a picture."""

from stageline.message import FOLDERS, ID
from stageline.store import ObjectStore


def erase_objects(store: ObjectStore, image_id: str) -> int:
    """Remove a picture's objects from every folder, and return how many there were; may be repeated.

    The results go last: what is left of an erasure that was broken off still names the picture.

    Raises:
        ValueError: that is no id.
        Unavailable: the store is away; some may be gone.
    """
    if not ID.fullmatch(image_id):
        raise ValueError(f"an image id matches {ID.pattern}")
    erased = 0
    for folder in sorted(FOLDERS, key=lambda name: name == "results"):
        for key in list(store.keys(f"{folder}/{image_id}.")):
            store.delete(key)
            erased += 1
    return erased
