"""The services of the line, each with the content of its folder's ``deployment.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stageline import __version__
from stageline.pipeline import line

DATA = "deployment.toml"
# The label of the API's pods keeps its first value: the selector of a Deployment cannot be changed.
API, STAGE, CATALOGUE = "door", "stage", "catalogue"
GRACE: Mapping[str, tuple[int, str]] = {  # seconds until Kubernetes kills a stopped pod, and the reason
    API: (60, "the pause below, SHUTDOWN_SECONDS, and the rest of an upload"),
    STAGE: (150, "longer than WORK_TIMEOUT and SHUTDOWN_SECONDS together"),
    CATALOGUE: (90, "longer than its longest statement, 60 s"),
}
PORTS = {API: (30005, "http")}
HEALTH_PORT = (8080, "health")
Mebibytes = Annotated[str, Field(pattern=r"^\d+Mi$")]


class GenerateError(Exception):
    """A file that the generator needs is missing or wrong; the text names the file and the remedy."""


class Deployed(BaseModel):
    """The content of ``deployment.toml``: the names are its keys, those without a default are required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    does: Annotated[str, Field(min_length=1)]
    """What the service does, as a sentence without its subject and its full stop: "shrinks pictures"."""
    cpu: Annotated[str, Field(pattern=r"^\d+m$")]
    """CPU requested on a cluster, in thousandths of a core, as "55m"."""
    memory: Mebibytes
    """Memory requested on a cluster, as "128Mi"."""
    memory_limit: Mebibytes
    """Memory at which the container is killed, as "1280Mi"."""
    max_replicas: Annotated[int, Field(ge=0)] = 0
    """Most pods under either autoscaler; 0: the service is not scaled."""
    pictures_per_pod: Annotated[int, Field(ge=0)] = 0
    """Of a stage: how many unfinished pictures KEDA gives one pod."""
    models: bool = False
    """Whether the image holds all of models/, and the pods may fetch models from the internet."""
    gpu: bool = False
    """Whether there is a variant on CUDA, of the folder's requirements-gpu.in."""
    debian_packages: tuple[str, ...] = ()
    """Packages of Debian that the image has beside Python's."""
    manifest_comment: str = ""
    """The first line of the manifest; by default ``does``, with a full stop."""

    @classmethod
    def read(cls, path: Path, component: str) -> "Deployed":
        """Read a service's ``deployment.toml``.

        Raises:
            GenerateError: it is missing, is not TOML, or has a key or value that is not allowed.
        """
        try:
            found = cls.model_validate(tomllib.loads(path.read_text()))
        except FileNotFoundError:
            raise GenerateError(f"{path} is missing: copy another service's, and change its values") from None
        except tomllib.TOMLDecodeError as error:
            raise GenerateError(f"{path} is not TOML: {error}") from None
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise GenerateError(f"{path}: {wrong}. Its keys are {', '.join(cls.model_fields)}") from None
        if component == STAGE and not (found.max_replicas and found.pictures_per_pod):
            raise GenerateError(f"{path} lacks max_replicas or pictures_per_pod, which a stage must have")
        return found


@dataclass(frozen=True)
class Service:
    """One service: a stage, the API or the catalogue."""

    package: str
    component: str
    deployed: Deployed

    @property
    def name(self) -> str:
        """Its name on a cluster, in compose and in the image's name."""
        return self.package.removesuffix("_service")

    @property
    def values(self) -> dict[str, Any]:
        """The values that templates use."""
        seconds, reason = GRACE[self.component]
        port, port_name = PORTS.get(self.component, HEALTH_PORT)
        return self.deployed.model_dump() | {
            "manifest_comment": self.deployed.manifest_comment or f"{self.deployed.does}.",
            "name": self.name,
            "package": self.package,
            "version": __version__,
            "component": self.component,
            "is_api": self.component == API,
            "replicas": 0 if self.deployed.max_replicas else 1,
            "min_replicas": 3 if self.component == API else 1,
            "grace_seconds": seconds,
            "grace_reason": reason,
            "port": port,
            "port_name": port_name,
            "compose_memory": self.deployed.memory_limit.replace("Mi", "m"),
        }


def read(root: Path) -> list[Service]:
    """Read every service of the repository at ``root``: the API, the stages in the line's order, the catalogue.

    Raises:
        GenerateError: a service's ``deployment.toml`` is missing or wrong.
    """
    stages = [(stage.package, STAGE) for stage in line.LINE]
    known = [(line.API_PACKAGE, API), *stages, (line.CATALOGUE_PACKAGE, CATALOGUE)]
    return [
        Service(package, component, Deployed.read(root / package / DATA, component)) for package, component in known
    ]
