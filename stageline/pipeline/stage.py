"""What a stage is made of: the work it does on one picture, and what comes of it. No queue, no bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stageline.pipeline.message import Message
from stageline.store.base import StoredObject

if TYPE_CHECKING:
    from stageline.registry.serving import Served


@dataclass(frozen=True)
class Task:
    """One picture's turn at a stage: the message, and the objects that the stage asked for, by its own names."""

    message: Message
    inputs: Mapping[str, bytes]


@dataclass(frozen=True)
class StageOutput:
    """What a stage made of a picture: objects to store, and message fields to add."""

    objects: Sequence[StoredObject] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """The wiring of one stage; the pure functions it calls live beside it."""

    batch_size: int
    models: Sequence["Served[Any]"]
    """What it serves; the service that runs it looks after them. The work goes on without those that are missing."""

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Name the objects that this stage needs: a name of its own → the object's key."""

    def run(self, tasks: Sequence[Task]) -> Sequence[StageOutput]:
        """Do the work on 1..batch_size pictures; one outcome per task, in order."""


class OneByOne:
    """A base for works that take one picture at a time: subclasses define ``inputs`` and ``run_one``."""

    batch_size = 1
    models: Sequence["Served[Any]"] = ()

    def run(self, tasks: Sequence[Task]) -> Sequence[StageOutput]:
        """Do the tasks one after the other."""
        return [self.run_one(task) for task in tasks]

    def run_one(self, task: Task) -> StageOutput:
        """Do one task."""
        raise NotImplementedError
