"""``stageline bench models``: every model on every runtime of a device, in turns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from stageline.bench import memory
from stageline.bench.cases import Case, cases
from stageline.bench.contenders import EAGER, Contender
from stageline.bench.rounds import interleaved, times_faster
from stageline.core.errors import ModelError
from stageline.imaging.codec import Pixels
from stageline.inference import Network
from stageline.registry.card import ModelFiles
from stageline.registry.repository import Repository, split_reference


@dataclass(frozen=True)
class BenchRow:
    """The figures of one network, on one runtime, with one batch size."""

    model: str
    device: str
    runtime: str
    precision: str
    batch: int
    milliseconds: float
    """Per picture; per crop, if the network takes crops."""
    pictures_per_second: float
    mebibytes: float | None
    times_torch: float | None
    """How many times faster than torch in eager mode; None if torch is not installed, or cannot run the network."""
    fastest: bool
    """Whether it is the fastest of the serving runtimes; torch in eager mode does not serve."""


@dataclass(frozen=True)
class How:
    """The parameters of a measurement."""

    batches: Sequence[int] = (1, 8, 16)
    rounds: int = 5
    seconds: float = 0.3
    """Each contender's turn in each round."""
    memory: bool = True
    """Whether memory is measured, which loads each network once more in a separate process."""


def chosen(repository: Repository, names: Sequence[str]) -> Iterator[ModelFiles]:
    """Load the named models, ``name`` or ``name@version``, from the store; all served models if none is named.

    Raises:
        ModelError: a model is missing or damaged.
        Unavailable: the store is away.
    """
    for reference in names or sorted(repository.versions()):
        name, version = split_reference(reference)
        if version is None:
            pointer = repository.pointer(name)
            if pointer is None and not names:
                continue  # published, but not served
            if pointer is None:
                raise ModelError(f"no version of {name} is served: stageline models fetch {name}, or name a version")
            version = pointer.version
        yield repository.load(name, version)


def measure(
    models: Iterable[ModelFiles],
    contenders: Sequence[Contender],
    pictures: Sequence[Pixels],
    how: How,
    note: Callable[[str], None],
) -> Iterator[BenchRow]:
    """Measure every network of the models; pass progress and errors to `note`.

    Raises:
        ModelError: a model is no network.
    """
    for model in models:
        for case in cases(model, pictures, how.batches):
            note(f"measuring {case.model}, batch {case.batch}")
            yield from measure_case(case, contenders, how, note)


def measure_case(
    case: Case, contenders: Sequence[Contender], how: How, note: Callable[[str], None]
) -> Iterator[BenchRow]:
    """Measure one network with one batch size; pass errors of contenders to `note`."""
    running: dict[str, tuple[Contender, Network]] = {}
    for contender in contenders:
        try:
            network = contender.open(case.onnx, case.model)
            network.run(*case.calls[0])
        except ModelError as error:
            note(f"{contender.runtime}: {error}")
            continue
        running[EAGER if contender.runtime == EAGER else network.where] = (contender, network)
    calls = {key: _through(case, network) for key, (_, network) in running.items()}
    times = interleaved(calls, how.rounds, how.seconds)
    serving = {key: median(seconds) for key, seconds in times.items() if key != EAGER}
    for key, (contender, network) in running.items():
        per_picture = median(times[key]) / case.pictures
        _, device, precision = network.where.split()
        yield BenchRow(
            model=case.model,
            device=device,
            runtime=contender.runtime,
            precision=precision,
            batch=case.batch,
            milliseconds=1000 * per_picture,
            pictures_per_second=1 / per_picture,
            mebibytes=memory.growth(contender, case) if how.memory else None,
            times_torch=times_faster(times[key], times[EAGER]) if EAGER in times else None,
            fastest=key == min(serving, key=lambda each: serving[each], default=None),
        )


def _through(case: Case, network: Network) -> Callable[[], object]:
    def run() -> None:
        for inputs in case.calls:
            network.run(*inputs)

    return run


def as_json(row: BenchRow) -> dict[str, Any]:
    """Return a row for JSON, its figures rounded to significant digits."""
    digits = {"milliseconds": 3, "pictures_per_second": 1, "mebibytes": 1, "times_torch": 2}
    return {
        name: round(value, digits[name]) if name in digits and value is not None else value
        for name, value in vars(row).items()
    }
