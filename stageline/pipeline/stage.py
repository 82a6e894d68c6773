"""The interface of a stage's work: its tasks and its output. It uses neither queue nor bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stageline.pipeline.message import Message
from stageline.store.base import StoredObject

if TYPE_CHECKING:
    from stageline.registry.serving import Served


@dataclass(frozen=True)
class Task:
    """One picture at a stage: the message, and the objects that the stage needs, by the stage's names for them."""

    message: Message
    inputs: Mapping[str, bytes]


@dataclass(frozen=True)
class StageOutput:
    """The output of a stage for one picture: objects to store, and message fields to add."""

    objects: Sequence[StoredObject] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """The work of one stage; it calls the pure functions of the stage's package."""

    batch_size: int
    models: Sequence["Served[Any]"]
    """The models that it uses. The service that runs it keeps them current; the work goes on without missing ones."""

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Return the objects that the stage needs: the stage's name for each → its key."""

    def run(self, tasks: Sequence[Task]) -> Sequence[StageOutput]:
        """Do the work on 1..batch_size pictures; return one output per task, in order."""


class OneByOne:
    """A base for work on one picture at a time: subclasses define ``inputs`` and ``run_one``."""

    batch_size = 1
    models: Sequence["Served[Any]"] = ()

    def run(self, tasks: Sequence[Task]) -> Sequence[StageOutput]:
        """Do the tasks in order."""
        return [self.run_one(task) for task in tasks]

    def run_one(self, task: Task) -> StageOutput:
        """Do one task."""
        raise NotImplementedError
