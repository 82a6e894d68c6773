"""A line reports the right times although the clocks of API, worker and catalogue are an hour off, each differently."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from stageline.broker import dead_letters
from stageline.broker.producer import Producer
from stageline.core.settings import Settings
from stageline.core.timestamps import iso, moment
from stageline.local.ports import free_port
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.store import FolderStore, S3Store
from stageline.store.base import StoredObject
from tests.support.fake_time import clock_off
from tests.support.picture_makers import encoded, scene
from tests.support.running_line import inherited
from tests.support.served_api import ServedApi, until
from tests.support.servers import MinioServer

CLOSE = timedelta(seconds=1)
JPEG = encoded(scene(), "JPEG")
Start = Callable[..., int]


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Iterator[Start]:
    """Start `python -m <package>` on the folder and the Redis of the settings; return its health port."""
    with ExitStack() as stack:

        def run(package: str, **environment: str) -> int:
            port = free_port()
            own = inherited()
            own |= {"STAGELINE_DATA": str(tmp_path), "MODELS_DIR": str(settings.models_folder)}
            own |= {"REDIS_URL": settings.redis_url, "HEALTH_PORT": str(port)}
            log = stack.enter_context((tmp_path / f"{package}.log").open("ab"))
            process = subprocess.Popen([sys.executable, "-m", package], env={**own, **environment}, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return port

        yield run


class Seen:
    """What an API process returns, and between which times it must lie."""

    def __init__(self, api: ServedApi) -> None:
        self._api = api
        self._since = datetime.now(UTC) - CLOSE

    def get(self, path: str) -> Any:
        """Ask the API."""
        answer = self._api.curl(path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def send(self, number: int, wait: int = 60) -> dict[str, Any]:
        """Upload a picture, and wait for its end."""
        answer = self._api.curl(f"/upload?wait={wait}&filename={number}.jpg", "--data-binary", "@-", body=JPEG)
        assert answer.status == 200, answer
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def is_now(self, *times: object) -> None:
        """Hold times against the test's own, which are Redis's too: they are in order, and within the test."""
        moments = [moment(each) for each in times]
        assert None not in moments, times
        assert moments == sorted(moments), times
        assert self._since <= moments[0] <= moments[-1] <= datetime.now(UTC) + CLOSE, times


def steps(stages: Mapping[str, Mapping[str, Any]]) -> list[object]:
    names = ["grab", *(stage.name for stage in line.LINE)]
    return [stages[name][when] for name in names for when in ("started", "finished")]


def check_picture(seen: Seen, answer: Mapping[str, Any], seconds: float) -> None:
    image_id = answer["image_id"]
    assert 0 < answer["processing_time"] <= seconds
    seen.is_now(*steps(answer["stages"]))
    results = answer["results"]
    seen.is_now(results["uploaded_at"], results["completed_at"])
    seen.is_now(answer["created_at"], answer["updated_at"])
    task = seen.get(f"/task/{image_id}.1")
    seen.is_now(task["created_at"], *(step["finished"] for step in task["history"]), task["finished_at"])
    seen.is_now(iso(ULID.from_str(image_id).datetime))
    ledger = seen.get(f"/ledger/{image_id}")
    seen.is_now(*(each[when] for each in ledger["stages"] for when in ("started", "finished")))


def start_line(start: Start, tmp_path: Path, settings: Settings, stack: ExitStack, off: Mapping[str, str]) -> Seen:
    own = {"REDIS_URL": settings.redis_url, "RETENTION_DAYS": "1", "MODELS_DIR": str(settings.models_folder)}
    wrong = {package: clock_off(offset) for package, offset in off.items()}
    ports = [start(stage.package, **wrong.get(stage.package, {})) for stage in line.LINE]
    start(line.CATALOGUE_PACKAGE, RETENTION_DAYS="1", **wrong.get(line.CATALOGUE_PACKAGE, {}))
    api = ServedApi(tmp_path, **own, **wrong.get(line.API_PACKAGE, {}))
    stack.callback(api.stop)
    assert len(ports) == len(line.LINE)
    return Seen(api)


@pytest.mark.parametrize(
    "off",
    [
        {"grab_service": "+1h", "resize_service": "-1h", "catalogue_service": "+1h"},
        {"grab_service": "-1h", "resize_service": "+1h", "catalogue_service": "-1h"},
    ],
)
def test_a_line_whose_clocks_differ_by_hours_shows_the_right_times(start, tmp_path, settings, off) -> None:
    """Processing times, stages, tasks, history, pages, statistics, estimates, dead letters, ids; deletions count."""
    with ExitStack() as stack:
        seen = start_line(start, tmp_path, settings, stack, off)
        began = time.monotonic()
        pictures = [seen.send(number) for number in range(3)]
        for answer in pictures:
            check_picture(seen, answer, time.monotonic() - began)
        ids = [answer["image_id"] for answer in pictures]
        until(lambda: [row["completed_at"] is not None for row in seen.get("/images")["images"]] == [True] * 3)
        rows = seen.get("/images")["images"]
        assert [row["image_id"] for row in rows] == ids[::-1] == sorted(ids, reverse=True)
        for row in rows:
            seen.is_now(row["uploaded_at"], row["completed_at"])
            assert moment(row["expires_at"]) - moment(row["uploaded_at"]) == timedelta(days=1)
        check_figures(seen, time.monotonic() - began)
        check_foreign(seen, FolderStore(tmp_path / "images"), settings, time.monotonic())
        assert seen._api.curl(f"/image/{ids[0]}", "-X", "DELETE").status == 204
        until(lambda: ids[0] not in [row["image_id"] for row in seen.get("/images")["images"]])
        client = Producer(settings.redis_url, 1).client
        client.rpush("resize_queue", b"nonsense")
        until(lambda: dead_letters.DeadLetters(client).count() == 1)
        ((_, letter),) = dead_letters.DeadLetters(client).list()
        seen.is_now(letter["time"])
    for package, offset in off.items():
        log = "api" if package == line.API_PACKAGE else package
        said = f"this machine's clock is 3600 s {'ahead of' if offset == '+1h' else 'behind'} Redis's"
        assert said in (tmp_path / f"{log}.log").read_text()


def check_figures(seen: Seen, seconds: float) -> None:
    """Every picture and every stage counts, in the last minutes; latencies and estimates are what it took."""
    stats = seen.get("/stats?minutes=10")
    assert (stats["accepted"], stats["completed"], stats["success_rate"]) == (3, 3, 1.0)
    assert {name: found["done"] for name, found in stats["stages"].items()} == {stage.name: 3 for stage in line.LINE}
    assert 0 < stats["latency_seconds"]["p50"] <= stats["latency_seconds"]["p99"] <= 1.1 * seconds
    assert sum(each["completed"] for each in stats["series"]) == 3
    seen.is_now(stats["at"])
    answer = seen._api.curl("/upload?process=false", "--data-binary", "@-", body=JPEG)
    assert 0 < json.loads(answer.body)["estimated_seconds"] <= 10 * seconds


def check_foreign(seen: Seen, store: FolderStore, settings: Settings, began: float) -> None:
    """Another's message says that it was uploaded in an hour: it came when it was first taken."""
    store.put(StoredObject("original/foreign.jpg", JPEG, "image/jpeg"))
    ahead = iso(datetime.now(UTC) + timedelta(hours=1))
    sent = Message.of({"image_id": "foreign", "original_path": "original/foreign.jpg", "uploaded_at": ahead})
    Producer(settings.redis_url, 1).client.rpush("resize_queue", sent.raw)
    until(
        lambda: seen._api.curl("/status/foreign").status == 200 and seen.get("/status/foreign")["results"] is not None
    )
    answer = seen.get("/status/foreign")
    assert 0 <= answer["processing_time"] <= time.monotonic() - began
    seen.is_now(answer["created_at"], answer["updated_at"])


def test_a_worker_whose_clock_the_store_refuses_waits_and_costs_no_attempt(
    start, start_minio, settings, tmp_path
) -> None:
    """It says what is the matter, and takes nothing; one whose clock is right does the work, as a first attempt."""
    minio: MinioServer = start_minio()
    keys = {"MINIO_ENDPOINT": minio.endpoint, "MINIO_ACCESS_KEY": minio.access_key}
    keys |= {"MINIO_SECRET_KEY": minio.secret_key}
    store = S3Store.from_settings(Settings(**{name.lower(): value for name, value in keys.items()}))
    store.check()
    store.put(StoredObject("original/a.jpg", JPEG, "image/jpeg"))
    client = Producer(settings.redis_url, 1).client
    client.rpush("resize_queue", Message.of({"image_id": "a", "original_path": "original/a.jpg", "attempt": 1}).raw)
    start("resize_service", **keys, **clock_off("+1h"))
    log = tmp_path / "resize_service.log"
    until(lambda: "set them right, as by NTP" in log.read_text())
    assert client.llen("resize_queue") == 1
    start("resize_service", **keys)
    until(lambda: client.llen("grayscale_queue") == 1)
    (raw,) = client.lrange("grayscale_queue", 0, -1)
    done = Message.decode(raw).fields
    assert (done["stages"]["resize"]["attempt"], done.get("history")) == (1, None)
