"""A client of the HTTP API, for the command line."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from stageline.core.errors import Busy, NoRoom, StagelineError, Unavailable
from stageline.core.retrying import API_GONE, LINE_FULL, SERVERS_BUSY, SERVERS_BUSY_A_MINUTE, Answer, Policy

ENDED = ("completed", "failed", "waiting")
FULL, AWAY = 429, 503
RAW = {"Content-Type": "application/octet-stream"}


class Refused(StagelineError):
    """The API answered with an error; the text is its detail."""


class Stopped(StagelineError):
    """``stop`` was called during a request or a wait."""


class Client:
    """A client of the API at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=60), retries=False, maxsize=8)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End every wait, from another thread."""
        self._stopping.set()

    def upload(self, path: Path) -> str:
        """Send a picture, waiting while the line is full, and a minute for its servers; return its id.

        Raises:
            Refused: the API refuses the picture, or the file cannot be read.
            Unavailable: the API does not answer, or its servers are away.
            Stopped: ``stop`` was called while it waited.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from error
        named = quote(os.fsencode(path.name), safe="")  # byte for byte: the name may be no UTF-8

        def send() -> str:
            answer = self._request("POST", f"/upload?filename={named}", body=data, headers=RAW)
            if answer.status == FULL:
                raise NoRoom("the line is full", _retry_after(answer))
            image_id = self._content(answer).get("image_id")
            if not isinstance(image_id, str):
                raise self._not_stageline(answer)
            return image_id

        return self._retry(send, LINE_FULL, SERVERS_BUSY_A_MINUTE)

    def get(self, path: str) -> dict[str, Any]:
        """Get a JSON object.

        Raises:
            Refused: the API answered with an error.
            Unavailable: the API does not answer, or its servers are away.
        """
        return self._content(self._request("GET", path))

    def status(self, image_id: str) -> dict[str, Any]:
        """Get the status of the picture with that id or file name; raises as ``get``."""
        found = self.get(f"/status/{quote(os.fsencode(image_id), safe='')}")
        return {"image_id": image_id, "filename": None, "status": None, "results": None, **found}

    def wait(self, image_ids: Sequence[str], pause: float = 0.2) -> Iterator[dict[str, Any]]:
        """Yield each picture's status once it has ended; return early if ``stop`` is called.

        Raises:
            Unavailable: the API was away for a minute.
        """
        waiting = list(image_ids)
        while waiting and not self._stopping.is_set():
            for image_id in list(waiting):
                try:
                    found = self._end_of(image_id)
                except Stopped:
                    return
                if found["status"] in ENDED:
                    waiting.remove(image_id)
                    yield found
            if waiting:
                self._stopping.wait(pause)

    def _end_of(self, image_id: str) -> dict[str, Any]:
        try:
            return self._retry(lambda: self.status(image_id), API_GONE, SERVERS_BUSY)
        except Refused as error:
            results = {"reason": str(error)}
            return {"image_id": image_id, "filename": None, "status": "failed", "results": results}

    def _retry(self, step: Callable[[], Answer], *policies: Policy) -> Answer:
        """Try a step by these retry policies, the innermost first, until it succeeds or ``stop`` is called."""
        for policy in policies:
            step = partial(policy.call, step, self._stopping)
        try:
            return step()
        except Unavailable:
            if self._stopping.is_set():
                raise Stopped("stopped") from None
            raise

    def _request(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        if self._stopping.is_set():
            raise Stopped("stopped")
        try:
            return self._http.request(method, self.url + path, **more)
        except (urllib3.exceptions.HTTPError, ValueError) as error:  # a ValueError: the URL is malformed
            raise Unavailable(f"no line answers at {self.url} ({error}); start one with `stageline up`") from error

    def _content(self, answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        try:
            content = json.loads(answer.data)
        except ValueError:
            raise self._not_stageline(answer) from None
        if not isinstance(content, dict):
            raise self._not_stageline(answer)
        if answer.status == AWAY:
            raise Busy(str(content.get("detail", content)), _retry_after(answer))
        if answer.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
            raise Refused(str(content.get("detail", content)))
        return content

    def _not_stageline(self, answer: urllib3.BaseHTTPResponse) -> Refused:
        return Refused(f"{self.url} answered {answer.status}, and not as a line does")


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float:
    try:
        return max(0.1, float(answer.headers.get("Retry-After", 1.0)))
    except ValueError:  # a date: HTTP allows it
        return 1.0
