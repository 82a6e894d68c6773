"""Every manifest is what each Kubernetes since 1.29 takes, and together they are one line; no cluster is needed."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from kubernetes_validate import utils as schemas

from tests.support.manifest_cases import identity, validate
from tests.support.manifests import K8S, OURS, OVERLAYS, SERVERS, read, render, short


@pytest.fixture(scope="module", autouse=True)
def _schemas_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "schema_contents", lru_cache(maxsize=None)(schemas.schema_contents))
        yield


@pytest.mark.parametrize("overlay", [K8S, *OVERLAYS], ids=short)
def test_every_overlay_is_valid(overlay: Path) -> None:
    """What Kustomize makes of the base and of each overlay is valid, too."""
    found = render(overlay)
    assert len(found) >= len([document for path in K8S.glob("*.yaml") for document in read(path)])
    for document in found:
        validate(document)


def test_the_base_is_one_line() -> None:
    """A file for the namespace, each server, the API, each stage and the catalogue; Kustomize has them all."""
    expected = {f"{name}.yaml" for name in ("namespace", *SERVERS, *OURS)}
    assert {path.name for path in K8S.glob("*.yaml")} == expected
    (kustomization,) = read(K8S / "Kustomization")
    assert set(kustomization["resources"]) == expected
    written = [document for path in K8S.glob("*.yaml") for document in read(path)]
    assert {identity(document): document for document in render(K8S)} == {identity(each): each for each in written}
