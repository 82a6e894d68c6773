"""The published models, in a bucket or a folder, as ``<name>/<version>/…`` and ``<name>/current``."""

import re
from hashlib import sha256

from pydantic import BaseModel, ConfigDict, ValidationError

from stageline.core import clock
from stageline.core.errors import ModelError, NotFound, TooLarge
from stageline.core.settings import Settings
from stageline.registry.card import CARD, MAX_CARD_BYTES, MAX_NETWORK_BYTES, Card, ModelFiles, Name, read_card, written
from stageline.store import ObjectStore, open_models_store
from stageline.store.base import StoredObject

CURRENT = "current"
_CARD_KEY = re.compile(rf"([^/]+)/([^/]+)/{re.escape(CARD)}")


class Pointer(BaseModel):
    """The served version of a model, and the one served before."""

    model_config = ConfigDict(frozen=True)

    version: Name
    previous: Name | None = None
    promoted_at: str = ""


class Repository:
    """The published models. A version never changes; only ``current`` does. Every method raises Unavailable."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def check(self) -> None:
        """Check the store; create its bucket if it is missing."""
        self._store.check()

    def versions(self) -> dict[str, list[str]]:
        """Return the versions of every model: those whose card, which is written last, exists."""
        found: dict[str, list[str]] = {}
        for key in self._store.keys(""):
            match = _CARD_KEY.fullmatch(key)
            if match:
                found.setdefault(match[1], []).append(match[2])
        return found

    def pointer(self, name: str) -> Pointer | None:
        """Return the content of ``<name>/current``; None if it does not exist.

        Raises:
            ModelError: it is damaged.
        """
        try:
            return Pointer.model_validate_json(self._store.get(f"{name}/{CURRENT}", MAX_CARD_BYTES))
        except NotFound:
            return None
        except (ValidationError, TooLarge) as error:
            problem = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
            raise ModelError(
                f"{name}/{CURRENT} is damaged ({problem}): stageline models promote {name}@VERSION"
            ) from None

    def card(self, name: str, version: str) -> Card:
        """Read a version's card.

        Raises:
            ModelError: there is no such version, or its card is refused.
        """
        try:
            data = self._store.get(f"{name}/{version}/{CARD}", MAX_CARD_BYTES)
        except TooLarge as error:
            raise ModelError(f"the card of {name}@{version} is refused: {error}") from None
        except NotFound:
            raise ModelError(f"{name}@{version} is not published: {name}/{version}/{CARD} is not there") from None
        return read_card(data, name, version)

    def load(self, name: str, version: str) -> ModelFiles:
        """Read a version's card and networks.

        Raises:
            ModelError: there is no such version, its card is refused, or a file is missing or of another sha256.
        """
        card = self.card(name, version)
        return ModelFiles(card, {file: self._verified(card, file) for file in card.files})

    def publish(self, model: ModelFiles) -> None:
        """Store a version, the card last; publishing the same version again changes nothing.

        Raises:
            ModelError: another model has that version.
        """
        card, folder = model.card, f"{model.card.name}/{model.card.version}"
        self._store.check()
        try:
            published = self.card(card.name, card.version)
        except ModelError:  # missing, or damaged and about to be repaired
            published = None
        if published is not None and published != card:
            which = "another network" if published.files != card.files else "with another card"
            raise ModelError(f"{card.reference} is published already, {which}: give yours a new version")
        for file, data in model.files.items():
            self._store.put(StoredObject(f"{folder}/{file}", data, "application/octet-stream"))
        if published is None:
            self._store.put(StoredObject(f"{folder}/{CARD}", written(card), "application/json"))

    def promote(self, name: str, version: str) -> Pointer:
        """Serve a version, which the caller has verified. Workers notice it within ten seconds."""
        before = self._pointer_or_none(name)
        if before is None:
            return self._point(name, version, None)
        return self._point(name, version, before.previous if before.version == version else before.version)

    def rollback(self, name: str) -> Pointer:
        """Serve the version before again.

        Raises:
            ModelError: there is no version before.
        """
        before = self.pointer(name)
        if before is None or before.previous is None:
            raise ModelError(f"{name} has no version before: stageline models promote {name}@VERSION names any other")
        return self._point(name, before.previous, before.version)

    def _point(self, name: str, version: str, previous: str | None) -> Pointer:
        pointer = Pointer(version=version, previous=previous, promoted_at=clock.now().isoformat(timespec="seconds"))
        data = pointer.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        self._store.put(StoredObject(f"{name}/{CURRENT}", data, "application/json"))
        return pointer

    def _pointer_or_none(self, name: str) -> Pointer | None:
        """Return the pointer; None if it is missing or damaged: promoting repairs it."""
        try:
            return self.pointer(name)
        except ModelError:
            return None

    def _verified(self, card: Card, file: str) -> bytes:
        key = f"{card.name}/{card.version}/{file}"
        try:
            data = self._store.get(key, MAX_NETWORK_BYTES)
        except NotFound:
            raise ModelError(f"{card.reference} is not whole: {key} is not there") from None
        except TooLarge as error:
            raise ModelError(f"{card.reference} is refused: {error}") from None
        found = sha256(data).hexdigest()
        if found != card.files[file]:
            raise ModelError(f"{key} is not the file of its card: sha256 {found[:12]}…, not {card.files[file][:12]}…")
        return data


def open_repository(settings: Settings) -> Repository:
    """Return the repository of the settings; see `open_models_store`."""
    return Repository(open_models_store(settings))


def split_reference(reference: str) -> tuple[str, str | None]:
    """Split ``name@version``, or ``name`` alone."""
    name, _, version = reference.partition("@")
    return name, version or None
