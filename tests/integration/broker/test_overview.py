"""What Redis knows of the whole line: living workers, the models that they lack, outbox events that are not written."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import redis

from catalogue_service.lease import KEY
from stageline.broker import overview
from stageline.broker.consumer import Consumer
from stageline.broker.keys import MODELS, OUTCOMES, OUTCOMES_SINCE, WORKERS
from stageline.broker.overview import STALLED_SECONDS, Overview
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Call, Scripts
from stageline.core.settings import Settings
from stageline.maintenance.reaper import Reaper
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.registry import missing_models

LEASE = 60.0
LONG = LEASE + STALLED_SECONDS + 1000
PICTURE = Message.of({"image_id": "a", "original_path": "original/a.jpg"})


@pytest.fixture
def client(settings: Settings) -> redis.Redis:
    """A client of the emptied Redis."""
    return Producer(settings.redis_url, 1).client


@pytest.fixture
def worker(settings: Settings) -> Callable[[str], Consumer]:
    """Make a worker's side of a stage's queue."""
    return lambda stage: Consumer(settings.redis_url, line.stage(stage), "w", 60)


def look(client: redis.Redis) -> Overview:
    """Read it; what is said of stages without workers is left out."""
    found = overview.read(client, LEASE)
    return Overview(**{**vars(found), "problems": [said for said in found.problems if "worker is alive" not in said]})


def lacks(missing: tuple[str, ...] = (), degrading: tuple[str, ...] = (), **more: object) -> str:
    """What a worker says that lacks something."""
    return json.dumps({"missing": missing, "degrading": degrading, **more})


def test_a_model_that_a_stage_cannot_do_without_is_a_problem_in_one_sentence(client, worker) -> None:
    """It names the stage, the model and how to get it, and ends with the next heartbeat of a worker that has it."""
    detect = worker("detect")
    detect.heartbeat(LEASE, lacks(("yolox-nano",), ("yolox-nano",)))
    found = look(client)
    (said,) = found.problems
    assert said.startswith("detect finds nothing by its model yolox-nano, which is missing: ")
    assert "stageline models fetch yolox-nano" in said
    assert list(found.missing["detect"]) == ["yolox-nano"]
    detect.heartbeat(LEASE)
    assert (look(client).problems, look(client).missing) == ([], {})


def test_a_model_that_only_adds_something_is_listed_and_is_no_problem(client, worker) -> None:
    """As FaceNet, which a fresh install lacks."""
    worker("classify").heartbeat(LEASE, lacks(("facenet-vggface2",)))
    found = look(client)
    assert found.problems == []
    assert "make setup-train" in found.missing["classify"]["facenet-vggface2"]


def test_where_only_some_workers_lack_a_model_that_is_said(client, worker) -> None:
    """Of two workers one: the sentence says how many."""
    worker("detect").heartbeat(LEASE, lacks(("mtcnn",), ("mtcnn",)))
    worker("detect").heartbeat(LEASE)
    (said,) = look(client).problems
    assert said.startswith("detect (in 1 of 2 workers) finds nothing by its model mtcnn")


def test_what_is_refused_is_a_problem_with_its_reason_once(client, worker) -> None:
    """Whether an older version is served meanwhile, or nothing."""
    worker("detect").heartbeat(LEASE, lacks(refused={"mtcnn": "not the file of its card"}))
    worker("classify").heartbeat(LEASE, lacks(("c",), ("c",), refused={"c": "no network"}))
    found = look(client)
    assert found.problems == [
        "detect cannot take up its model mtcnn: not the file of its card",
        "classify finds nothing by its model c, which it cannot take up: no network",
    ]
    assert found.refused == {"detect": {"mtcnn": "not the file of its card"}, "classify": {"c": "no network"}}


def test_a_model_store_that_a_stage_cannot_reach_is_reported_as_such(client, worker) -> None:
    """It may be the object store, of which somebody says so already."""
    worker("detect").heartbeat(LEASE, lacks(away="the model store: no route to it"))
    found = look(client)
    assert (found.problems, found.away) == (
        [],
        ["detect goes on with the models it has: the model store: no route to it"],
    )


def test_the_report_of_a_dead_worker_is_dropped(client, worker, settings) -> None:
    """Neither one that left, nor one whose lease ran out; and what the latter said goes when it is forgotten."""
    leaving, dead = worker("detect"), worker("detect")
    for one in (leaving, dead):
        one.heartbeat(LEASE, lacks(("mtcnn",), ("mtcnn",)))
    leaving.leave()
    assert list(client.hgetall(MODELS)) == [dead.identity.encode()]
    client.zadd(WORKERS, {dead.identity: 1})
    assert look(client).problems == []
    reaper = Reaper(settings)
    reaper._quiet_until = 0.0
    reaper.sweep()
    assert client.hgetall(MODELS) == {}


def test_junk_and_workers_of_others_break_nothing(client, worker) -> None:
    """A report that is no JSON, no object or of an unknown stage is ignored; without a report nothing is missing."""
    for junk in ("x", "[]", '{"missing": 3, "refused": [], "degrading": "y"}', "\udce9"):
        worker("detect").heartbeat(LEASE, junk.encode(errors="surrogateescape"))  # type: ignore[arg-type]
    seconds, _ = client.time()
    client.zadd(WORKERS, {b"objectdetect_queue:theirs:1": seconds, b"\xff": seconds, b"their_queue:x": seconds})
    client.hset(MODELS, b"their_queue:x", lacks(("m",), ("m",)))
    found = look(client)
    assert found.workers["detect"] == 5
    assert (found.problems, found.missing, found.refused) == ([], {}, {})


def push(settings: Settings) -> None:
    """Put an outbox event on the list."""
    Producer(settings.redis_url, 10).delete("a")


def aged(client: redis.Redis) -> None:
    """Have the first outbox event stand where it is for long."""
    client.set(OUTCOMES_SINCE, client.time()[0] - LONG)


def test_outbox_events_that_are_not_written_are_a_problem_by_their_age(client, settings) -> None:
    """However few they are; more of them make them no younger."""
    push(settings)
    assert (look(client).problems, look(client).outcomes) == ([], 1)
    assert look(client).still_seconds < LONG
    aged(client)
    push(settings)
    found = look(client)
    assert found.still_seconds >= LONG
    (said,) = found.problems
    assert "while 2 outcomes wait" in said
    assert "DATABASE_URL" in said


def test_a_catalogue_that_goes_on_is_no_problem(client, settings) -> None:
    """When it takes some off the list, those that wait have not stood still."""
    push(settings)
    push(settings)
    aged(client)
    client.set(KEY, "me")
    first = client.lindex(OUTCOMES, 0)
    assert Scripts(client).run(Call("trim_outcomes", writer=KEY, identity="me", count=1, first=first, last=first)) == 1
    assert (look(client).problems, look(client).outcomes) == ([], 1)


@pytest.mark.parametrize("how", ["by a step", "by a worker that stored late"])
def test_a_list_that_was_empty_is_no_older_than_its_first(client, settings, worker, how) -> None:
    """Whatever was noted of earlier events, and whichever script adds one."""
    aged(client)
    assert look(client).still_seconds == 0
    if how == "by a step":
        push(settings)
    else:
        worker("tag").recheck(PICTURE, "completed")
    assert (look(client).problems, look(client).outcomes) == ([], 1)
    assert look(client).still_seconds < LONG


def test_many_outbox_events_that_move_are_reported_by_their_number(client, settings) -> None:
    """More than the catalogue takes at once."""
    push(settings)
    client.rpush(OUTCOMES, *["x"] * overview.MAX_BACKLOG)
    assert look(client).problems == [
        "the catalogue is 1001 outcomes behind: see that catalogue_service runs (DATABASE_URL)"
    ]


def test_the_outbox_event_of_an_older_line_waits_for_an_unknown_time(client) -> None:
    """Without a note of its start no duration is claimed."""
    client.rpush(OUTCOMES, "x")
    assert (look(client).problems, look(client).still_seconds) == ([], 0)


def test_a_refusal_of_a_model_may_end_while_it_is_reported() -> None:
    """Another thread loads the model at that moment: the heartbeat goes on."""

    class Model:
        name, optional, essential = "a", True, False
        refusals = iter(["it is broken", None])

        @property
        def refused(self) -> str | None:
            return next(self.refusals)

        def now(self) -> object:
            return self

    watch = SimpleNamespace(served=[Model()], away=None)
    assert json.loads(missing_models.encode_report(watch))["refused"] == {"a": "it is broken"}
    assert missing_models.encode_report(SimpleNamespace(served=[Model()], away=None)) == ""
