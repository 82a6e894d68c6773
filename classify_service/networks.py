"""Runs crops through a network in batches."""

from collections.abc import Callable, Sequence

import numpy as np

from classify_service import preprocessing
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.imaging.codec import Pixels
from stageline.inference import FloatArray, Options, model_input, open_network
from stageline.registry.card import NETWORK, ModelFiles

BATCH_SIZE = 16  # crops in one call: more are no faster on a CPU, and each costs the memory of its layers


class CropNetwork:
    """A network that outputs a row of numbers per crop, with its card's input; stateless between calls."""

    def __init__(self, model: ModelFiles, task: str, outputs: int, settings: Settings) -> None:
        """Open the network, and check it against its card by running it.

        Raises:
            ModelError: the model is for another task, its input differs from the card, or its outputs are not
                [crops, outputs].
        """
        model.must_be_for(task)
        card = self.card = model.card
        self.size = preprocessing.input_size(card)
        name = f"{card.reference}/{NETWORK}"
        self._network = open_network(model.network, name, Options.of(settings), card.cpu_runtime)
        self._most = BATCH_SIZE if isinstance(card.input.shape[0], str) else 1
        self._outputs = outputs
        self._try()

    def _try(self) -> None:
        """Run black, white and noise, alone and together: a network that fails on crops should fail here."""
        noise = np.random.default_rng(0).integers(0, 256, (*self.size, 3), np.uint8)
        crops = [np.zeros_like(noise), np.full_like(noise, 255), noise]
        for some in (crops[:1], crops, (crops * BATCH_SIZE)[: self._most]):
            self.run(some)

    def fitted(self, bgr: Pixels) -> Pixels:
        """Return a crop, BGR uint8 of any size, at the size of the input, [height, width, 3]."""
        return preprocessing.fitted(bgr, self.size, self.card.preprocessing)

    def useful_scale(self, width: int, height: int) -> float:
        """Return the scale to which a crop of that size may be shrunk beforehand and still fill the input."""
        return preprocessing.useful_scale(width, height, self.size, self.card.preprocessing)

    def run(self, crops: Sequence[Pixels]) -> FloatArray:
        """Compute float32 [n, outputs], all finite, for fitted crops, in as few calls as the network allows.

        Raises:
            ModelError: the network outputs something else.
        """
        batches = [crops[at : at + self._most] for at in range(0, len(crops), self._most)]
        return np.concatenate([np.empty((0, self._outputs), np.float32), *map(self._rows, batches)])

    def _rows(self, crops: Sequence[Pixels]) -> FloatArray:
        given = self._network.run(model_input.as_array(crops, self.card.input))
        wanted = (len(crops), self._outputs)
        if len(given) != 1 or given[0].shape != wanted:
            shapes = " and ".join(str(list(output.shape)) for output in given) or "nothing"
            wrong = f"gives {shapes} for {len(crops)} crops; by its card it is {list(wanted)}"
            raise ModelError(f"{self._network.name} {wrong}")
        if not np.isfinite(given[0]).all():
            raise ModelError(f"{self._network.name} gives numbers that are not finite")
        return np.asarray(given[0], np.float32)


class Gathered:
    """Collects crops of several pictures and runs BATCH_SIZE of them together, so that few are in memory."""

    def __init__(self, compute: Callable[[Sequence[Pixels]], FloatArray]) -> None:
        """Take the function that computes a row for each fitted crop."""
        self._compute = compute
        self._waiting: list[tuple[Pixels, Callable[[FloatArray], None]]] = []

    def add(self, crop: Pixels, keep: Callable[[FloatArray], None]) -> None:
        """Add a crop, and the function that receives its row."""
        self._waiting.append((crop, keep))
        if len(self._waiting) == BATCH_SIZE:
            self.finish()

    def finish(self) -> None:
        """Compute the waiting crops."""
        rows = self._compute([crop for crop, _ in self._waiting])
        for (_, keep), row in zip(self._waiting, rows, strict=True):
            keep(row)
        self._waiting = []
