"""Waits for what must become true, and looks at processes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


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


def dead_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


@contextmanager
def holding(
    module: str, wishes: Mapping[str, object], *, group: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A program of the tests with these wishes, and what it says it holds; killed in the end."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True, process_group=group
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(wishes) + "\n")
            process.stdin.flush()
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
