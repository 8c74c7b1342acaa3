"""A real `tuner serve`, killed and started again as machines and people do it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.end_to_end.command import TUNER, wait_until
from tests.end_to_end.quick_server import AT_ONCE

SPACE = """
server: command
serve:
  command: [{python}, {folder}/server.py, "{{port:http}}", "{{{{ n }}}}"]
  ready: /
  request: {{path: /}}
parameters:
  n: {{type: int, low: 1, high: 9, default: 1, sets: {{template: n}}}}
"""


class Service:
    """One that uses the same folder, database and port at each start."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._port = port
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once it answers."""
        words = ["serve", "--port", str(self._port), "--folder", "service", "--allow-commands"]
        self._process = subprocess.Popen(
            [TUNER, *words, "--spaces", str(self.folder)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until(self._answers, "the service")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its status and what it said."""
        assert self._process is not None
        self._process.send_signal(number)
        said, _ = self._process.communicate(timeout=30)
        return self._process.returncode, said

    def submit(self, study: str) -> int:
        """The number of a job that lasts until somebody ends it."""
        options = {"space": str(self.folder / "mine.yaml"), "budget_ms": 20, "timeout": "10m"}
        return int(self._ask("POST", "", json={"options": options, "study": study})["id"])

    def job(self, number: int) -> dict[str, Any]:
        return self._ask("GET", f"/{number}")

    def states(self, *numbers: int) -> list[str]:
        return [self.job(number)["state"] for number in numbers]

    def await_state(self, number: int, state: str) -> dict[str, Any]:
        wait_until(lambda: self.job(number)["state"] == state, f"job {number} to be {state}")
        return self.job(number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None
        with suppress(httpx.TransportError):
            return self._get("/healthz").status_code < 500
        return False

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self._port}{path}")

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/jobs{path}"
        token = self.folder / "service" / "token"
        headers = (
            {"Authorization": f"Bearer {token.read_text().strip()}"} if token.exists() else {}
        )
        answer = httpx.request(method, url, headers=headers, timeout=30, **more)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@contextmanager
def service(folder: Path, port: int) -> Iterator[Service]:
    """A service that was started; nothing of it, and none of its jobs, is left afterwards."""
    (folder / "server.py").write_text(AT_ONCE)
    (folder / "mine.yaml").write_text(SPACE.format(python=sys.executable, folder=folder))
    found = Service(folder, port)
    found.start()
    try:
        yield found
    finally:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            found.end(signal.SIGKILL)
        for study in (folder / "service" / "logs").glob("*.log"):
            kill(process(study.stem))


def process(study: str) -> psutil.Process | None:
    """The one that runs the study, if it is there."""
    for each in psutil.process_iter(["cmdline"]):
        words = each.info["cmdline"] or []
        if study in words and "-m" in words and each.status() != psutil.STATUS_ZOMBIE:
            return each
    return None


def kill(tuner: psutil.Process | None) -> None:
    """It and all that it has started, by its process group."""
    if tuner is not None:
        with suppress(ProcessLookupError):
            os.killpg(tuner.pid, signal.SIGKILL)
