"""What the tests of the autoscalers share: applying their manifests, reading pods, filling lists."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import yaml

from stageline.pipeline.line import LINE, ORIGINALS
from tests.kubernetes import deployed
from tests.kubernetes.deployed import MANIFESTS, STAGES
from tests.kubernetes.kubectl import Refused, forwarded, items, kubectl, pods, secret, wait_until
from tests.kubernetes.uploader import API, ask, curl

SOME_MINUTES = 420.0  # for what takes a minute or two on a node that has nothing else to do
QUEUES = {stage.name: stage.queue for stage in LINE}


def read(folder: str, name: str) -> dict[str, Any]:
    """The autoscaler of one workload, as its manifest has it."""
    found: dict[str, Any] = yaml.safe_load((MANIFESTS / folder / f"{name}.yaml").read_text())
    return found


@contextmanager
def scaled_by(documents: list[dict[str, Any]]) -> Iterator[None]:
    """These autoscalers; afterwards there are none, and one pod of each workload."""
    kubectl("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    try:
        yield
    finally:
        for document in documents:
            name = document["metadata"]["name"]
            kubectl("delete", document["kind"], name, "--wait=true", "--timeout=60s")
            kubectl("scale", f"deployment/{name}", "--replicas=1")
        deployed.wait_ready()


def is_there(kind: str, name: str, condition: str, *where: str) -> bool:
    """Whether the cluster has something, and says that it works."""
    try:
        kubectl("wait", *where, f"--for=condition={condition}", f"{kind}/{name}", "--timeout=5s")
    except Refused:
        return False
    return True


def count(name: str) -> int:
    """How many pods a workload has that are not on their way out."""
    return len(pods(name))


def is_ready(name: str, most: int) -> bool:
    """Whether so many of a workload's pods are ready."""
    conditions = [one for pod in pods(name) for one in pod["status"].get("conditions", []) if one["type"] == "Ready"]
    return sum(one["status"] == "True" for one in conditions) >= most


def send_all(pictures: list[Path]) -> list[str]:
    """Upload many at once, as a batch; the ids of all."""
    words = [word for picture in pictures for word in ("--form", f"images=@{picture}")]
    status, body = curl(*words, f"{API}/batch-upload", timeout=240.0)
    assert status == 202, body[:500]
    answer = json.loads(body)
    assert answer["refused"] == 0, answer
    return [each["image_id"] for each in answer["files"]]


def wait_completed(image_ids: list[str]) -> None:
    """Wait until the catalogue has each as completed."""

    def completed() -> bool:
        rows = deployed.rows()
        left = {one: rows.get(one) for one in image_ids if rows.get(one) != "completed"}
        assert not left, f"{len(left)} of {len(image_ids)} are not: {dict(list(left.items())[:3])}"
        return True

    wait_until(completed, "all are completed", SOME_MINUTES, pause=3.0)


@contextmanager
def queues() -> Iterator[redis.Redis]:
    """The line's Redis, as a producer of somebody else's reaches it."""
    with forwarded("service/redis", 6379) as address:
        host, _, port = address.partition(":")
        yield redis.Redis(host, int(port), password=secret()["REDIS_PASSWORD"])


def pending() -> Mapping[str, int]:
    """What each stage has before it, as KEDA reads it."""
    return {name: counts["pending"] for name, counts in ask("/queue-status")["stages"].items()}


def before(stage: str) -> str:
    """The folder of the picture that a stage finds in a message's path: that of the last stage which leaves one."""
    earlier = LINE[: STAGES.index(stage)]
    return [ORIGINALS, *(folder for each in earlier for folder in each.folders if folder.title)][-1].name


def messages(stage: str, model: Mapping[str, Any], keys: Mapping[str, str], most: int) -> list[str]:
    """Messages as a stage would take them, of pictures that came that far: copies of one, each under its own id."""
    kept = {name: model[name] for name in ("original_path", "origin_w", "origin_h", "kind") if name in model}
    if STAGES.index(stage) > STAGES.index("detect"):
        kept |= {name: model[name] for name in ("detections", "faces") if name in model}
    kept |= {"path": keys[before(stage)]}
    return [json.dumps({**kept, "image_id": f"scaled-{stage}-{number}"}) for number in range(most)]


def keys_of(image_id: str) -> dict[str, str]:
    """A picture's object in each folder."""
    with deployed.bucket() as store:
        return {folder: next(iter(store.keys(f"{folder}/{image_id}"))) for folder in set(map(before, STAGES))}


def objects(kind: str) -> set[str]:
    """The names of what there is of a kind."""
    return {each["metadata"]["name"] for each in items(kind)}
