"""What do those cost who watch a job of a service? Under 3 % of a core for 200, with 50 polls/s.

    python -m benchmarks.service_watchers

A service runs in a process of its own, with a job whose study writes three events a second (this
process writes them, as a study does). In turn nobody asks for anything, and 200 watch the job's
events while it is asked for 50 times a second (`benchmarks.watcher_load`, another process). The
figure is the processor time of the service's process, as a share of one core. Ends with status 1
if the bound is missed, or if a watcher was not told each event.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.many_trials import many, study
from benchmarks.options import count
from benchmarks.processes import cpu_s
from benchmarks.tables import machine, spread, table
from benchmarks.watcher_load import options as load_options
from runners.process_names import machine as this_machine
from runners.process_names import own_name
from tuner.goals import SearchBudget
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.store.events import EventKind
from tuner.store.ownership import held
from tuner.store.queue import QueueState, Submission, bring, submit
from tuner.store.rows import point_document
from tuner.store.storage import Storage
from tuner.study.given_space import space_path

_MOST_SHARE = 0.03
_EVENTS_PER_S = 3.0
_TRIALS = 100
STUDY = "watched"
# What the space asks of the machine; any will do.
_MACHINE = ("cores", "memory_gib", "numa_nodes", "threads_per_core", "numactl", "gpus")


@dataclass(frozen=True)
class Round:
    """Shares of one core; events that were written and, by watcher, told."""

    alone: float
    watched: float
    written: int
    told: Sequence[int]
    statuses: dict[str, int]
    slowest_s: float

    @property
    def is_whole(self) -> bool:
        """Whether each watcher was told all, but for what was under way at the two ends."""
        under_way = 2 * _EVENTS_PER_S
        return min(self.told) >= self.written - under_way and set(self.statuses) == {"200"}


class Writer:
    """Writes events of a study at a steady rate, in a thread."""

    def __init__(self, database: str) -> None:
        self.written = 0
        self._database = database
        self._over = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._write)
        file = space_path("triton")
        self._space = resolve(spec.load_space(file), dict.fromkeys(_MACHINE, 2), file=file)
        self._trials = list(many(_TRIALS, self._space))

    def __enter__(self) -> "Writer":
        self._thread.start()
        if not self._begun.wait(60.0):
            raise SystemExit("the study did not begin")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        trials = self._trials
        point = point_document(trials[0].points[0])
        with Storage(self._database, create=True) as storage:
            _run_job(storage)
            storage.create_study(replace(study(self._space), name=STUDY, trials=()))
            for trial in trials:
                storage.save_trial(STUDY, trial)
            with held(storage, STUDY, limits=SearchBudget().as_record()) as hold:
                begins = {"purpose": "search", "configuration": dict(trials[0].configuration)}
                hold.record(EventKind.TRIAL_BEGAN, begins, trial=_TRIALS)
                self._begun.set()
                while not self._over.wait(1 / _EVENTS_PER_S):
                    hold.record(EventKind.POINT_MEASURED, {"point": point}, trial=_TRIALS)
                    self.written += 1


def _run_job(storage: Storage) -> None:
    """A job in the queue that this process runs."""
    wanted = Submission(
        study=STUDY, machine=this_machine(), options={"budget_ms": 50.0}, by="", log=""
    )
    job, _ = submit(storage, wanted)
    queued = [QueueState.QUEUED]
    bring(storage, job.id, QueueState.RUNNING, expected=queued, process=own_name(), attempts=1)


@contextmanager
def service(database: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Its address and the number of its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["serve", "--db", database, "--folder", str(folder), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tuner", *words], stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    answer = "nothing"
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            found = httpx.get(f"{url}/readyz")
            if found.is_success:
                return
            answer = found.text
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the service did not begin; it said {answer}")


def rounds(asked: argparse.Namespace, folder: Path) -> Iterator[Round]:
    database = str(folder / "studies.db")
    with Writer(database) as writer, service(database, folder / "service") as (url, pid):
        for number in range(asked.rounds):
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
            before_s = cpu_s(pid)
            time.sleep(asked.seconds)
            alone = (cpu_s(pid) - before_s) / asked.seconds
            yield _watched(asked, url, folder / "service" / "token", (writer, pid, alone))


def _watched(
    asked: argparse.Namespace, url: str, token: Path, known: tuple[Writer, int, float]
) -> Round:
    writer, pid, alone = known
    words = [url, STUDY, "--token-file", str(token), "--watchers", str(asked.watchers)]
    words += ["--polls", str(asked.polls), "--seconds", str(asked.seconds)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.watcher_load", *words], stdout=subprocess.PIPE
    ) as load:
        if load.stdout is None or load.stdout.readline() != b"joined\n":
            raise SystemExit("the load did not begin")
        before_s, written, began_s = cpu_s(pid), writer.written, time.monotonic()
        time.sleep(max(0.0, asked.seconds - 0.2))
        share = (cpu_s(pid) - before_s) / (time.monotonic() - began_s)
        written = writer.written - written
        seen: dict[str, Any] = json.loads(load.stdout.read())
    return Round(alone, share, written, seen["events"], seen["statuses"], seen["slowest_s"])


def report(asked: argparse.Namespace, seen: Sequence[Round]) -> str:
    headings = [
        "watchers", "polls/s", "share of a core, %", "events told to each", "of", "slowest, ms",
    ]  # fmt: skip
    told = [number for each in seen for number in each.told]
    rows = [
        ["0", "0", spread([100 * each.alone for each in seen]), "", "", ""],
        [
            str(asked.watchers),
            f"{asked.polls:g}",
            spread([100 * each.watched for each in seen]),
            f"{min(told)} to {max(told)}",
            spread([each.written for each in seen], 0),
            spread([1e3 * each.slowest_s for each in seen], 1),
        ],
    ]
    return table(headings, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=count, default=3)
    load_options(parser)
    asked = parser.parse_args()
    print(f"{asked.rounds} rounds of twice {asked.seconds:g} s. {machine()}.\n")
    with tempfile.TemporaryDirectory() as folder:
        seen = list(rounds(asked, Path(folder)))
    print(report(asked, seen))
    missed = any(each.watched > _MOST_SHARE or not each.is_whole for each in seen)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
