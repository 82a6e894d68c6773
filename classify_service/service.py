"""The wiring of the classify stage: a stage of its own, which passes pictures through until its models come."""

from collections.abc import Mapping

from stageline.message import Message
from stageline.settings import Settings
from stageline.stage import OneByOne, Outcome, Task


class Classify(OneByOne):
    """Adds nothing yet."""

    def inputs(self, message: Message) -> Mapping[str, str]:  # noqa: ARG002 - it needs nothing yet
        """Ask for nothing."""
        return {}

    def run_one(self, task: Task) -> Outcome:  # noqa: ARG002 - it needs nothing yet
        """Pass the picture on as it is."""
        return Outcome()


def create(settings: Settings) -> Classify:  # noqa: ARG001 - every stage is made alike
    """Make the stage's work."""
    return Classify()
