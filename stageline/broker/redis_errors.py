"""Decides whether an error of Redis is a reason to wait, or a fault of Stageline's that waiting cannot mend.

The code decides: the capital word with which Redis begins each error. A few codes mean that the command itself is
wrong, on any server. Every other code, known or not, describes the state of the server.
"""

import re

import redis

OURS = frozenset(
    {"ERR", "WRONGTYPE", "CROSSSLOT", "NOSCRIPT", "NOPROTO", "NOGROUP", "BUSYGROUP", "BUSYKEY", "NOTBUSY", "UNKILLABLE"}
)
# Errors with the code ERR that still describe the server: an operator's action, or the number of clients.
NOT_OURS = re.compile(
    r"ACL failure in script|user executing the script can't|[Ss]cript killed by user|max number of clients"
)
CODE = re.compile(r"-?([A-Z][A-Z0-9_]+)(?:\s+|$)")
IN_A_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)  # redis-py's prefix
WRAPPED = re.compile(  # in a transaction; in a script, by Redis before 7
    r"Transaction discarded because of: |Error running script \(call to \w+\): (?:@?user_script: ?\d+: )*"
)


def reason_to_wait(error: redis.RedisError | OSError) -> str | None:
    """Return the reason to wait, as a sentence; None when the error is a fault of Stageline's."""
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
    """Return an error's code, "" when it has none, and its text, which begins with the code.

    redis-py removes the codes that it knows from the text, and keeps them in ``status_code``.
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
