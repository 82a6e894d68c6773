"""The rule for threads: one that dies takes its process with it, and whoever started the process starts another.

A process without one of its threads looks well and does half of its work for ever: its lease is kept and nothing is
stored, or its health says ready and nobody beats. What it held is given back when its lease has run out.

Threads that answer a request, gunicorn's and those of /healthz, are no part of this: an error there is that request's.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from stageline.core import logs
from stageline.core.errors import SettingsError

EXIT_CRASH = 70  # EX_SOFTWARE


def exit_on_crash() -> None:
    """Hold this process, and those that it forks, to the rule."""
    threading.excepthook = lambda died: end_process(died.thread, died.exc_value)


@contextlib.contextmanager
def exiting_on_crash() -> Iterator[None]:
    """The same, and for the main thread too, which does what the block says.

    Python would wait, before it ends, for the work of pools, and that may never end: as while the store is away.
    """
    exit_on_crash()
    try:
        yield
    except SettingsError:  # told as such, with an exit status of its own
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, this process is no use any more
        end_process(threading.current_thread(), error)


def end_process(thread: threading.Thread | None, error: BaseException | None) -> NoReturn:
    """Say what a thread died of, and end the process at once."""
    try:
        logs.get().error("crashed", thread=thread and thread.name, exc_info=error)
        sys.stderr.flush()
    finally:
        os._exit(EXIT_CRASH)


def submit(pool: ThreadPoolExecutor, step: Callable[..., None], *words: object) -> None:
    """Have a pool take a step whose answer nobody waits for: an error, which the pool would keep, is a death too."""
    pool.submit(_taken, step, *words)


def _taken(step: Callable[..., None], *words: object) -> None:
    try:
        step(*words)
    except BaseException as error:  # noqa: BLE001 - the pool would keep it to itself
        died = threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
        threading.excepthook(died)
