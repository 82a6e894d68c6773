"""What scales what, and what the overlays change: one thing at a time, and only what is there."""

from pathlib import Path

import pytest

from stageline import __version__
from tests.support.manifests import K8S, OURS, Document, Workload, base, render, workloads
from tests.support.places import REPOSITORY

OVERLAYS = REPOSITORY / "overlays"
ON_GPU = ("detect", "classify")


def images(found: list[Workload]) -> set[str]:
    return {box["image"] for each in found for box in each.containers}


@pytest.mark.parametrize("registry", ["registry.example.com/team", "localhost:5000"])
def test_overlays_can_be_stacked(tmp_path: Path, registry: str) -> None:
    """An overlay of one's own, anywhere beside the repository, names a registry for the GPU's images too."""
    link = Path(*[".."] * len(tmp_path.resolve().parents)) / OVERLAYS.resolve().relative_to("/") / "gpu"
    rows = [f"{{name: docker.io/stageline/{name}, newName: {registry}/stageline-{name}}}" for name in OURS]
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{link}]\nimages: [{', '.join(rows)}]\n")
    found = {image for image in images(workloads(render(tmp_path))) if registry in image}
    tags = {name: f"{__version__}-gpu" if name in ON_GPU else __version__ for name in OURS}
    assert found == {f"{registry}/stageline-{name}:{tag}" for name, tag in tags.items()}


def test_the_images_overlay_renames_ours_and_nothing_else() -> None:
    """All seven services come from the one registry that it names, under the tag that the manifests have."""
    before, after = images(base()), images(workloads(render(OVERLAYS / "images")))
    ours = {image for image in before if "/stageline/" in image}
    registry = "registry.example.com/team/stageline-"
    assert after == {*(before - ours), *(f"{registry}{name}:{__version__}" for name in OURS)}
    assert len(ours) == len(OURS)


def test_the_gpu_overlay_changes_two_deployments_and_nothing_else() -> None:
    """detect and classify get a GPU, the image and the device for it, and are replaced without a second one."""
    before = {identity(each): each for each in render(K8S)}
    after = {identity(each): each for each in render(OVERLAYS / "gpu")}
    assert set(before) == set(after)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {("Deployment", name) for name in ON_GPU}
    for workload in workloads([after["Deployment", name] for name in ON_GPU]):
        (box,) = workload.pod["containers"]
        was = before["Deployment", workload.name]["spec"]["template"]["spec"]["containers"][0]
        assert box["image"] == f"{was['image']}-gpu"
        assert box["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert {"name": "DEVICE", "value": "cuda"} in box["env"]
        assert box["securityContext"] == was["securityContext"]
        assert workload.document["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
        assert workload.pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
        assert [each["key"] for each in workload.pod["tolerations"]] == ["nvidia.com/gpu"]


def identity(document: Document) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]
