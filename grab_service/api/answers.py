"""How the door answers when all is well."""

import json
from typing import Any, cast

from flask import Response, current_app, request
from pydantic_core import PydanticSerializationError, to_json

from grab_service.api.connections import PatientSocket
from grab_service.images.lookup import Known
from grab_service.line.intake import GrabDoor
from grab_service.streaming.hub import Hub, Watcher


def door() -> GrabDoor:
    """The door of the running application."""
    return cast("GrabDoor", current_app.config["DOOR"])


def known() -> Known:
    """What tells of pictures."""
    return Known(door())


def hub() -> Hub:
    """What tells of events."""
    return cast("Hub", current_app.config["HUB"])


def watch(image_id: str | None = None) -> Watcher:
    """Begin to watch for the client of this request; see `Hub.watch`."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, PatientSocket):
        return hub().watch(image_id, connection.is_gone)
    return hub().watch(image_id)


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
