"""Removing all that the bucket has of a picture."""

from stageline.message import FOLDERS
from stageline.store import ObjectStore


def erase_objects(store: ObjectStore, image_id: str) -> None:
    """Remove a picture's objects from every stage's folder, the original last: what is interrupted can be repeated.

    Raises:
        Unavailable: the store is away; some may be removed.
    """
    for folder in reversed(FOLDERS):
        for key in list(store.keys(f"{folder}/{image_id}.")):
            store.delete(key)
