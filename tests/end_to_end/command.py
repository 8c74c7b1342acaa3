"""Runs the installed `tuner` command as a person would, and looks after what it leaves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

TUNER = Path(sys.executable).with_name("tuner")
OPTIMIZE = ("optimize", "--budget-ms", "50", "--seed", "3")
# A latency budget that can be met while other tests run, by its percentile: load points last for
# many limits.
EASY = ("--budget-ms", "100", "--percentile", "90")


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tuner(
    *arguments: str, folder: Path, timeout_s: float = 300, program: Path = TUNER
) -> Finished:
    """Run `tuner ARGUMENTS` in `folder` to its end; `program` may be another environment's."""
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def begin(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """Start `tuner ARGUMENTS` in a process group of its own, its stderr readable by line."""
    return subprocess.Popen(
        [TUNER, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that `process` has started, as they are now."""
    return psutil.Process(process.pid).children(recursive=True)


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = 180) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)
