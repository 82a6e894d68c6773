"""A client of the HTTP door, for the command line."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import urllib3

from stageline.errors import StagelineError, Unavailable

ENDED = ("completed", "failed")
FULL = 429


class Refused(StagelineError):
    """The door answered with an error; the text is what it said."""


class Client:
    """Talks to the door at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=60), retries=False, maxsize=8)

    def upload(self, path: Path) -> str:
        """Send a picture, waiting while the line is full; return its id.

        Raises:
            Refused: the door does not take it.
            Unavailable: there is no door.
        """
        while True:
            fields = {"image": (path.name, path.read_bytes())}
            answer = self._request("POST", "/upload", fields=fields)
            if answer.status != FULL:
                return str(self._content(answer)["image_id"])
            time.sleep(float(answer.headers.get("Retry-After", 1)))

    def get(self, path: str) -> dict[str, Any]:
        """Get a JSON object.

        Raises:
            Refused: the door answered with an error.
            Unavailable: there is no door.
        """
        return self._content(self._request("GET", path))

    def wait(self, image_ids: Sequence[str], pause: float = 0.2) -> Iterator[dict[str, Any]]:
        """Yield each picture's status when it has come to its end."""
        waiting = list(image_ids)
        while waiting:
            for image_id in list(waiting):
                found = self.get(f"/status/{image_id}")
                if found["status"] in ENDED:
                    waiting.remove(image_id)
                    yield found
            if waiting:
                time.sleep(pause)

    def _request(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(method, self.url + path, **more)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"no line answers at {self.url} ({error}); start one with `stageline up`") from error

    def _content(self, answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(answer.data)
        except ValueError:
            raise Refused(f"{self.url} answered {answer.status}, and not as a line does") from None
        if answer.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
            raise Refused(str(content.get("detail", content)))
        return content
