"""The model card, ``model.json``: a model's name, input, labels and origin."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stageline.core.errors import ModelError
from stageline.core.settings import MODEL_NAME

CARD = "model.json"
NETWORK = "model.onnx"
MAX_CARD_BYTES = 1024 * 1024
MAX_NETWORK_BYTES = 1024 * 1024 * 1024

Name = Annotated[str, Field(pattern=MODEL_NAME)]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\.onnx$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0)]
Task = Literal["object-detection", "face-detection", "classification", "face-embedding"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Input(_Part):
    """The network's input: pixels scaled to `range` [lowest, highest], less `mean`, divided by `std`."""

    shape: tuple[Annotated[int, Field(ge=1, le=2048)] | Name, ...] = Field(min_length=4, max_length=4)
    """Sizes of the axes; a free axis has a name instead, such as ``batch``."""
    dtype: Literal["float32", "uint8"] = "float32"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["RGB", "BGR"] = "RGB"
    range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)

    @field_validator("range")
    @classmethod
    def _rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] >= value[1]:
            raise ValueError("the lowest value first, then the highest")
        return value


class Preprocessing(_Part):
    """How a picture is fitted to the input: stretched, letterboxed, or resized by its shorter side and cropped."""

    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    resize: Annotated[int, Field(ge=1, le=8192)] | None = None
    """With ``crop``: the length of the shorter side before cropping."""


class Accuracy(_Part):
    """A figure, and the command that reproduces it."""

    metric: str
    value: float
    data: str
    command: str


class Card(_Part):
    """A model card; see docs/adding-a-model.md."""

    name: Name
    version: Name
    task: Task
    title: str
    licence: str
    source: str
    training_data: str
    input: Input
    adapter: str = ""
    """How the outputs are decoded, if the task has several ways: a name in detect_service/adapters.py."""
    labels: tuple[str, ...] = ()
    detector_labels: Mapping[str, str] = {}
    """Of a classifier: the detector's labels that it is used for, each mapped to one of its own labels."""
    preprocessing: Preprocessing = Preprocessing()
    cpu_runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
    """The faster one on a CPU: docs/decisions/0005-two-runtimes.md."""
    files: Mapping[FileName, Sha256] = Field(min_length=1, max_length=8)
    sha256: Sha256
    """The hash of model.onnx; for a model of several networks, see `combined_sha256`."""
    source_sha256: Sha256 | None = None
    accuracy: tuple[Accuracy, ...] = ()
    notes: str = ""

    @model_validator(mode="after")
    def _agrees(self) -> "Card":
        if self.sha256 != combined_sha256(self.files):
            raise ValueError("sha256 is not that of the files listed")
        if self.task in ("object-detection", "classification") and not self.labels:
            raise ValueError(f"labels are needed for {self.task}")
        if self.detector_labels and self.task != "classification":
            raise ValueError(f"detector_labels are for classification, and this is for {self.task}")
        unknown = sorted(set(self.detector_labels.values()) - {label for label in self.labels if label})
        if unknown:
            raise ValueError(f"detector_labels map to {', '.join(map(repr, unknown))}, which labels does not list")
        return self

    @property
    def reference(self) -> str:
        """The name in findings: ``yolox-nano@0.1.1``."""
        return f"{self.name}@{self.version}"

    @property
    def stamp(self) -> dict[str, str]:
        """The fields of every finding that identify the model."""
        return {"model": self.reference, "model_sha256": self.sha256}


@dataclass(frozen=True)
class ModelFiles:
    """A model read from the store: its card and its networks, whose hashes match the card."""

    card: Card
    files: Mapping[str, bytes]

    @property
    def network(self) -> bytes:
        """The network of a model with one network.

        Raises:
            ModelError: the model has several networks.
        """
        try:
            return self.files[NETWORK]
        except KeyError:
            raise ModelError(f"{self.card.reference} has no {NETWORK}, but {', '.join(self.files)}") from None

    def must_be_for(self, task: str) -> None:
        """Check the model's task.

        Raises:
            ModelError: the model is for another task.
        """
        if self.card.task != task:
            raise ModelError(f"{self.card.reference} is for {self.card.task}, and {task} is asked for")


def read_card(data: bytes, name: str, version: str) -> Card:
    """Parse a card.

    Raises:
        ModelError: the data is no card, or the card of another model; the text names each invalid field.
    """
    where = f"the card of {name}@{version}"
    try:
        card = Card.model_validate_json(data)
    except ValidationError as error:
        raise ModelError(f"{where} is refused: {_problems(error)}") from None
    if (card.name, card.version) != (name, version):
        raise ModelError(f"{where} is that of {card.reference}")
    return card


def made_of(fields: Mapping[str, Any], files: Mapping[str, bytes]) -> ModelFiles:
    """Make a model of its networks, by file name, and the fields of its card; missing hashes are added.

    Raises:
        ModelError: the card does not validate, or states other hashes than those of the files.
    """
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    try:
        card = Card.model_validate_json(json.dumps({"files": hashes, "sha256": combined_sha256(hashes), **fields}))
    except (ValidationError, TypeError) as error:
        named = f"{fields.get('name')}@{fields.get('version')}"
        raise ModelError(f"the card of {named} is refused: {_problems(error)}") from None
    if card.files != hashes:
        raise ModelError(f"{card.reference}: the hashes in the card are not those of {', '.join(hashes)}")
    return ModelFiles(card, files)


def read_folder(folder: Path) -> ModelFiles:
    """Read a model from a folder with its card and its networks; the card may omit the hashes.

    Raises:
        ModelError: a file is missing, the card does not validate, or its hashes are not those of the files.
    """
    try:
        fields = json.loads((folder / CARD).read_bytes())
        networks = {path.name: path.read_bytes() for path in sorted(folder.glob("*.onnx")) if path.is_file()}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / CARD} cannot be read: {error}") from error
    if not isinstance(fields, dict) or not networks:
        lacking = "a JSON object in it" if networks else "an ONNX file beside it"
        raise ModelError(f"{folder / CARD} needs {lacking}: see docs/adding-a-model.md")
    return made_of(fields, networks)


def written(card: Card) -> bytes:
    """Return a card as stored JSON."""
    return json.dumps(card.model_dump(mode="json", exclude_none=True), indent=2, ensure_ascii=False).encode() + b"\n"


def combined_sha256(files: Mapping[str, str]) -> str:
    """Return the SHA-256 of a model: that of its file, or of several files' list as ``sha256sum`` prints it."""
    if list(files) == [NETWORK]:
        return files[NETWORK]
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def _problems(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'card'}: {problem['msg']}" for problem in problems[:5])
