"""Redis and the hot cache as docker-compose.yml starts them: the real server, by the container's own command."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis

from stageline.local.ports import free_ports
from tests.support.compose_config import make_env, parsed
from tests.support.places import missing


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("redis", {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}),
        ("cache", {"appendonly": "no", "maxmemory": str(256 * 1024**2), "maxmemory-policy": "allkeys-lru", "save": ""}),
    ],
)
def test_redis_runs_with_its_settings(tmp_path: Path, name: str, expected: dict[str, str]) -> None:
    """A real one, started as the container is: it wants the password, and keeps what it must."""
    if shutil.which("redis-server") is None:
        missing("no redis-server on the PATH")
    service = parsed(make_env(tmp_path), ["line"])[name]
    port, password = free_ports(1)[0], service["environment"]["REDISCLI_AUTH"]
    *shell, script = [word.replace("$$", "$") for word in service["entrypoint"]]
    script, times = re.subn(r"--dir \S+", f"--dir {tmp_path} --bind 127.0.0.1 --port {port}", script)
    assert times == 1
    process = subprocess.Popen([*shell, script], env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": password})
    try:
        client = redis.Redis(port=port, password=password, decode_responses=True)
        answers(client)
        assert client.config_get(*expected) == expected
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).get("anything")
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> None:
    """Wait until a Redis that was just started answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.05)
        else:
            return
