"""What happened to every container, as the cluster reported it: exits, restarts, warnings, from the beginning."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from tests.kubernetes.kubectl import NAMESPACE

KILLED = 137
BAD_WARNINGS = (
    "BackOff",
    "Failed",
    "FailedKillPod",
    "FailedPostStartHook",
    "FailedPreStopHook",
    "Evicted",
    "OOMKilling",
)


@dataclass(frozen=True)
class Exit:
    """A container that ended."""

    pod: str
    container: str
    code: int
    reason: str
    finished: str

    def __str__(self) -> str:
        return f"{self.pod}/{self.container} ended with {self.code} ({self.reason}) at {self.finished}"


@dataclass
class Story:
    """What is to be explained."""

    exits: set[Exit] = field(default_factory=set)
    restarts: dict[tuple[str, str], int] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


class Watcher:
    """Two watches, of pods and of events, and what they reported since the last ``unexplained``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._story = Story()
        self._reported = Story()
        self._ended = threading.Event()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._threads = [
            threading.Thread(target=self._watch, args=(kind, take), daemon=True)
            for kind, take in (("pods", self._pod), ("events", self._event))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()
        for process in list(self._processes.values()):
            process.terminate()
        for thread in self._threads:
            thread.join(10)

    def exits(self) -> list[Exit]:
        """Every container that ended, oldest first."""
        with self._lock:
            return sorted(self._story.exits, key=lambda one: one.finished)

    def unexplained(self, *, ended: Mapping[str, int] | None = None, restarted: tuple[str, ...] = ()) -> list[str]:
        """What happened since this was last asked that should not have, and no test caused.

        Args:
            ended: containers, and the exit status beside 0 that a test made them end with.
            restarted: containers that a test made start again in their place.
        """
        allowed = ended or {}
        with self._lock:
            exits = self._story.exits - self._reported.exits
            restarts = {
                who: count for who, count in self._story.restarts.items() if count > self._reported.restarts.get(who, 0)
            }
            warnings = {uid: said for uid, said in self._story.warnings.items() if uid not in self._reported.warnings}
            self._reported = Story(set(self._story.exits), dict(self._story.restarts), dict(self._story.warnings))
        return [
            *(str(one) for one in sorted(exits, key=str) if one.code not in {0, allowed.get(one.container, 0)}),
            *(
                f"{pod}/{name} was restarted {count}×"
                for (pod, name), count in restarts.items()
                if name not in restarted
            ),
            *(said for said in warnings.values() if not any(f"/{name}" in said for name in restarted)),
        ]

    def _watch(self, kind: str, take: Any) -> None:
        words = ["kubectl", "--namespace", NAMESPACE, "get", kind, "--watch", "--output", "json"]
        while not self._ended.is_set():
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                self._processes[kind] = process
                assert process.stdout is not None
                for thing in _documents(process.stdout):
                    with self._lock:
                        take(thing)
            time.sleep(0.2)  # the server ends a watch now and then; repeated events are known already

    def _pod(self, pod: Mapping[str, Any]) -> None:
        status, name = pod["status"], pod["metadata"]["name"]
        for container in [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]:
            who = (f"{name} {pod['metadata']['uid'][:8]}", container["name"])
            if container["restartCount"]:
                self._story.restarts[who] = container["restartCount"]
            for state in (container.get("state", {}), container.get("lastState", {})):
                if (ended := state.get("terminated")) is not None:
                    self._story.exits.add(
                        Exit(*who, ended["exitCode"], ended.get("reason", ""), ended.get("finishedAt") or "")
                    )

    def _event(self, event: Mapping[str, Any]) -> None:
        """Keep what says that a container cannot be started or ended; one that a probe ends has its restart counted."""
        if event.get("type") == "Warning" and event.get("reason") in BAD_WARNINGS:
            about = event["involvedObject"]
            container = str(about.get("fieldPath", "")).removeprefix("spec.containers{").removesuffix("}")
            where = f"{about.get('name')}/{container}"
            self._story.warnings[event["metadata"]["uid"]] = f"{where}: {event['reason']}: {event.get('message')}"


def _documents(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """The JSON documents of a stream; kubectl ends each with a line that is a closing brace alone."""
    rows: list[str] = []
    for row in stream:
        rows.append(row)
        if row.rstrip("\n") == "}":
            yield json.loads("".join(rows))
            rows = []
