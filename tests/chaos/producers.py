"""Producers: they upload, repeat what was not answered, run pictures again and delete some, as users do."""

import random
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import urllib3

from tests.chaos.api_client import ENDED, TRY_AGAIN, ApiClient

KEYED, RERUN, DELETED = 0.4, 0.12, 0.08  # shares of uploads: under a key, followed by a run again, by a deletion
FIRST_STAGES = ("", "?from=resize", "?from=detect", "?from=tag")
TIMEOUT = 300.0  # seconds for an answer that is none of "try again", whatever happens


@dataclass
class Picture:
    """One that was answered 202: what its producer knows of it."""

    image_id: str
    number: int
    run: int = 1
    """The last run that was answered 202."""
    lost_reruns: int = 0
    """How many requests to run it again were never answered: each may have begun a run."""
    reruns: int = 0
    """How many were answered 202."""
    deleted: bool = False
    moved: bool = False
    """Whether it was on its way when it was deleted."""


@dataclass
class Sent:
    """What all producers did."""

    pictures: list[Picture] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)
    """The files' numbers of uploads without an idempotency key that may have been done unknown to us.

    Each may have left a picture.
    """

    def __str__(self) -> str:
        deleted = [picture for picture in self.pictures if picture.deleted]
        return (
            f"{len(self.pictures)} pictures answered 202, {sum(each.reruns for each in self.pictures)} runs again, "
            f"{len(deleted)} deletions, {sum(each.moved for each in deleted)} of them on the way, "
            f"{len(self.unanswered)} tries of uploads that may have left a picture whose id no client knows"
        )


class Producer(threading.Thread):
    """Sends its share of the pictures, each once ``wait_to_send`` returns."""

    def __init__(
        self,
        api: ApiClient,
        files: Sequence[bytes],
        count: int,
        seed: str,
        sent: Sent,
        wait_to_send: Callable[[], None],
    ) -> None:
        super().__init__(name=f"producer {seed}", daemon=True)
        self.error: BaseException | None = None
        self._api, self._files, self._count = api, files, count
        self._random, self._sent, self._wait_to_send = random.Random(seed), sent, wait_to_send
        self._own: list[Picture] = []

    def run(self) -> None:
        """Send, and keep the error for the thread that joins this one."""
        try:
            for _ in range(self._count):
                self._wait_to_send()
                self._upload()
                if self._random.random() < RERUN:
                    self._run_again(self._random.choice(self._own))
                if self._random.random() < DELETED:
                    self._remove(self._random.choice((self._own[-1], self._random.choice(self._own))))
        except BaseException as error:  # noqa: BLE001 - raised by the thread that joins
            self.error = error

    def _upload(self) -> None:
        number = self._random.randrange(len(self._files))
        keyed = self._random.random() < KEYED
        headers = {"Idempotency-Key": uuid.UUID(int=self._random.getrandbits(128)).hex} if keyed else {}
        fields = {"image": (f"{number}.jpg", self._files[number])}
        answer, lost = self._api.insist("POST", "/upload", TIMEOUT, fields=fields, headers=headers)
        assert answer.status == 202, answer
        picture = Picture(answer.json["image_id"], number)
        self._own.append(picture)
        self._sent.pictures.append(picture)
        self._sent.unanswered.extend([number] * (0 if keyed else lost))

    def _run_again(self, picture: Picture) -> None:
        """Ask once: one that still moves is left alone."""
        if picture.deleted:
            return
        path = f"/process/{picture.image_id}{self._random.choice(FIRST_STAGES)}"
        try:
            if self._api.status(picture.image_id)["status"] not in ENDED:
                return
            answer = self._api.call("POST", path)
        except urllib3.exceptions.HTTPError:
            picture.lost_reruns += 1
            return
        if answer.status in TRY_AGAIN:
            picture.lost_reruns += answer.status != 409
            return
        assert answer.status == 202, answer
        picture.run = answer.json["run"]
        picture.reruns += 1

    def _remove(self, picture: Picture) -> None:
        """Delete it, half the time the newest, which is on its way; it is asked for until there is an answer."""
        if picture.deleted:
            return
        moves = self._api.status(picture.image_id)["status"] not in ENDED
        answer, lost = self._api.insist("DELETE", f"/image/{picture.image_id}", TIMEOUT)
        assert answer.status == 204 or (answer.status == 404 and lost), answer
        picture.deleted, picture.moved = True, moves
