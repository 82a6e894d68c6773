"""What an error of Redis asks for: to wait, or nothing that waiting could mend, because it is a fault of ours.

An answer's code decides, the capital word that Redis begins each error with. A few codes are what a command of ours
earns by itself, on any server. Every other code says how the server is, also one that no Redis of today has.
"""

import re

import redis

OURS = frozenset(
    {"ERR", "WRONGTYPE", "CROSSSLOT", "NOSCRIPT", "NOPROTO", "NOGROUP", "BUSYGROUP", "BUSYKEY", "NOTBUSY", "UNKILLABLE"}
)
# Said under the code ERR, and still about the server: an operator's doing, or how many clients there are.
NOT_OURS = re.compile(
    r"ACL failure in script|user executing the script can't|[Ss]cript killed by user|max number of clients"
)
CODE = re.compile(r"-?([A-Z][A-Z0-9_]+)(?:\s+|$)")
IN_A_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)  # redis-py's words before it
WRAPPED = re.compile(  # in a transaction; in a script, by Redis before 7
    r"Transaction discarded because of: |Error running script \(call to \w+\): (?:@?user_script: ?\d+: )*"
)


def reason_to_wait(error: redis.RedisError | OSError) -> str | None:
    """Say what is to be waited for, as a sentence; None where the error is a fault of ours."""
    if isinstance(error, redis.DataError):  # it never left this process
        return None
    code, words = _read(error)
    if isinstance(error, redis.ResponseError):
        is_ours = code in OURS and not NOT_OURS.search(words)
        return None if is_ours else f"Redis does not take this now (REDIS_URL): {words}"
    if isinstance(error, redis.AuthenticationError):
        return f"Redis refuses the password (REDIS_PASSWORD, or the one in REDIS_URL): {words}"
    if code and code not in OURS:
        return f"Redis does not take this now (REDIS_URL): {words}"
    return f"Redis cannot be reached (REDIS_URL): {words}"


def _read(error: redis.RedisError | OSError) -> tuple[str, str]:
    """The code of an answer, "" where it has none, and its words with the code before them.

    redis-py takes the codes that it knows off the words, and keeps them beside, in ``status_code``.
    """
    code = getattr(error, "status_code", None) or ""
    words = IN_A_PIPELINE.sub("", str(error), count=1)
    inner = WRAPPED.search(words)
    if inner:
        words = words[inner.end() :]
    if (inner or not code) and isinstance(error, redis.ResponseError):
        found = CODE.match(words)
        words = words[found.end() :] if found else words
        code = found[1] if found else code
    return code, f"{code} {words}".strip()
