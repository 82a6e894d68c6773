"""Served models: a thread looks for new versions while the stage works, and swaps them between two batches."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from stageline.core import logs, metrics
from stageline.core.errors import ModelError, Unavailable
from stageline.core.retrying import SERVER_AWAY, Attempts, refused_model
from stageline.core.settings import Settings
from stageline.registry import validation
from stageline.registry.card import Card, ModelFiles
from stageline.registry.install import how_to_get, install, is_for_a_worker
from stageline.registry.missing_models import missing
from stageline.registry.repository import Pointer, Repository, open_repository

T = TypeVar("T")
LOOK_SECONDS = 5.0  # so that a new version is served within ten seconds, loading included
FIRST_FETCH_SECONDS = 20.0  # then the stage starts without models that are still being fetched


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A loaded model, warmed up."""

    card: Card
    value: T


class Served(Generic[T]):
    """A model that a stage uses, by name."""

    def __init__(
        self, name: str, load: Callable[[ModelFiles, Settings], T], settings: Settings, *, optional: bool = False,
        essential: bool = True,
    ) -> None:  # fmt: skip
        """Serve the model of that name once it is found.

        Args:
            name: of the model, in the model store.
            load: opens the networks, checks them against the card, and runs once to warm up.
            settings: passed to `load`.
            optional: the model is not reported as missing if it was not installed.
            essential: the stage is degraded without it; otherwise only its findings are missing.
        """
        self.name, self.optional, self.essential = name, optional, essential
        self.refused: str | None = None
        self.quiet = False
        """Whether refusals are not logged: the caller reports them."""
        self._load, self._settings = load, settings
        self._now: Loaded[T] | None = None
        self._tried: Pointer | None = None
        self._attempts = Attempts(refused_model(LOOK_SECONDS))

    def now(self) -> Loaded[T] | None:
        """Return the served model; None if none was ever loaded. Call it once for each batch."""
        return self._now

    def swap(self, loaded: Loaded[T]) -> None:
        """Serve another model from the next batch on."""
        self._now = loaded

    def update(self, repository: Repository) -> None:
        """Load the current version unless it is served already; a version that fails is refused, with a reason.

        Raises:
            Unavailable: the store is away.
        """
        try:
            pointer = repository.pointer(self.name)
        except ModelError as error:
            self._refuse(str(error))
            return
        if pointer is None:
            self.refused = f"{self.name} has no current version any more" if self._now else None
        elif self._now is not None and self._now.card.version == pointer.version:
            self.refused = self._tried = None
        elif self._is_due(pointer):
            self._load_current(repository, pointer)

    def _is_due(self, pointer: Pointer) -> bool:
        """Return whether to try a version: a new one at once, a refused one after its back-off."""
        if pointer != self._tried:
            self._tried, self._attempts = pointer, Attempts(refused_model(LOOK_SECONDS))
        return self._attempts.is_due()

    def _load_current(self, repository: Repository, pointer: Pointer) -> None:
        try:
            self._load_version(repository, pointer.version)
            self.refused = None
        except ModelError as error:
            self._attempts.fail()
            reason = str(error)
            if self._now is None and pointer.previous is not None:
                reason += self._fall_back(repository, pointer.previous)
            self._refuse(reason)

    def _fall_back(self, repository: Repository, version: str) -> str:
        """Serve the version before; if that fails too, return the text to append to the reason."""
        try:
            self._load_version(repository, version)
        except ModelError as error:
            return f"; and before it: {error}"
        return ""

    def _load_version(self, repository: Repository, version: str) -> None:
        model = repository.load(self.name, version)
        began = time.monotonic()
        self.swap(Loaded(model.card, validation.load_by(self._load, model, self._settings)))
        seconds = round(time.monotonic() - began, 2)
        logs.get().info("model served", model=model.card.reference, sha256=model.card.sha256, seconds=seconds)

    def _refuse(self, reason: str) -> None:
        if self.refused != reason and not self.quiet:
            serving = self._now.card.reference if self._now else None
            logs.get().error("model refused", model=self.name, reason=reason, still_serving=serving)
        self.refused = reason


class ModelWatch(threading.Thread):
    """Watches a stage's models: fetches missing ones, and loads newly published versions."""

    def __init__(self, served: Sequence[Served[Any]], settings: Settings, stage: str) -> None:
        super().__init__(name="models", daemon=True)
        self.served = served
        self.away: str | None = None
        """Why the model store cannot be reached; None if it can."""
        self._settings, self._stage = settings, stage
        self._repository = open_repository(settings)
        self._stopping = threading.Event()
        self._updated, self._settled = threading.Event(), threading.Event()
        self._fetch_ended, self._wake = threading.Event(), threading.Event()

    def wait_for_models(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until the store was read once, and up to FIRST_FETCH_SECONDS for models being fetched."""
        while not self._updated.wait(0.1):
            if given_up():
                return
        deadline = time.monotonic() + FIRST_FETCH_SECONDS
        while not self._settled.wait(0.1) and time.monotonic() < deadline and not given_up():
            pass

    def check(self) -> None:
        """Check that the stage can begin.

        Raises:
            Unavailable: the store was not read yet, so the available models are not known.
        """
        if not self._updated.is_set():
            raise Unavailable(self.away or "the model store is being looked into")

    def run(self) -> None:
        """Load models, fetch missing ones, and check for new versions until stopped."""
        if not self.served:
            self._updated.set()
            self._settled.set()
            return
        try:
            SERVER_AWAY.call(self._first_update, self._stopping)
        except Unavailable:
            return  # stopped before the store was reached
        self._updated.set()
        threading.Thread(target=self._fetch, name="fetch", daemon=True).start()
        while not self._stopping.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            ended = self._fetch_ended.is_set()
            self._try_update_all()
            if ended:
                self._settled.set()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._wake.set()

    def _first_update(self) -> None:
        try:
            self._update_all()
        except Unavailable:
            self._repository.check()  # creates a missing bucket
            self._update_all()

    def _try_update_all(self) -> None:
        with contextlib.suppress(Unavailable):
            self._update_all()

    def _update_all(self) -> None:
        """Check each model's version; a model that cannot be read delays no other.

        Raises:
            Unavailable: no model could be read.
        """
        reasons = []
        for served in self.served:
            try:
                served.update(self._repository)
            except Unavailable as error:
                reasons.append(error)
        self._set_metrics()
        if reasons and self.away is None:
            logs.get().warning("model store away", reason=str(reasons[0]), serving="what is loaded")
        self.away = f"the model store: {reasons[0]}" if reasons else None
        if len(reasons) == len(self.served):
            raise reasons[0]

    def _set_metrics(self) -> None:
        metrics.MISSING_MODELS.labels(self._stage).set(len(missing(self.served)))
        metrics.REFUSED_MODELS.labels(self._stage).set(sum(model.refused is not None for model in self.served))
        metrics.set_served_models(self._stage, {now.card.reference for model in self.served if (now := model.now())})

    def _fetch(self) -> None:
        """Install the missing models that need only a download; once, since a network rarely appears later."""
        quiet = {model.name for model in self.served if model.quiet}
        for name in missing(self.served):
            reason = "not published"
            if is_for_a_worker(name):
                try:
                    SERVER_AWAY.call(partial(install, name, self._repository, self._settings), self._stopping)
                    continue
                except (ModelError, Unavailable) as error:
                    reason = str(error)
            if name not in quiet:
                logs.get().warning("model missing", model=name, reason=reason, how_to_get_it=how_to_get(name))
        self._fetch_ended.set()
        self._wake.set()


def load_once(served: Sequence[Served[Any]], settings: Settings, stage: str) -> ModelWatch:
    """Load the models of a short-lived chain, fetching missing ones, without watching for new versions."""
    watch = ModelWatch(served, settings, stage)
    watch.start()
    watch.wait_for_models(lambda: watch.away is not None)
    watch.stop()
    return watch
