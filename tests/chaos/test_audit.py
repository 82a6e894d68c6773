"""The audit of a campaign finds nothing after a quiet flow, and names each thing that is broken after it by hand."""

import io
import json
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from tests.chaos import audit, campaign
from tests.chaos.deployment import BUCKET, Deployment
from tests.chaos.found import Outputs
from tests.chaos.pictures import picture
from tests.chaos.producers import Picture, Sent
from tests.chaos.rot import read


class Flow:
    """Pictures that came to rest undisturbed: the first was run once, the second twice, the third was deleted."""

    def __init__(self, on: Deployment) -> None:
        self.on = on
        files = [picture(number) for number in range(2)]
        self.undisturbed: dict[int, Outputs] = campaign.undisturbed(on, files)
        self.sent = Sent([Picture(on.api.take(files[of], f"{of}.jpg"), of) for of in (0, 1, 0)])
        self.first, self.second, self.deleted = (each.image_id for each in self.sent.pictures)
        on.api.ended(self.second)
        on.api.insist("POST", f"/process/{self.second}?from=detect")
        on.api.insist("DELETE", f"/image/{self.deleted}")
        self.sent.pictures[1].run, self.sent.pictures[2].deleted = 2, True
        audit.rest(on, self.sent)
        self._before: set[str] = set()

    def news(self) -> set[str]:
        """What the audit says that it did not say when it was last asked."""
        before, self._before = self._before, set(audit.problems(self.on, self.sent, self.undisturbed))
        return self._before - before

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self.on.bucket.put_object(BUCKET, key, io.BytesIO(data), len(data))

    def change(self, folder: str, ending: str = "jpg") -> None:
        """Change a byte in the middle of an object of the first picture."""
        key = f"{folder}/{self.first}.{ending}"
        data = bytearray(read(self.on, key) or b"")
        data[len(data) // 2] ^= 1
        self.put(key, bytes(data))

    def change_results(self, **fields: object) -> None:
        """Have the first picture's results say something else."""
        key = f"results/{self.first}.json"
        self.put(key, json.dumps({**json.loads(read(self.on, key) or b""), **fields}).encode())

    def execute(self, statement: str) -> None:
        """Change the catalogue's rows of the first picture."""
        with psycopg2.connect(self.on.postgres.url_of("chaos")) as connection, connection.cursor() as cursor:
            cursor.execute(f"{statement} WHERE image_key = %s", (self.first,))
            assert cursor.rowcount


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory, models_dir) -> Iterator[Flow]:
    """One for all tests: each adds its harm to those before."""
    on = Deployment(tmp_path_factory.mktemp("audit"), models_dir)
    try:
        on.start()
        yield Flow(on)
    finally:
        on.end()


def test_a_quiet_flow_has_no_problems(flow: Flow) -> None:
    """Nothing was broken yet."""
    assert flow.news() == set()


HARMS: dict[str, tuple[Callable[[Flow], object], str]] = {
    "an object is gone": (lambda f: f.on.bucket.remove_object(BUCKET, f"tagged/{f.first}.jpg"), "tagged/<id>.jpg"),
    "a byte of an output": (lambda f: f.change("blurred"), "blurred/<id>.jpg"),
    "a byte of an original": (lambda f: f.change("original"), "original/<id>.jpg"),
    "a second object in a folder": (lambda f: f.put(f"resized/{f.first}.png", b"x"), "resized/<id>.png"),
    "results of another run": (lambda f: f.change_results(run=2), "its run is 1 by its status, 2 by its results"),
    "results without a finding": (lambda f: f.change_results(detections=[]), "results/<id>.json"),
    "results without a stage": (lambda f: f.change_results(stages={}), "its stages are {}"),
    "an object of a deleted picture": (lambda f: f.put(f"original/{f.deleted}.jpg", b"x"), "deleted, and there is"),
    "an orphan object": (lambda f: f.put("tagged/nobody.jpg", b"x"), "nobody: no upload"),
    "an orphan original": (lambda f: f.put("original/lone.jpg", picture(0)), "lone: no upload"),
    "an object outside of all folders": (lambda f: f.put("outside", b"x"), "outside: no upload"),
    "a row's name": (lambda f: f.execute("UPDATE image_info SET filename = 'x'"), "image_info"),
    "a row's run": (lambda f: f.execute("UPDATE image_info SET run = 3"), "3 by its row"),
    "a task's end": (lambda f: f.execute("UPDATE tasks SET status = 'failed'"), "its runs have ended so"),
    "a row of a finding": (lambda f: f.execute("DELETE FROM prediction_results"), "prediction_results"),
    "what was tried": (lambda f: f.execute("UPDATE task_history SET attempt = 9"), "tried by its results"),
    "a row is gone": (lambda f: f.execute("DELETE FROM image_info"), "None by its row"),
    "a status": (lambda f: f.on.queue.hset(f"stageline:status:{f.first}", "status", "failed"), "its status is failed"),
    "an orphan status": (
        lambda f: f.on.queue.hset("stageline:status:ghost", "status", "completed"),
        "ghost: no upload",
    ),
    "a status that never expires": (lambda f: f.on.queue.persist(f"stageline:status:{f.second}"), "for ever"),
    "an orphan string": (lambda f: f.on.queue.set("stageline:orphan", "x"), "Redis has stageline:orphan"),
    "an orphan name": (lambda f: f.on.queue.set("stageline:named:n", "gone", ex=900), "Redis has stageline:named:n"),
    "an entry in flight": (lambda f: f.on.queue.rpush("stageline:inflight:q:w:1", "x"), "stageline:inflight:q:w:1"),
    "an unfinished picture": (lambda f: f.on.queue.zadd("stageline:moving", {"x": 1}), "stageline:moving"),
    "a dead letter": (lambda f: f.on.queue.rpush("dead_letters", "{}"), "dead_letters"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_each_harm_is_named(flow: Flow, harm: str) -> None:
    """Something is broken, lost or left over, and the audit says what."""
    break_it, words = HARMS[harm]
    break_it(flow)
    problems = flow.news()
    assert any(words in sentence for sentence in problems), problems


def test_an_upload_without_an_answer_may_leave_its_own_original(flow: Flow) -> None:
    """One of its file, and no second one, nor one of another file."""
    flow.news()
    flow.sent.unanswered.append(1)
    flow.put("original/left.jpg", picture(1))
    assert flow.news() == set()
    flow.put("original/more.jpg", picture(1))
    flow.put("original/other.jpg", picture(0))
    problems = flow.news()
    assert {sentence.partition(":")[0] for sentence in problems} == {"more", "other"}, problems
