"""The connection to Redis or Valkey, and the atomic steps (one Lua file each, in ``lua/``) that run on it."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, NamedTuple

import redis
from redis.backoff import ConstantBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from stageline.broker import redis_errors
from stageline.broker.keys import NEVER_THERE
from stageline.core import clock
from stageline.core.errors import Unavailable

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10  # longer than any blocking pop of ours
SHARED = "_notes.lua"  # stands before every script


def connect(url: str, retries: int = 1) -> redis.Redis:
    """Return a client that connects when first used; safe to share between threads."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=30,
        retry=Retry(ConstantBackoff(0.05), retries),
        redis_connect_func=_greet,
    )


def _greet(connection: AbstractConnection) -> None:
    """Begin a connection as redis-py does, and ask for the time: what this process writes down next has it."""
    connection.on_connect_check_health(check_health=False)
    asked = time.monotonic()
    connection.send_command("TIME", check_health=False)  # type: ignore[no-untyped-call]
    _learn(connection.read_response(), asked)


def ask_time(client: redis.Redis) -> None:
    """Have this process learn Redis's time, where no step of Scripts does.

    Raises:
        redis.RedisError: Redis is away; see reaching_redis.
    """
    asked = time.monotonic()
    _learn(client.time(), asked)


def _learn(told: Any, asked: float) -> None:
    second, microsecond = told
    clock.learn(int(second) + int(microsecond) / 1e6, asked, time.monotonic())


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Turn what redis-py raises when Redis is away, or refuses what it will take later, into Unavailable.

    What is left is a fault of ours: see `stageline.broker.redis_errors`. (redis-py's ConnectionError is not the builtin.)
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        reason = redis_errors.waits(error)
        if reason is None:
            raise
        raise Unavailable(reason) from error


def check_writes(client: redis.Redis) -> None:
    """Try whether Redis takes what a line writes, by a SET that changes nothing: that key is never there.

    Raises:
        Unavailable: it is away, or takes no writes now.
    """
    with reaching_redis():
        client.set(NEVER_THERE, "", xx=True)  # refused as any other write is, also when there is no memory left


class Call(NamedTuple):
    """One atomic step to run: the Lua file's name, its keys, its arguments."""

    script: str
    keys: Sequence[str]
    args: Sequence[str | bytes | float | int]


class Scripts:
    """The Lua files, run by their hash and loaded again whenever the server has forgotten them."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        folder = files("stageline.broker").joinpath("lua")
        shared = folder.joinpath(SHARED).read_text()
        self._source = {
            file.name.removesuffix(".lua"): shared + file.read_text()
            for file in folder.iterdir()
            if file.name.endswith(".lua") and file.name != SHARED
        }
        self._sha = {
            name: hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            for name, source in self._source.items()
        }

    def run(self, call: Call) -> Any:
        """Run one step and return its answer.

        Raises:
            Unavailable: Redis is away, or does not take this now.
        """
        (answer,) = self.run_all([call])
        return answer

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run steps in one round trip, each atomic by itself; the first that fails is raised after all have run.

        Raises:
            Unavailable: Redis is away, or does not take this now; some steps may have run, and each may be repeated.
        """
        with reaching_redis():
            answers = self._send(calls)
            forgotten = [i for i, answer in enumerate(answers) if isinstance(answer, redis.exceptions.NoScriptError)]
            if forgotten:
                for source in self._source.values():
                    self._client.script_load(source)
                for position, answer in zip(forgotten, self._send([calls[i] for i in forgotten]), strict=True):
                    answers[position] = answer
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        asks, asked = clock.is_due(), time.monotonic()
        if asks:
            pipe.time()
        for call in calls:
            pipe.evalsha(self._sha[call.script], len(call.keys), *call.keys, *call.args)
        answers = list(pipe.execute(raise_on_error=False))
        if asks and not isinstance(told := answers.pop(0), Exception):
            _learn(told, asked)
        return answers
