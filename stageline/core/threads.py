"""Ends the process when one of its threads dies of an error, so that the process's parent starts another.

A process that lacks a thread looks healthy and does only part of its work: its lease is renewed while nothing is
stored, or it reports ready without heartbeats. The messages of an ended process return to the queue when its lease has
expired.

Threads that answer a request, of gunicorn and of /healthz, are exempt: an error there fails only the request.
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
    """End this process, and those that it forks, when a thread dies of an error."""
    threading.excepthook = lambda died: end_process(died.thread, died.exc_value)


@contextlib.contextmanager
def exiting_on_crash() -> Iterator[None]:
    """Do the same for the main thread too, while it runs the block.

    Python would otherwise wait for the work of pools before it ends, perhaps for ever, as while the store is away.
    """
    exit_on_crash()
    try:
        yield
    except SettingsError:  # the caller reports it, with an exit status of its own
        raise
    except Exception as error:  # noqa: BLE001 - any error here makes the process useless
        end_process(threading.current_thread(), error)


def end_process(thread: threading.Thread | None, error: BaseException | None) -> NoReturn:
    """Log the error of a thread, and end the process at once."""
    try:
        logs.get().error("crashed", thread=thread and thread.name, exc_info=error)
        sys.stderr.flush()
    finally:
        os._exit(EXIT_CRASH)


def submit(pool: ThreadPoolExecutor, step: Callable[..., None], *words: object) -> None:
    """Submit a step without an answer to a pool; an error, which the pool would keep, ends the process too."""
    pool.submit(_run, step, *words)


def _run(step: Callable[..., None], *words: object) -> None:
    try:
        step(*words)
    except BaseException as error:  # noqa: BLE001 - the pool would keep the error in its future
        died = threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
        threading.excepthook(died)
