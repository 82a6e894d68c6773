"""A rolling upgrade that adds a stage and its folder, while pictures move: old workers dead-letter no picture.

The old version is the package that is installed. The new one is a copy of it with one stage more, `sharpen` between
grayscale and detect, which writes the folder `sharpened/`.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.deployment import READY_SECONDS, Deployment, until
from tests.chaos.pictures import picture
from tests.support.added_stage import FOLDER, STAGE, follow_the_page

REST = ("classify", "tag", "catalogue", "resize")


class Upgrade:
    """A deployment whose services are replaced by those of the new version, one by one, while pictures are sent."""

    def __init__(self, deployment: Deployment, new: Path) -> None:
        self._deployment = deployment
        self._new = new
        self.sent: list[str] = []

    def send(self, count: int = 3) -> list[str]:
        """Send some pictures; return their ids."""
        ids = [self._deployment.api.take(picture(len(self.sent) + number)) for number in range(count)]
        self.sent += ids
        return ids

    def start_new(self, name: str) -> None:
        """Start a service of the new version beside those of the old one."""
        service = self._deployment.add(name, f"{name}-new", PYTHONPATH=str(self._new))
        service.start()
        until(service.ready, READY_SECONDS)

    def replace(self, name: str) -> None:
        """Roll a service as Kubernetes does: one of the new version is ready before the old one is stopped."""
        self.send()
        self.start_new(name)
        self.send()
        self._deployment.services[name].stop()
        self.send()

    def replace_api(self) -> None:
        """Stop the old API and start a new one."""
        self._deployment.services["grab"].stop()
        service = self._deployment.add("grab", PYTHONPATH=str(self._new))
        service.start()
        until(service.ready, READY_SECONDS)


@pytest.fixture
def upgrade(deploy: Callable[..., Deployment], tmp_path: Path) -> Upgrade:
    """A whole line of the old version, and the new version to roll it to."""
    deployment = deploy()
    deployment.start()
    return Upgrade(deployment, follow_the_page(tmp_path / "new"))


def delayed(deployment: Deployment, queue: str) -> list[str]:
    """The messages that wait for another worker."""
    return deployment.queue.zrange(f"stageline:delayed:{queue}", 0, -1)


def test_pictures_of_a_new_stage_wait_for_new_workers(upgrade: Upgrade) -> None:
    """Old workers hand on untouched what names the new folder, new ones finish it; every picture is completed."""
    deployment = upgrade._deployment
    upgrade.send()
    upgrade.start_new(STAGE)
    upgrade.replace("grayscale")
    seen = until(lambda: delayed(deployment, "objectdetect_queue"))
    assert all(f'"{FOLDER}/' in raw and '"attempt":1' in raw for raw in seen), "an old detect put them aside, untouched"
    deleted = json.loads(seen[0])["image_id"]
    assert deployment.api.call("DELETE", f"/image/{deleted}").status == 204
    assert not [key for key in deployment.stored() if deleted in key], "the old API knows the new folder as well"
    upgrade.sent.remove(deleted)
    upgrade.replace("detect")
    assert until(lambda: delayed(deployment, "classify_queue")), "an old classify put them aside"
    for name in REST:
        upgrade.replace(name)
    upgrade.replace_api()
    last = upgrade.send()
    statuses = {image_id: until(lambda each=image_id: ended(deployment, each)) for image_id in upgrade.sent}
    assert {image_id: found["status"] for image_id, found in statuses.items()} == dict.fromkeys(
        upgrade.sent, "completed"
    )
    assert deployment.queue.llen("dead_letters") == 0
    assert not [key for key in deployment.stored() if deleted in key]
    for image_id in last:
        assert statuses[image_id]["stages"][STAGE]["state"] == "done"
        assert f"{FOLDER}/{image_id}.jpg" in deployment.stored(f"{FOLDER}/")
    rows = "SELECT status FROM image_info WHERE image_key = ANY(%s)"
    until(lambda: deployment.rows(rows, upgrade.sent) == [("completed",)] * len(upgrade.sent))


def ended(deployment: Deployment, image_id: str) -> dict | None:
    """The status of a picture that came to its end; None while it is on its way."""
    found = deployment.api.status(image_id)
    return found if found["status"] in ("completed", "failed") else None
