"""A Redis user that lacks a right which a step needs: the step is refused whole, and nothing of it is written."""

from collections.abc import Callable, Iterator

import pytest
import redis

from stageline.broker import transitions
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.broker.redis_client import connect, scripts
from stageline.core.errors import Unavailable
from stageline.pipeline import line, results
from stageline.pipeline.message import Message
from tests.support.redis_moods import SERVERS, program
from tests.support.servers import RedisServer
from tests.support.serving import served

ALL_BUT_SINCE = ["~", "~[^s]*", "~stageline:[^o]*", "~stageline:outcomes"]  # stageline:outcomes:since is none of them
LACKING = {
    "the time": ["-time"],
    "a key": ["resetkeys", *ALL_BUT_SINCE],
}
ENTRY = {"state": "done", "run": 1, "attempt": 1, "worker": "w", "ms": 3.0, "key": None}
TAG = line.stage("tag")


def picture(name: str) -> Message:
    fields = {"image_id": name, "original_path": f"original/{name}.jpg", "sha256": name * 8, "filename": f"{name}.jpg"}
    return Message.of({**fields, "attempt": 1})


class Line:
    """An API process and a worker as one user, and what was made ready for them."""

    def __init__(self, url: str, admin: redis.Redis) -> None:
        self.admin, self.taken = admin, picture("a")
        self.producer, self.consumer = Producer(url, 100), Consumer(url, TAG, "one", 60)
        self.producer.accept(self.taken)  # from now on Redis knows every script
        admin.rpush(f"stageline:inflight:{self.consumer.identity}", self.taken.raw)

    def accept(self) -> None:
        """The API's step."""
        self.producer.accept(picture("b"))

    def finish(self) -> None:
        """The last worker's step."""
        document = results.document(self.taken, "completed", detections=[])
        self.consumer.scripts.run(
            self.consumer.finish(self.taken, transitions.ended(self.taken, "tag", ENTRY, document))
        )

    def doubt(self) -> None:
        """A worker's word to the catalogue."""
        self.consumer.recheck(self.taken, "completed")

    def delete(self) -> None:
        """The API's other step."""
        self.producer.delete("a", "a" * 8, "a.jpg")

    def kept(self) -> dict[bytes, bytes]:
        """All that Redis has."""
        return {key: self.admin.dump(key) for key in self.admin.keys("*")}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Each server."""
    with served(RedisServer(tmp_path_factory.mktemp("rights"), program=program(request.param))) as found:
        yield found


@pytest.fixture
def ready(server: RedisServer) -> Line:
    """A line whose user may do everything."""
    admin = connect(server.url)
    admin.flushall()
    admin.execute_command("ACL", "SETUSER", "line", "reset", "on", ">secret", "~*", "&*", "+@all")
    return Line(server.url.replace("redis://", "redis://line:secret@"), admin)


@pytest.mark.parametrize("step", [Line.accept, Line.finish, Line.doubt, Line.delete])
@pytest.mark.parametrize("lack", ["the time", "a key"])
def test_a_step_that_is_refused_is_refused_whole(lack: str, step: Callable[[Line], None], ready: Line) -> None:
    """A right is taken away from a user that is connected: nothing is written, and the same step works later."""
    before = ready.kept()
    ready.admin.execute_command("ACL", "SETUSER", "line", *LACKING[lack])
    with pytest.raises(Unavailable, match="Redis does not take this now"):
        step(ready)
    assert ready.kept() == before
    ready.admin.execute_command("ACL", "SETUSER", "line", "~*", "+@all")
    step(ready)
    assert ready.kept() != before


def test_no_script_names_a_key_that_it_was_not_given() -> None:
    """Redis refuses a whole script only for the keys that are given to it."""
    for name, script in scripts().items():
        assert ".. ':" not in script.source, name
