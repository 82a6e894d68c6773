"""A loader of models that refuses the versions that a test names."""

from stageline.core.settings import Settings
from stageline.registry.card import ModelFiles


class Moody:
    """A loader that refuses the given versions, as for a network of the wrong shape."""

    def __init__(self, **moods: Exception) -> None:
        self.moods = moods
        self.loads: list[str] = []

    def __call__(self, model: ModelFiles, _: Settings) -> str:
        """Load, or refuse."""
        self.loads.append(model.card.version)
        if "v" + model.card.version in self.moods:
            raise self.moods["v" + model.card.version]
        return f"loaded {model.card.version}"
