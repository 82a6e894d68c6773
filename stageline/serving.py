"""Models as they are served: looked for while the stage works, and changed between two batches."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stageline import logs, metrics
from stageline.errors import ModelError, Unavailable
from stageline.modelstore import Card, Model, Pointer, Repository, install, open_repository, trial
from stageline.modelstore.install import is_for_a_worker
from stageline.patience import patiently
from stageline.settings import Settings

T = TypeVar("T")
LOOK_SECONDS = 5.0  # a new version is noticed within ten seconds, loading included
LONGEST_PAUSE = 60.0  # between two tries of a version that was refused
HOW_TO_GET_THEM = "make models (or: stageline models fetch NAME)"
FIRST_FETCH_SECONDS = 20.0  # then the stage starts without what is still being fetched, and takes it up when it comes


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A model in memory, warmed up."""

    card: Card
    value: T


class Served(Generic[T]):
    """A model that a stage uses, by name."""

    def __init__(
        self, name: str, load: Callable[[Model, Settings], T], settings: Settings, *, optional: bool = False
    ) -> None:
        """Serve the model of that name, once one is found.

        Args:
            name: of the model, in the model store.
            load: opens its networks, checks that they are what the card says, and computes once to warm up.
            settings: what `load` is given.
            optional: nobody misses it where it was not installed.
        """
        self.name, self.optional = name, optional
        self.refused: str | None = None
        self._load, self._settings = load, settings
        self._now: Loaded[T] | None = None
        self._retry = _Retry()

    def now(self) -> Loaded[T] | None:
        """Return the model as it is served at this moment, or None: never installed. Take it once for a batch."""
        return self._now

    def swap(self, loaded: Loaded[T]) -> None:
        """Serve another from the next batch on."""
        self._now = loaded

    def look(self, repository: Repository) -> None:
        """Load what the store calls current, unless it is served already; what is no good is refused, with a reason.

        Raises:
            Unavailable: the store is away.
        """
        try:
            pointer = repository.pointer(self.name)
        except ModelError as error:
            self._refuse(error)
            return
        if pointer is None:
            self.refused = f"{self.name} has no current version any more" if self._now else None
        elif self._now is not None and self._now.card.version == pointer.version:
            self.refused = None
        elif self._retry.is_due(pointer.version):
            self._take_up(repository, pointer)

    def _take_up(self, repository: Repository, pointer: Pointer) -> None:
        try:
            self._load_version(repository, pointer.version)
            self.refused = None
        except ModelError as error:
            self._retry.later()
            self._refuse(error)
            if self._now is None and pointer.previous is not None:
                self._fall_back(repository, pointer.previous)

    def _fall_back(self, repository: Repository, version: str) -> None:
        try:
            self._load_version(repository, version)
        except ModelError as error:
            logs.get().error("model refused", model=self.name, reason=str(error))

    def _load_version(self, repository: Repository, version: str) -> None:
        model = repository.load(self.name, version)
        began = time.monotonic()
        value = trial.load_by(self._load, model, self._settings)
        self.swap(Loaded(model.card, value))
        seconds = round(time.monotonic() - began, 2)
        logs.get().info("model served", model=model.card.reference, sha256=model.card.sha256, seconds=seconds)

    def _refuse(self, error: ModelError) -> None:
        if self.refused != str(error):
            serving = self._now.card.reference if self._now else None
            logs.get().error("model refused", model=self.name, reason=str(error), still_serving=serving)
        self.refused = str(error)


class _Retry:
    """When to try a refused version again: it may be on its way, piece by piece. Each time a little later."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._at = self._pause = 0.0

    def is_due(self, version: str) -> bool:
        if version != self._version:
            self._version, self._at, self._pause = version, 0.0, LOOK_SECONDS / 2
        return time.monotonic() >= self._at

    def later(self) -> None:
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self._at = time.monotonic() + self._pause


class ModelWatch(threading.Thread):
    """Looks after a stage's models: fetches what was never installed, and takes up what is published meanwhile."""

    def __init__(self, served: Sequence[Served[Any]], settings: Settings, stage: str) -> None:
        super().__init__(name="models", daemon=True)
        self.served = served
        self.away: str | None = None
        """Why the model store cannot be reached, when it cannot."""
        self._settings, self._stage = settings, stage
        self._repository = open_repository(settings)
        self._stopping = threading.Event()
        self._looked, self._fetched = threading.Event(), threading.Event()

    def wait_for_models(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until the store was looked into, and a moment for what is being fetched."""
        while not self._looked.wait(0.1):
            if given_up():
                return
        deadline = time.monotonic() + FIRST_FETCH_SECONDS
        while not self._fetched.wait(0.1) and time.monotonic() < deadline and not given_up():
            pass

    def check(self) -> None:
        """Tell whether the stage can begin.

        Raises:
            Unavailable: the store could not be looked into yet: nobody knows which models there are.
        """
        if not self._looked.is_set():
            raise Unavailable(self.away or "the model store is being looked into")

    def run(self) -> None:
        """Look, fetch what is missing, and go on looking."""
        if not self.served:
            self._looked.set()
            self._fetched.set()
            return
        try:
            patiently(self._first_look, self._stopping.is_set)
        except Unavailable:
            return  # stopped before the store was ever there
        self._looked.set()
        self._fetch()
        self._fetched.set()
        while not self._stopping.wait(LOOK_SECONDS):
            self._look()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def _first_look(self) -> None:
        try:
            self._repository.check()
        except Unavailable as error:
            self.away = f"the model store: {error}"
            raise
        self._look_at_all()

    def _look(self) -> None:
        try:
            self._look_at_all()
        except Unavailable as error:
            if self.away is None:
                logs.get().warning("model store away", reason=str(error), serving="what is loaded")
            self.away = f"the model store: {error}"

    def _look_at_all(self) -> None:
        for served in self.served:
            served.look(self._repository)
        self.away = None
        self._tell_metrics()

    def _tell_metrics(self) -> None:
        metrics.MISSING_MODELS.labels(self._stage).set(len(missing(self.served)))
        metrics.REFUSED_MODELS.labels(self._stage).set(sum(model.refused is not None for model in self.served))
        metrics.SERVED_MODELS.clear()
        for now in (model.now() for model in self.served):
            if now is not None:
                metrics.SERVED_MODELS.labels(self._stage, now.card.reference).set(1)

    def _fetch(self) -> None:
        """Fetch what is missing and needs no more than a download; once: who has no network will not have it soon."""
        for name in missing(self.served):
            if is_for_a_worker(name):
                try:
                    install(name, self._repository, self._settings)
                except (ModelError, Unavailable) as error:
                    logs.get().warning("model missing", model=name, reason=str(error), how_to_get_it=HOW_TO_GET_THEM)
        self._look()


def missing(served: Iterable[Served[Any]]) -> list[str]:
    """Name the models that are not loaded and are not optional."""
    return [model.name for model in served if model.now() is None and not model.optional]
