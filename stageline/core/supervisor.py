"""Supervises child processes: starts them, restarts those that die, and stops them all."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from stageline.core import logs
from stageline.core.retrying import DEAD_CHILD, Attempts

POLL_SECONDS = 0.2
STEADY_SECONDS = 30.0
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """In a child before exec, have Linux send SIGTERM when the parent dies for any reason."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    keep_open: Sequence[IO[str]] = ()
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    deaths: Attempts = field(default_factory=lambda: Attempts(DEAD_CHILD))


class Supervisor:
    """Keeps its children running until it is stopped."""

    def __init__(self, log: IO[bytes] | None = None) -> None:
        """Send the children's output to ``log``, or to this process's own output."""
        self._log = log
        self._children: list[_Child] = []
        self._stopping = threading.Event()

    def add(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], keep_open: Sequence[IO[str]] = ()
    ) -> None:
        """Start a child with ``environment`` added to this process's own; it inherits the files ``keep_open``."""
        child = _Child(name, command, environment, keep_open)
        self._children.append(child)
        self._start(child)

    def pids(self) -> dict[str, int]:
        """Return each living child's process id by name."""
        return {child.name: child.process.pid for child in self._children if child.process is not None}

    def run_until_signal(self, grace_seconds: float) -> None:
        """Watch the children until SIGTERM or SIGINT, then stop them."""
        for signalled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signalled, lambda *_: self._stopping.set())
        while not self._stopping.wait(POLL_SECONDS):
            self.tend()
        self.stop(grace_seconds)

    def tend(self) -> None:
        """Restart the children that died, after a pause that grows while a child keeps dying."""
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._note_death(child, child.process.returncode)
            if child.process is None and child.deaths.is_due():
                self._start(child)

    def stop(self, grace_seconds: float) -> None:
        """Send SIGTERM to every child, and SIGKILL to those that still run after ``grace_seconds``."""
        living = [child.process for child in self._children if child.process is not None]
        for process in living:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + grace_seconds
        for process in living:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, child: _Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 - Stageline's own command lines
            child.command,
            env={**os.environ, **child.environment},
            stdout=self._log,
            stderr=self._log,
            pass_fds=[file.fileno() for file in child.keep_open],
            start_new_session=True,  # Ctrl-C reaches only this process, which stops the children in order
            preexec_fn=die_with_parent,  # noqa: PLW1509 - async-signal-safe: one system call
        )

    def _note_death(self, child: _Child, status: int) -> None:
        lived = time.monotonic() - child.started
        if lived > STEADY_SECONDS:
            child.deaths = Attempts(DEAD_CHILD)
        pause = 0.0 if lived > STEADY_SECONDS else child.deaths.fail()
        child.process = None
        logs.get().error("died", process=child.name, exit_status=status, restart_in=pause)
