"""Every manifest is what each Kubernetes since 1.29 takes, and together they are one line; no cluster is needed."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils as schemas

from stageline import __version__
from stageline.core.settings import Settings
from tests.support import manifests
from tests.support.manifest_cases import OLDEST, VERSIONS, identity, validate
from tests.support.manifests import K8S, OURS, documents, files, named, read, short
from tests.support.places import REPOSITORY

CUSTOM = {"keda.sh/v1alpha1": "autoscaling-keda", "security.istio.io/v1": "istio"}  # their schemas are in the cluster


@pytest.fixture(scope="module", autouse=True)
def _schemas_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "schema_contents", lru_cache(maxsize=None)(schemas.schema_contents))
        yield


@pytest.mark.parametrize("path", files(), ids=short)
def test_every_manifest_is_valid(path: Path) -> None:
    """Each file's objects are valid from 1.29 to the newest; KEDA's and Istio's own kinds alone are not looked at."""
    assert read(path), "the file has no object"
    for document in read(path):
        if CUSTOM.get(document["apiVersion"]) != path.parent.name:
            validate(document)


def test_the_schemas_refuse_what_is_wrong() -> None:
    """An unknown field, a wrong type and a kind that no version knows are each refused."""
    good = named("Deployment", "grab")
    wrong = yaml.safe_dump(good).replace("readinessProbe:", "readinesProbe:")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(yaml.safe_load(wrong))
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({**good, "spec": {**good["spec"], "selector": "grab"}})
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        validate({**good, "apiVersion": "apps/v1beta1"})
    assert VERSIONS[-1] >= (1, 34)
    assert OLDEST in VERSIONS


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="stands twice"):
        manifests.parse("spec: {replicas: 1, replicas: 2}")


def test_kubectl_apply_finds_only_objects() -> None:
    """No kustomization below k8s/ is one that `kubectl apply -f` takes for a manifest; no file is passed over."""
    assert [path for path in K8S.rglob("*") if path.is_file() and path.suffix not in (".yaml", "")] == []
    bare = [path for path in K8S.rglob("*") if path.is_file() and not path.suffix]
    assert sorted(bare) == [K8S / "Kustomization", K8S / "backup" / "Kustomization"]
    for document in documents():
        assert {"apiVersion", "kind", "metadata"} <= set(document)
        assert "kustomize" not in document["apiVersion"]


def test_nothing_is_written_twice() -> None:
    """No object stands in two files: whichever was applied last would win."""
    assert [each for each, count in Counter(map(identity, documents())).items() if count > 1] == []


def test_everything_is_in_one_namespace() -> None:
    """Each object says its namespace, is labelled as a part of Stageline, and the namespace enforces `restricted`."""
    for document in documents():
        metadata = document["metadata"]
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "stageline", metadata["name"]
        assert document["kind"] == "Namespace" or metadata["namespace"] == "stageline", metadata["name"]
    assert named("Namespace", "stageline")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_secret_is_committed() -> None:
    """Not one Secret with a value, in plain or encoded."""
    assert [
        each["metadata"]["name"] for each in documents("Secret") if each.get("data") or each.get("stringData")
    ] == []


def test_every_key_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ConfigMap and our containers set nothing that is not read, and every value is one that the settings take."""
    data = named("ConfigMap", "stageline")["data"]
    ours = [box for workload in manifests.workloads() for box in workload.containers if "/stageline/" in box["image"]]
    assert ours
    given = {variable["name"]: variable.get("value", "") for box in ours for variable in box.get("env", [])}
    unknown = {name for name in {**data, **given} if name.lower() not in Settings.model_fields}
    assert unknown <= {"HOME"}
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    assert str(Settings().redis_url).startswith("redis://redis:")


def test_images_are_pinned() -> None:
    """Each image has a registry and a tag that stays; ours are of this very version."""
    images = {box["image"] for workload in manifests.workloads() for box in workload.containers}
    for image in images:
        name, _, tag = image.rpartition(":")
        assert name.count("/") >= 2, f"{image} names no registry"
        assert any(letter.isdigit() for letter in tag), f"{image} is not pinned"
        if "/stageline/" in name:
            assert tag == __version__, f"{image}: this is version {__version__}"
    assert {f"docker.io/stageline/{name}:{__version__}" for name in OURS} <= images


def test_no_file_is_long() -> None:
    """A manifest is read from top to bottom; one of more than 250 lines is two things."""
    for path in [*files(), *(REPOSITORY / "overlays").rglob("*.yaml")]:
        rows = path.read_text().splitlines()
        assert len(rows) <= 250, path
        assert max(map(len, rows)) <= 140, path
