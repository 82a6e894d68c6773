"""A client of the API that shows each answer as it came, errors too; and one that repeats until it has an answer."""

import json
import time
from typing import Any, NamedTuple

import urllib3

ENDED = ("completed", "failed", "waiting")
AWAY = 503
TRY_AGAIN = (409, 429, AWAY)
PAUSE = 0.3
NEVER_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


class Answer(NamedTuple):
    """What the API answered."""

    status: int
    headers: Any
    data: bytes

    @property
    def json(self) -> Any:
        """The body, as plain data."""
        return json.loads(self.data)


class ApiClient:
    """The HTTP API at ``url``."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        self.url = url
        self._http = urllib3.PoolManager(retries=False, timeout=timeout, maxsize=8)

    def call(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request.

        Raises:
            urllib3.exceptions.HTTPError: no answer came; the API may have done it, or not.
        """
        answer = self._http.request(method, self.url + path, **more)
        return Answer(answer.status, answer.headers, answer.data)

    def insist(self, method: str, path: str, seconds: float = 120.0, **more: Any) -> tuple[Answer, int]:
        """Send a request until its answer is no "try again"; return it, and how often it may have been done before.

        It may have been done where a request was sent and not answered, and where the answer was 503: the API itself
        was not answered then.

        Raises:
            AssertionError: there was none in that many seconds.
        """
        deadline, lost = time.monotonic() + seconds, 0
        said: object = None
        while time.monotonic() < deadline:
            try:
                answer = self.call(method, path, **more)
            except urllib3.exceptions.HTTPError as error:
                said, lost = error, lost + (not isinstance(error, NEVER_SENT))
            else:
                if answer.status not in TRY_AGAIN:
                    return answer, lost
                said, lost = answer, lost + (answer.status == AWAY)
            time.sleep(PAUSE)
        raise AssertionError(f"{method} {path} was not answered within {seconds:g} s; last: {said}")

    def upload(self, data: bytes, name: str = "a.jpg", query: str = "", **headers: str) -> Answer:
        """Upload a picture as a form; raises as ``call``."""
        return self.call("POST", f"/upload{query}", fields={"image": (name, data)}, headers=headers)

    def take(self, data: bytes, name: str = "a.jpg", query: str = "") -> str:
        """Upload a picture that must be taken; return its id."""
        answer = self.upload(data, name, query)
        assert answer.status == 202, answer
        return str(answer.json["image_id"])

    def status(self, image_id: str) -> dict[str, Any]:
        """Where a picture is, patiently; its ``status`` is "unknown" where the API knows none of that id."""
        answer, _ = self.insist("GET", f"/status/{image_id}")
        assert answer.status in (200, 404), answer
        return answer.json if answer.status == 200 else {"image_id": image_id, "status": "unknown", "run": 0}

    def ended(self, image_id: str, run: int = 1, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until a picture has come to the end of that run, and return its status.

        Raises:
            AssertionError: it has not in that many seconds; the text says where it is.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = self.status(image_id)
            if found["status"] in ENDED and found["run"] >= run:
                return found
            assert time.monotonic() < deadline, f"not ended after {seconds:g} s: {found}"
            time.sleep(0.1)
