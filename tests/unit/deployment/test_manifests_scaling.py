"""What scales what, and what the overlays change: one thing at a time, and only what is there."""

from urllib.parse import urlsplit

from stageline.core.settings import Settings
from tests.support.manifests import K8S, STAGES, Document, base, documents, files, named, quantity, read


def targets(folder: str) -> dict[str, Document]:
    """What each file of a folder scales."""
    found = {}
    for path in files():
        if path.parent == K8S / folder:
            (document,) = read(path)
            assert document["spec"]["scaleTargetRef"]["name"] == document["metadata"]["name"] == path.stem
            found[path.stem] = document["spec"]
    return found


def test_each_stage_can_be_scaled_either_way() -> None:
    """By KEDA, or by CPU; the API by CPU alone, for something must return what dead workers held."""
    assert set(targets("autoscaling-keda")) == set(STAGES)
    assert set(targets("autoscaling-hpa")) == {*STAGES, "grab"}


def test_what_is_scaled_says_no_replicas() -> None:
    """A number in the manifest would undo the autoscaler's at every apply; one that is not scaled has its own."""
    scaled = {*targets("autoscaling-keda"), *targets("autoscaling-hpa")}
    for workload in base():
        assert ("replicas" in workload.document["spec"]) == (workload.name not in scaled), workload.name
        assert workload.kind == "Deployment" or workload.name not in scaled


def test_keda_asks_the_api_for_what_a_stage_has_before_it() -> None:
    """Each by its own list, from nothing; the target is more than a worker holds, or one would hold what two should."""
    service = named("Service", "grab")
    for name, spec in targets("autoscaling-keda").items():
        (trigger,) = spec["triggers"]
        asked = trigger["metadata"]
        url = urlsplit(asked["url"])
        assert (url.hostname, url.path) == ("grab.stageline", "/queue-status")
        assert url.port in {port["port"] for port in service["spec"]["ports"]}
        assert (trigger["type"], asked["format"]) == ("metrics-api", "json")
        assert asked["valueLocation"] == f"stages.{name}.pending"
        assert int(asked["targetValue"]) > Settings.model_fields["prefetch"].default
        assert spec["minReplicaCount"] == 0
        assert spec["maxReplicaCount"] > 1
        assert spec["cooldownPeriod"] > spec["pollingInterval"]


def test_the_hpa_follows_cpu_and_goes_down_slowly() -> None:
    """Its target is a part of a core, above what a pod requests; it never takes the last pod; the API keeps three."""
    for name, spec in targets("autoscaling-hpa").items():
        (metric,) = spec["metrics"]
        (workload,) = [each for each in base() if each.name == name]
        requested = quantity(workload.pod["containers"][0]["resources"]["requests"]["cpu"])
        assert requested < quantity(metric["resource"]["target"]["averageValue"]) < 1
        assert (spec["minReplicas"], spec["maxReplicas"] >= 4) == (3 if name == "grab" else 1, True)
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 60
    assert targets("autoscaling-hpa")["grab"]["maxReplicas"] == 10


def test_both_ways_have_the_same_most() -> None:
    """A change from one to the other keeps the number of pods."""
    by_keda = {name: spec["maxReplicaCount"] for name, spec in targets("autoscaling-keda").items()}
    by_cpu = {name: spec["maxReplicas"] for name, spec in targets("autoscaling-hpa").items() if name in STAGES}
    assert by_keda == by_cpu


def test_no_autoscaler_stands_among_the_base() -> None:
    """Applying k8s/ alone brings none: which one is a choice."""
    kinds = {document["kind"] for path in K8S.glob("*.yaml") for document in read(path)}
    assert not kinds & {
        each["kind"] for folder in ("autoscaling-keda", "autoscaling-hpa") for each in documents(under=K8S / folder)
    }
