"""Paths and queries with bytes that are not UTF-8: decoded by the best guess before Flask reads them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from stageline.pipeline.filenames import decoded

GUESSED = "stageline.guessed"  # key in a request's environment: the parameters whose encoding was guessed
Environment = dict[str, Any]
Served = Callable[[Environment, Any], Iterable[bytes]]


def readable(serve: Served) -> Served:
    """Wrap a WSGI application: it gets every path and query in UTF-8."""

    def wrapped(environ: Environment, start_response: Any) -> Iterable[bytes]:
        path = decoded(environ.get("PATH_INFO", "").encode("latin-1"))  # WSGI passes bytes as Latin-1
        if path.guessed:
            environ["PATH_INFO"] = path.text.encode().decode("latin-1")
        pairs = [_pair(each) for each in environ.get("QUERY_STRING", "").split("&")]
        guessed = frozenset(name for name, _, is_guess in pairs if is_guess)
        if guessed:
            environ["QUERY_STRING"] = "&".join(pair for _, pair, _ in pairs)
        environ[GUESSED] = guessed
        return serve(environ, start_response)

    return wrapped


def is_guessed(environ: Mapping[str, Any], parameter: str) -> bool:
    """Return whether the encoding of a query parameter was guessed."""
    return parameter in environ.get(GUESSED, ())


def _pair(raw: str) -> tuple[str, str, bool]:
    """Return a parameter's name, the pair in UTF-8, and whether its encoding was guessed."""
    (name, is_name_guess), (value, is_value_guess) = (
        decoded(unquote_to_bytes(part.encode("latin-1").replace(b"+", b" "))) for part in raw.partition("=")[::2]
    )
    if not (is_name_guess or is_value_guess):
        return name, raw, False
    return name, f"{quote(name, safe='')}={quote(value, safe='')}", True
