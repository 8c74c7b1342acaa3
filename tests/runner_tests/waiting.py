"""Waits for what must become true, and looks at processes."""

import time
from collections.abc import Callable, Iterable
from functools import partial

import psutil

DEADLINE_S = 10.0


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.perf_counter() + DEADLINE_S
    while not condition():
        assert time.perf_counter() < deadline, f"{condition} stayed false for {DEADLINE_S} s"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pids: Iterable[int]) -> None:
    for pid in pids:
        wait_until(partial(is_gone, pid))
