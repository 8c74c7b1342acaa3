"""An agent of this machine, at whose pipe a test is what Ray's actor is."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.end_to_end.command import wait_until
from tuner.fleet.crew import Attempt
from tuner.fleet.messages import Begin, Chunk, Enrol, ExpectedStudy, packed, unpacked
from tuner.fleet.packing import pack
from tuner.records import Purpose
from tuner.space.space import Configuration
from tuner.study.job import PreparedJob
from tuner.study.trial import TrialPlan

ROOT = Path(__file__).parents[2]
_LONGEST_S = 60.0

Message = TypeVar("Message")


class Agent:
    """One that runs; it ends when its driver hangs up."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe

    def tell(self, message: object) -> None:
        self.pipe.send_bytes(packed(message))

    def enrol(self, prepared: PreparedJob, **otherwise: str) -> None:
        """Send it all that it needs; `otherwise` is what is expected instead of what is so."""
        study, files = prepared.study, pack(prepared)
        expected = {
            "study": study.name,
            "model_fingerprint": study.model_fingerprint,
            "space_fingerprint": study.space_fingerprint,
        }
        self.tell(Enrol("a-host", files.parcel, ExpectedStudy(**expected | otherwise)))
        for number in range(files.parcel.chunks):
            self.tell(Chunk(files.chunk(number)))

    def says(self) -> Any:
        """The next thing."""
        assert self.pipe.poll(_LONGEST_S), "it said nothing"
        return unpacked(self.pipe.recv_bytes())

    def until(self, kind: type[Message]) -> Message:
        """What it says first of that kind."""
        while not isinstance(said := self.says(), kind):
            pass
        return said

    def begins(self, number: int, configuration: Configuration) -> Attempt:
        plan = TrialPlan(number=0, purpose=Purpose.SEARCH, configuration=configuration)
        attempt = Attempt(number, plan)
        self.tell(Begin(attempt))
        return attempt

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def running(temporary: Path) -> Iterator[Agent]:
    """One whose files are in the folder `temporary`; all that it started has ended afterwards."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tuner.fleet.agent", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        )
    agent = Agent(process, Connection(ours.detach()))
    try:
        yield agent
    finally:
        agent.pipe.close()
        try:
            process.wait(_LONGEST_S)
        finally:
            process.kill()
            process.wait()


def gone(processes: list[psutil.Process]) -> None:
    """Wait until they are."""
    wait_until(lambda: not any(map(psutil.Process.is_running, processes)), "their end")
