"""Removing everything that the bucket has of a picture."""

from stageline.core.errors import NotFound
from stageline.pipeline import results
from stageline.pipeline.message import FOLDERS, ID, KEY, id_of
from stageline.store import ObjectStore


def erase_objects(store: ObjectStore, image_id: str, original_path: str | None = None) -> int:
    """Remove a picture's objects from every folder, and return how many there were; may be repeated.

    The results go last: what is left of an erasure that was broken off still names the picture.

    Args:
        store: the bucket.
        image_id: whose objects.
        original_path: where the picture's original is, for one of another name; only below original/, and not that of
            a picture that has results of its own.

    Raises:
        ValueError: that is no id.
        Unavailable: the store is away; some may be gone.
    """
    if not ID.fullmatch(image_id):
        raise ValueError(f"an image id matches {ID.pattern}")
    erased = 0
    if original_path and original_path.startswith("original/") and KEY.fullmatch(original_path):
        other = id_of(original_path)
        if other != image_id and not _has_results(store, other):
            store.delete(original_path)
    for folder in sorted(FOLDERS, key=lambda name: name == "results"):
        for key in list(store.keys(f"{folder}/{image_id}.")):
            store.delete(key)
            erased += 1
    return erased


def _has_results(store: ObjectStore, image_id: str) -> bool:
    try:
        store.stat(results.key(image_id))
    except NotFound:
        return False
    return True
