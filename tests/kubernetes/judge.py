"""After each disturbance: is what was accepted finished, once, and did nothing happen to a container unasked?"""

import json
from collections.abc import Mapping

from tests.kubernetes import deployed
from tests.kubernetes.deployed import STAGES
from tests.kubernetes.kubectl import wait_until
from tests.kubernetes.uploader import Uploader, ask
from tests.kubernetes.watcher import Watcher

FINISHED_WITHIN = 240.0


class Judge:
    """Knows what was judged already."""

    def __init__(self, uploader: Uploader, watcher: Watcher) -> None:
        self._uploader, self._watcher = uploader, watcher
        self._judged: set[str] = set()

    def all_is_well(self, *, ended: Mapping[str, int] | None = None, restarted: tuple[str, ...] = ()) -> None:
        """Every workload is ready, every accepted picture is completed once, nothing is dead, nothing unexplained.

        Args:
            ended: containers, and the exit status beside 0 that the test made them end with.
            restarted: containers that the test made start again in their place.
        """
        deployed.wait_ready()
        accepted = list(self._uploader.accepted)
        is_new = set(accepted) - self._judged
        assert is_new or not self._uploader.is_alive(), "no picture was taken meanwhile: this judged nothing"
        wait_until(lambda: self._all_completed(accepted), "all is completed", FINISHED_WITHIN, pause=2.0)
        self._have_one_result_each(is_new)
        dead = {name: counts["dead"] for name, counts in ask("/queue-status")["stages"].items()}
        assert not any(dead.values()), f"dead letters: {dead}"
        assert not self._uploader.refused, f"good pictures were refused: {self._uploader.refused[:5]}"
        unexplained = self._watcher.unexplained(ended=ended, restarted=restarted)
        assert not unexplained, "; ".join(unexplained)
        self._judged |= set(accepted)

    def _all_completed(self, accepted: list[str]) -> bool:
        rows = deployed.rows()
        unfinished = {image_id: rows.get(image_id) for image_id in accepted if rows.get(image_id) != "completed"}
        some = dict(list(unfinished.items())[:5])
        assert not unfinished, f"{len(unfinished)} of {len(accepted)} are not completed in the catalogue: {some}"
        return True

    def _have_one_result_each(self, image_ids: set[str]) -> None:
        """Each has its object in the bucket, of its first run, with every stage done."""
        with deployed.bucket() as store:
            for image_id in image_ids:
                document = json.loads(store.get(f"results/{image_id}.json"))
                states = {name: document["stages"][name]["state"] for name in STAGES if name in document["stages"]}
                assert (document["image_id"], document.get("run", 1)) == (image_id, 1), (
                    f"{image_id} ran again: {document}"
                )
                assert states == dict.fromkeys(STAGES, "done"), f"{image_id}: {states}"
