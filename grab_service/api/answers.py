"""Successful answers in JSON."""

import json
from typing import Any

from flask import Response
from pydantic_core import PydanticSerializationError, to_json


def answer(content: Any, status: int = 200, **headers: str) -> Response:
    """Return an answer in JSON; header names are given with underscores."""
    made = Response(written(content) + b"\n", status, mimetype="application/json")
    for name, value in headers.items():
        made.headers[name.replace("_", "-")] = value
    return made


def written(content: Any, indent: int | None = 2) -> bytes:
    """Return indented JSON; NaN and infinities become null."""
    try:
        return to_json(content, indent=indent, inf_nan_mode="null")
    except PydanticSerializationError:  # a lone surrogate in a foreign document
        return json.dumps(content, indent=indent).encode()
