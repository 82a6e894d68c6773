"""Python's sleep, for a process under libfaketime: that takes the monotonic time to sleep until for a faked one."""

import threading
import time


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = _sleep
