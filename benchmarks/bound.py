"""Measures the bound: the cost of every stage's functions in one process, without queue and store."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.pipeline.first_message import take_in
from stageline.pipeline.stage import Task
from stageline.registry.serving import load_once


class BareLine:
    """The work of stageline.local.monolith, with the CPU time of each step."""

    def __init__(self, settings: Settings) -> None:
        self._most_pixels = settings.max_image_pixels
        self._works = {stage.name: stage.load(settings) for stage in line.LINE}
        load_once([model for work in self._works.values() for model in work.models], settings, "bound")

    def lap(self, pictures: Sequence[Path]) -> dict[str, float]:
        """Send pictures through, one after the other; return the total CPU seconds of each stage."""
        cpu: Counter[str] = Counter()
        for path in pictures:
            cpu.update(self._one(path))
        return dict(cpu)

    def _one(self, path: Path) -> Mapping[str, float]:
        data = path.read_bytes()
        cpu, before = {}, time.process_time()
        message, original = take_in(data, path.name, "", self._most_pixels)
        cpu["grab"] = time.process_time() - before
        made = {original.key: original.data}
        for name, work in self._works.items():
            task = Task(message, {what: made[key] for what, key in work.inputs(message).items()})
            before = time.process_time()
            (output,) = work.run([task])
            cpu[name] = time.process_time() - before
            made |= {stored.key: stored.data for stored in output.objects}
            message = message.successor(name, {}, output.fields)
        return cpu
