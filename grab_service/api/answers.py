"""How the API answers when all is well."""

import json
from typing import Any

from flask import Response
from pydantic_core import PydanticSerializationError, to_json


def answer(content: Any, status: int = 200, **headers: str) -> Response:
    """An answer in JSON; a header's name is given with underscores."""
    made = Response(written(content) + b"\n", status, mimetype="application/json")
    for name, value in headers.items():
        made.headers[name.replace("_", "-")] = value
    return made


def written(content: Any, indent: int | None = 2) -> bytes:
    """JSON, readable; what is no number in JSON is null."""
    try:
        return to_json(content, indent=indent, inf_nan_mode="null")
    except PydanticSerializationError:  # half a character, in a document that is not ours
        return json.dumps(content, indent=indent).encode()
