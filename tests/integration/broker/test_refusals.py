"""Which errors of Redis ask to wait, and which are a fault of ours: each by its code, as redis-py really reads it."""

from collections.abc import Callable, Iterator

import pytest
import redis

from stageline.broker.redis_client import Call, Scripts, connect, reaching_redis
from stageline.core.errors import Unavailable
from tests.support.refusing_redis import RefusingRedis
from tests.support.servers import RedisServer

WRAPPED = "ERR Error running script (call to f_1f8f): @user_script:1: "  # by Redis 6.2
NO_KEY = "The user executing the script can't access at least one of the keys mentioned in the command arguments"
NO_CHANNEL = "The user executing the script can't publish to the channel mentioned in the command"
MOODS = [
    "READONLY You can't write against a read only replica.",
    "NOREPLICAS Not enough good replicas to write.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions to run the 'set' command",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "REDIRECT 127.0.0.1:6381",
    "NOMASTERLINK Can't SYNC while not connected with my master",
    "DENIED Redis is running in protected mode",
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
    "EXECABORT Transaction discarded because of previous errors.",
    "SOMEDAY a code that no Redis of today has",
    "SOME_DAY2",
    "upstream failure",
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
    "ERR invalid password",
    "ERR ACL failure in script: User default has no permissions to run the 'set' command script: on @user_script:1.",
    "ERR The user executing the script can't run this command or subcommand script: 1f8f, on @user_script:1.",
    f"{WRAPPED}@user_script: 1: The user executing the script can't run this command or subcommand",
    f"ERR {NO_KEY} script: 1f8f, on @user_script:1.",
    f"ERR {NO_CHANNEL} script: 1f8f, on @user_script:1.",
    f"{WRAPPED}@user_script: 1: {NO_KEY}",
    f"{WRAPPED}Script killed by user with SCRIPT KILL...",
]
FAULTS = [
    "ERR unknown command 'BLMOVE', with args beginning with: ",
    "ERR value is not an integer or out of range",
    "ERR DB index is out of range",
    "ERR syntax error",
    "ERR READONLY is a word here and no code",
    "ERR Unknown Redis command called from script script: 21b0, on @user_script:1.",
    f"{WRAPPED}user_script:1: Script attempted to access nonexistent global variable 'nothing'",
    f"{WRAPPED}WRONGTYPE Operation against a key holding the wrong kind of value",
    f"{WRAPPED}@user_script: 1: Unknown Redis command called from Lua script",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "NOPROTO unsupported protocol version",
    "EXECABORT Transaction discarded because of: WRONGTYPE Operation against a key holding the wrong kind of value",
]
IN_SCRIPTS = [words for words in MOODS if words.split()[0] in ("READONLY", "NOREPLICAS", "MISCONF", "OOM", "SOMEDAY")]


def plainly(client: redis.Redis) -> None:
    with reaching_redis():
        client.get("a key")


def in_a_pipeline(client: redis.Redis) -> None:
    with reaching_redis():
        pipe = client.pipeline(transaction=False)
        pipe.hgetall("a) of pipeline caused error: WRONGTYPE no")
        pipe.llen("b")
        pipe.execute()


def in_a_step(client: redis.Redis) -> None:
    Scripts(client).run(Call("let_go", in_flight="a list", message="a message"))


WAYS = [plainly, in_a_pipeline, in_a_step]


@pytest.fixture
def refusing(redis_server: RedisServer) -> Iterator[RefusingRedis]:
    found = RefusingRedis(redis_server.port)
    yield found
    found.close()


@pytest.fixture
def wrapping(redis_server: RedisServer) -> Iterator[RefusingRedis]:
    """A server that reports errors within scripts as Redis 6.2 does."""
    found = RefusingRedis(redis_server.port, wraps=True)
    yield found
    found.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("words", MOODS)
def test_how_the_server_is_means_wait(words: str, way: Callable, refusing: RefusingRedis) -> None:
    """An error that no command of ours causes is Unavailable, with the server's words; afterwards all goes on."""
    client = connect(refusing.url)
    refusing.refusal = words
    with pytest.raises(Unavailable, match="Redis ") as caught:
        way(client)
    assert words.rsplit(": ", maxsplit=1)[-1].removeprefix("ERR ") in str(caught.value)
    refusing.refusal = None
    way(client)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("words", FAULTS)
def test_what_a_command_of_ours_earns_is_raised_as_it_is(words: str, way: Callable, refusing: RefusingRedis) -> None:
    """Waiting cannot mend it, so no retry is made."""
    client = connect(refusing.url)
    refusing.refusal = words
    with pytest.raises(redis.ResponseError):
        way(client)


@pytest.mark.parametrize("words", IN_SCRIPTS)
def test_an_error_that_redis_6_wraps_is_read(words: str, wrapping: RefusingRedis) -> None:
    """``Error running script …: -READONLY …`` is a READONLY, and is reported without the wrapping."""
    client = connect(wrapping.url)
    wrapping.refusal = words
    with pytest.raises(Unavailable) as caught:
        in_a_step(client)
    assert str(caught.value).endswith(f": {words}")


def test_what_never_left_this_process_is_a_fault_of_ours(redis_server: RedisServer) -> None:
    """A value that redis-py cannot send is no refusal of a server."""
    with pytest.raises(redis.DataError), reaching_redis():
        connect(redis_server.url).set("a key", object())
