"""The manifests of k8s/ and overlays/, read as a cluster would read them: for the tests that look them over."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from stageline.pipeline.line import LINE
from tests.support.places import REPOSITORY, missing

K8S = REPOSITORY / "k8s"
OVERLAYS = sorted(path.parent for path in (REPOSITORY / "overlays").glob("*/kustomization.yaml"))
STAGES = [stage.name for stage in LINE]
OURS = ["grab", *STAGES, "catalogue"]
ON_GPU = [stage.name for stage in LINE if (REPOSITORY / stage.package / "requirements-gpu.in").is_file()]
SERVERS = ["redis", "minio", "postgres", "cache"]
NAME = "app.kubernetes.io/name"
KUSTOMIZE_SECONDS = 60
OLDEST_KUBECTL = (1, 27)  # as in scripts/cluster.sh

Document = dict[str, Any]


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Make a mapping, each key once."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str) -> list[Document]:
    """Every document of a text."""
    return [document for document in yaml.load_all(text, Loader=StrictLoader) if document]


@lru_cache
def read(path: Path) -> list[Document]:
    """Every document of a file."""
    return parse(path.read_text())


def files() -> list[Path]:
    """Every manifest that `kubectl apply -f` takes: the base's, and those of the folders beside it."""
    return sorted(K8S.rglob("*.yaml"))


def short(path: Path) -> str:
    """A file's name, as a test's id."""
    return str(path.relative_to(REPOSITORY))


def documents(kind: str | None = None, under: Path = K8S) -> Iterator[Document]:
    """Every document of all files (or of one folder's), of one kind or all."""
    for path in files():
        if path.is_relative_to(under):
            yield from (document for document in read(path) if kind in (None, document["kind"]))


def named(kind: str, name: str) -> Document:
    """The one object of that kind and name."""
    (found,) = [document for document in documents(kind) if document["metadata"]["name"] == name]
    return found


@dataclass(frozen=True)
class Workload:
    """What runs pods: its document, its pods' labels and what is in them."""

    document: Document
    labels: dict[str, str]
    pod: Document

    @property
    def name(self) -> str:
        """Its name, which is also its pods' label."""
        return str(self.document["metadata"]["name"])

    @property
    def kind(self) -> str:
        """What kind of workload it is."""
        return str(self.document["kind"])

    @property
    def containers(self) -> list[Document]:
        """All of its pods, those that only start it among them."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]


def workload(document: Document) -> Workload:
    """A Deployment, a StatefulSet, a Job or a CronJob."""
    spec = document["spec"]
    template = spec["jobTemplate"]["spec"]["template"] if document["kind"] == "CronJob" else spec["template"]
    return Workload(document, template["metadata"]["labels"], template["spec"])


def workloads(found: list[Document] | None = None) -> list[Workload]:
    """Every workload of all files, or of those documents."""
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
    there = list(documents()) if found is None else found
    return [workload(document) for document in there if document["kind"] in kinds]


def base() -> list[Workload]:
    """The workloads of the base: what one line is made of."""
    return workloads([document for path in sorted(K8S.glob("*.yaml")) for document in read(path)])


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes fits these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_fits(each, labels) for each in selector.get("matchExpressions", []))


def _fits(expression: Document, labels: dict[str, str]) -> bool:
    there = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return there in expression["values"]
        case "NotIn":
            return there not in expression["values"]
        case "Exists":
            return there is not None
        case _:
            return there is None


@lru_cache
def render(overlay: Path) -> list[Document]:
    """What Kustomize makes of an overlay."""
    done = subprocess.run(
        [*_kustomize(), str(overlay)], capture_output=True, text=True, timeout=KUSTOMIZE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def _kustomize() -> list[str]:
    """Kustomize, or the one in a kubectl that is new enough: before, it takes no `patches` with a target."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        said = subprocess.run(
            ["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=60, check=False
        )
        numbers = re.search(r'"gitVersion": *"v(\d+)\.(\d+)', said.stdout)
        if numbers and tuple(map(int, numbers.groups())) >= OLDEST_KUBECTL:
            return ["kubectl", "kustomize"]
    return missing("neither kustomize nor a kubectl of 1.27 or newer on the PATH: `make servers` installs kustomize")


def quantity(value: str | float) -> float:
    """A quantity of Kubernetes as a number: 250m, 64Mi."""
    units = {"m": 1e-3, "k": 1e3, "Ki": 2**10, "M": 1e6, "Mi": 2**20, "G": 1e9, "Gi": 2**30, "Ti": 2**40}
    text = str(value)
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * units[unit]
    return float(text)
