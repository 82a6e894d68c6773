"""Pods come with work and go without it: by CPU with the HPA, by each stage's own list with KEDA, and nothing is lost.

The manifests are those of k8s/; what is changed in them here (how many, how soon) is so that a small node shows in
minutes what a large one does in hours.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stageline.broker.keys import delayed_key
from tests.kubernetes import deployed, scaled
from tests.kubernetes.deployed import STAGES
from tests.kubernetes.kubectl import kubectl, pods, wait_until
from tests.kubernetes.scaled import QUEUES, SOME_MINUTES, count, is_ready, pending, read, scaled_by
from tests.kubernetes.uploader import ask
from tests.kubernetes.watcher import Watcher

SENT = 300
SEVERAL = 2
MORE = 15  # beyond what one pod is to have
DELAYED_SECONDS = 60
HOLD = r"""
import os, signal, sys, time
from stageline.core import settings
from stageline.broker.redis_client import connect
queue, message = sys.argv[1:]
redis = connect(settings.load().redis_url)
def read(pid, name):
    try:
        return open(f"/proc/{pid}/{name}").read()
    except OSError:
        return ""
ours = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and "tag_service" in read(pid, "cmdline").split("\0")]
workers = [pid for pid in ours if int(read(pid, "stat").rpartition(")")[2].split()[1]) in ours]
if not workers:
    sys.exit("tag_service has no children")
for _ in range(100):
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    redis.rpush(queue, message)
    if redis.llen(queue) == 0:
        sys.exit(0)
    redis.lrem(queue, 0, message)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.1)
sys.exit("no worker was waiting for a message")
"""


@pytest.fixture(autouse=True)
def _nothing_before(cluster: Watcher) -> None:
    """What happened in other tests is theirs."""
    deployed.wait_ready()
    cluster.unexplained()


@pytest.fixture(scope="module")
def cpu_is_measured(cluster: Watcher) -> None:
    """A cluster in which the HPA sees anything."""
    if not scaled.is_there("apiservice", "v1beta1.metrics.k8s.io", "Available"):
        pytest.skip("this cluster has no metrics-server")


@pytest.fixture(scope="module")
def keda(cluster: Watcher) -> Iterator[None]:
    """Every stage scaled by KEDA, two pods at the most."""
    if not scaled.is_there("deployment", "keda-operator", "Available", "--namespace", "keda"):
        pytest.skip("this cluster has no KEDA in the namespace keda")
    documents = [read("autoscaling-keda", name) for name in STAGES]
    for document in documents:
        document["spec"]["maxReplicaCount"] = SEVERAL
    with scaled_by(documents):
        yield


def all_at_zero() -> bool:
    """Whether no stage has a pod."""
    return not any(count(name) for name in STAGES)


def test_the_hpa_adds_pods_under_a_queue_and_takes_them_away(
    cpu_is_measured: None, cluster: Watcher, pictures: list[Path], report: list[str]
) -> None:
    """detect gets more pods while it is busy, and one is left when it is not; every picture is completed once."""
    document = read("autoscaling-hpa", "detect")
    document["spec"]["metrics"][0]["resource"]["target"]["averageValue"] = "150m"  # a small node has no more for it
    document["spec"]["behavior"]["scaleDown"] = {
        "stabilizationWindowSeconds": 15,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
    }
    with scaled_by([document]):
        ids = scaled.send_all((pictures * (SENT // len(pictures) + 1))[:SENT])
        wait_until(lambda: is_ready("detect", SEVERAL), "detect has several pods", SOME_MINUTES)
        most = count("detect")
        scaled.wait_completed(ids)
        wait_until(lambda: count("detect") == 1, "one is left", SOME_MINUTES, pause=2.0)
    report.append(f"under {SENT} pictures the HPA gave detect {most} pods, and took them back")
    assert cluster.unexplained() == []


def test_the_api_has_three(cpu_is_measured: None, cluster: Watcher) -> None:
    """The API's own HPA keeps three, and goes together with whatever scales the stages."""
    with scaled_by([read("autoscaling-hpa", "grab")]):
        wait_until(lambda: is_ready("grab", 3), "the API has three pods", SOME_MINUTES)
    assert cluster.unexplained() == []


def test_keda_takes_all_stages_to_zero_and_one_picture_wakes_them(
    keda: None, cluster: Watcher, pictures: list[Path], report: list[str]
) -> None:
    """Without work no stage has a pod; one upload goes through all of them; then there is none again."""
    wait_until(all_at_zero, "no stage has a pod", SOME_MINUTES, pause=2.0)
    begun = time.monotonic()
    ids = scaled.send_all(pictures[:1])
    scaled.wait_completed(ids)
    report.append(f"with every stage at zero, one picture took {time.monotonic() - begun:.0f} s")
    wait_until(all_at_zero, "no stage has a pod", SOME_MINUTES, pause=2.0)
    assert cluster.unexplained() == []


def test_each_stage_goes_from_zero_to_several_by_its_own_list(
    keda: None, cluster: Watcher, pictures: list[Path]
) -> None:
    """While none has a pod, each gets more than one should have, all of it delayed, so that it stays for as long as an
    autoscaler may take to look: each has several pods then, and in the end none."""
    (image_id,) = scaled.send_all(pictures[:1])
    scaled.wait_completed([image_id])
    model, keys = ask(f"/status/{image_id}")["results"], scaled.keys_of(image_id)
    wait_until(all_at_zero, "no stage has a pod", SOME_MINUTES, pause=2.0)
    ids = []
    with scaled.queues() as lists:
        for name, queue in QUEUES.items():
            wanted = int(read("autoscaling-keda", name)["spec"]["triggers"][0]["metadata"]["targetValue"])
            sent = scaled.messages(name, model, keys, wanted + MORE)
            lists.zadd(delayed_key(queue), dict.fromkeys(sent, lists.time()[0] + DELAYED_SECONDS))
            ids += [json.loads(each)["image_id"] for each in sent]
    seen = dict.fromkeys(STAGES, 0)

    def all_had_several() -> bool:
        seen.update({name: max(most, count(name)) for name, most in seen.items()})
        assert min(seen.values()) >= SEVERAL, seen
        return True

    wait_until(all_had_several, "each stage has had several pods", SOME_MINUTES)
    scaled.wait_completed(ids)
    wait_until(all_at_zero, "no stage has a pod", SOME_MINUTES, pause=2.0)
    assert cluster.unexplained() == []


def test_keda_wakes_one_stage_alone_for_what_its_dead_worker_held(
    keda: None, cluster: Watcher, pictures: list[Path]
) -> None:
    """The last picture is with a dead worker, its list is empty, no pod is left: one starts, completes it."""
    (first,) = scaled.send_all(pictures[:1])
    scaled.wait_completed([first])
    model, keys = ask(f"/status/{first}")["results"], scaled.keys_of(first)
    message = scaled.messages("tag", model, keys, 1)[0].replace("scaled-tag-0", "held-by-the-dead")
    wait_until(all_at_zero, "no stage has a pod", SOME_MINUTES, pause=2.0)
    kubectl("set", "env", "deployment/tag", "NUM_WORKERS=2")  # children can be stopped; a container's first process not
    try:
        with scaled.queues() as lists:
            lists.rpush(QUEUES["tag"], message.replace("held-by-the-dead", "before-the-dead"))
        scaled.wait_completed(["before-the-dead"])
        _hold_and_kill(message)
        assert pending()["tag"] == 1
        wait_until(lambda: is_ready("tag", 1), "tag has a pod", SOME_MINUTES)
        assert [name for name in STAGES if name != "tag" and count(name)] == []
        scaled.wait_completed(["held-by-the-dead"])
    finally:
        kubectl("set", "env", "deployment/tag", "NUM_WORKERS-")
    history = ask("/status/held-by-the-dead")["results"]["history"]
    assert [(each["stage"], each["state"]) for each in history] == [("tag", "lost")]
    wait_until(all_at_zero, "no stage has a pod", SOME_MINUTES, pause=2.0)
    assert cluster.unexplained(ended={"tag": 137}, restarted=("tag",)) == []


def _hold_and_kill(message: str) -> None:
    """Have tag's workers stopped with the message in flight, and then killed, as they do not get SIGTERM."""
    (pod,) = pods("tag")
    name = pod["metadata"]["name"]
    kubectl("exec", name, "--", "python", "-P", "-c", HOLD, QUEUES["tag"], message)
    kubectl("scale", "deployment/tag", "--replicas=0")
    kubectl("delete", "pod", name, "--grace-period=1", "--ignore-not-found")
    wait_until(lambda: not ask("/queue-status")["stages"]["tag"]["waiting"], "its list is empty")
