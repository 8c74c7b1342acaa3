"""Another process that runs a study, until it is told to write, or is ended."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROGRAM = """
import socket, sys
path, study, host = sys.argv[1:]
if host:
    socket.gethostname = lambda: host
from tests.report import studies
from tuner.errors import StudyLostError
from tuner.goals import LatencyBudget
from tuner.search.search import Search
from tuner.space.space import Configuration
from tuner.store.events import EventKind
from tuner.store.ownership import held
from tuner.store.storage import Storage
from tests.spaces import integer, space

writes = {
    "trial": lambda: storage.save_trial(study, studies.trial(90)),
    "event": lambda: hold.record(EventKind.SAID, {"text": "here"}),
    "stopped": lambda: storage.save_stopped(study, "the time was used up"),
    "proposal": lambda: search.ask(),
    "end": lambda: None,
}
with Storage(path, create=True) as storage, held(storage, study, limits={}) as hold:
    search = Search(
        space(integer()), LatencyBudget(99, 0.05), storage_url=storage.url, study_name=study,
        seed=0, guard=storage.guard,
    )
    print("has it", flush=True)
    for line in sys.stdin:
        try:
            writes[line.strip()]()
        except StudyLostError as error:
            print("lost:", error.message, flush=True)
        else:
            print("written", flush=True)
        if line.strip() == "end":
            break
"""


class Owner:
    """A process that runs a study; `pid` is its number."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.pid = process.pid
        assert self._hears() == "has it"

    def does(self, what: str) -> str:
        """Have it write a `trial`, an `event`, ... or `end`; what it says of that."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self._hears()

    def _hears(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def owner(place: Path | str, study: str, *, host: str = "") -> Iterator[Owner]:
    """A process that runs the study in the database at `place`, on a machine called `host`."""
    command = [sys.executable, "-c", _PROGRAM, str(place), study, host]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Owner(process)
        finally:
            process.kill()
