"""Removes all objects of a picture from the bucket."""

import re
from collections.abc import Collection
from typing import cast

import redis

from stageline.broker.keys import ANNOUNCED
from stageline.broker.redis_client import reaching_redis
from stageline.core.errors import NotFound
from stageline.pipeline import results
from stageline.pipeline.message import FOLDERS, ID, KEY, id_of
from stageline.store import ObjectStore

ANNOUNCED_FOLDER = re.compile(rb"([a-z][a-z0-9_-]{0,31})/")


def all_folders(client: redis.Redis) -> set[str]:
    """Return the folders of this version, and those that workers of other versions have announced.

    Raises:
        Unavailable: Redis is away.
    """
    with reaching_redis():
        announced = cast("set[bytes]", client.smembers(ANNOUNCED))
    found = map(ANNOUNCED_FOLDER.fullmatch, announced)
    return {*FOLDERS, *(match[1].decode() for match in found if match)}


def erase_objects(
    store: ObjectStore, image_id: str, original_path: str | None = None, folders: Collection[str] = FOLDERS
) -> int:
    """Remove a picture's objects from every folder, and return their number; may be repeated.

    The results are removed last, so that an interrupted removal leaves the object that names the picture.

    Args:
        store: the bucket.
        image_id: the picture.
        original_path: the key of the original when its name is not the id; removed only below original/, and not when
            it belongs to a picture with results of its own.
        folders: the folders to search; `all_folders` also has those of a newer version, during an upgrade.

    Raises:
        ValueError: ``image_id`` is not an id.
        Unavailable: the store cannot be reached; some objects may be removed.
    """
    if not ID.fullmatch(image_id):
        raise ValueError(f"an image id matches {ID.pattern}")
    erased = 0
    if original_path and original_path.startswith("original/") and KEY.fullmatch(original_path):
        other = id_of(original_path)
        if other != image_id and not has_results(store, other):
            store.delete(original_path)
    for folder in sorted(folders, key=lambda name: name == "results"):
        for key in list(store.keys(f"{folder}/{image_id}.")):
            store.delete(key)
            erased += 1
    return erased


def has_results(store: ObjectStore, image_id: str) -> bool:
    """Return whether the bucket has results of this picture.

    Raises:
        Unavailable: the store cannot be reached.
    """
    try:
        store.stat(results.key(image_id))
    except NotFound:
        return False
    return True
