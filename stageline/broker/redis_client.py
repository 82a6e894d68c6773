"""Connects to Redis or Valkey, and runs the transitions there: one Lua file each, in ``lua/``."""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.connection import AbstractConnection
from redis.retry import Retry

from stageline.broker import redis_errors
from stageline.broker.keys import BY_NAME, NEVER_THERE
from stageline.core import clock
from stageline.core.errors import Unavailable
from stageline.core.retrying import REDIS_COMMAND

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10  # longer than any blocking pop
SHARED = "_shared.lua"  # prepended to every script
DECLARED = re.compile(r"^-- (KEYS|ARGV): (.*)$", re.MULTILINE)


def connect(url: str, retry: Retry = REDIS_COMMAND) -> redis.Redis:
    """Return a client that connects at its first use; threads may share it."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=30,
        retry=retry,
        redis_connect_func=_greet,
    )


def _greet(connection: AbstractConnection) -> None:
    """Begin a connection as redis-py does, and ask for the time, which this process writes from then on."""
    connection.on_connect_check_health(check_health=False)
    asked = time.monotonic()
    connection.send_command("TIME", check_health=False)  # type: ignore[no-untyped-call]
    _learn(connection.read_response(), asked)


def ask_time(client: redis.Redis) -> None:
    """Ask Redis for its time, in a process that runs no scripts.

    Raises:
        redis.RedisError: Redis cannot be reached; see reaching_redis.
    """
    asked = time.monotonic()
    _learn(client.time(), asked)


def _learn(answer: Any, asked: float) -> None:
    second, microsecond = answer
    clock.learn(int(second) + int(microsecond) / 1e6, asked, time.monotonic())


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Turn the errors of redis-py that are a reason to wait into Unavailable; see `stageline.broker.redis_errors`.

    The others are faults of Stageline's and pass unchanged. (redis-py's ConnectionError is not the builtin.)
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        reason = redis_errors.reason_to_wait(error)
        if reason is None:
            raise
        raise Unavailable(reason) from error


def check_writes(client: redis.Redis) -> None:
    """Check that Redis takes writes, by a SET that changes nothing, as its key never exists.

    Raises:
        Unavailable: Redis cannot be reached, or takes no writes now.
    """
    with reaching_redis():
        client.set(NEVER_THERE, "", xx=True)  # refused like any other write, also when Redis is out of memory


Given = Mapping[str, str | bytes | float]  # a name that a script declares → the key or the value


class Result(IntEnum):
    """The answer of a transition; the scripts use these names."""

    NO_RECORD = -2  # Redis lost the claim that was to be renewed
    SUPERSEDED = -1  # the message's picture was deleted or sent again meanwhile
    NOT_HELD = 0  # another worker or request holds it now
    DONE = 1
    SENT = 2  # this and the next three answer a request to send a picture again
    MOVING = 3
    CHANGED = 4
    FULL = 5
    CLAIMED = 6  # this and the next three answer a request with an Idempotency-Key
    ANSWERED = 7
    RUNNING = 8
    OTHER_REQUEST = 9


class Call:
    """One transition to run: a Lua file, with keys and arguments by the names that the file declares.

    The keys of `keys.BY_NAME` need not be given.
    """

    def __init__(self, script: str, **given: str | bytes | float) -> None:
        self.script, self.given = script, given


class _Script:
    """A Lua file with the shared code before it, and the names that it declares, in their order."""

    def __init__(self, shared: str, own: str) -> None:
        declared = {kind: names.split(", ") for kind, names in DECLARED.findall(own)}
        self.keys, self.args = declared["KEYS"], declared["ARGV"]
        self.names = {*self.keys, *self.args}
        tables = {
            "key": [f"{name}=KEYS[{place}]" for place, name in enumerate(self.keys, 1)],
            "arg": [f"{name}=ARGV[{place}]" for place, name in enumerate(self.args, 1)],
            "result": [f"{each.name}={each.value}" for each in Result if f"result.{each.name}" in own],
        }
        head = "".join(f"local {table} = {{{', '.join(pairs)}}}\n" for table, pairs in tables.items())
        self.source = head + shared + own
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def command(self, given: Given) -> list[str | bytes | float]:
        """Return the words after EVALSHA; raise a KeyError for a name that is not declared, or not given."""
        if not given.keys() <= self.names:
            raise KeyError(f"a script is given what it does not declare: {', '.join(given.keys() - self.names)}")
        keys = [given[name] if name in given else BY_NAME[name] for name in self.keys]
        return [self.sha, len(keys), *keys, *(given[name] for name in self.args)]


@cache
def scripts() -> Mapping[str, _Script]:
    """Read every Lua file; the keys are their names without the ending."""
    texts = {file.name: file.read_text() for file in files("stageline.broker").joinpath("lua").iterdir()}
    shared = texts.pop(SHARED)
    return {name.removesuffix(".lua"): _Script(shared, own) for name, own in texts.items() if name.endswith(".lua")}


class Scripts:
    """Runs the Lua files by their hash, and loads them again when the server has lost them."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, call: Call) -> Any:
        """Run one script and return its answer.

        Raises:
            Unavailable: Redis cannot be reached, or does not take this now.
        """
        (answer,) = self.run_all([call])
        return answer

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts in one round trip, each of them atomic; raise the first error after all have run.

        Raises:
            Unavailable: Redis cannot be reached, or does not take this now. Some scripts may have run, and each of them
                may be repeated.
        """
        with reaching_redis():
            answers = self._send(calls)
            forgotten = [i for i, answer in enumerate(answers) if isinstance(answer, redis.exceptions.NoScriptError)]
            if forgotten:
                for script in scripts().values():
                    self._client.script_load(script.source)
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
            pipe.execute_command("EVALSHA", *scripts()[call.script].command(call.given))  # type: ignore[no-untyped-call]
        answers = list(pipe.execute(raise_on_error=False))
        if asks and not isinstance(answer := answers.pop(0), Exception):
            _learn(answer, asked)
        return answers
