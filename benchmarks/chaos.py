"""Does a study survive whatever happens on the machine? Random faults over real studies.

    python -m benchmarks.chaos --faults 100 --json FILE
    python -m benchmarks.chaos --place containers --faults 20
    python -m benchmarks.chaos --place postgresql --faults 20

Studies of a device whose best configuration is known on paper run on the real Triton. While one
runs, a fault strikes at a random moment. The study goes on by itself, or its tuner ends, and
`tuner resume` goes on with it; then nothing that was measured may be missing, nothing may be left
of what ended, and another trial must end. The study gets its finals when it was struck several
times, and its recommendation is compared, on paper, with that of an undisturbed study. Needs root:
disks are filled and networks cut that are the study's own.
"""

import argparse
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.chaos_faults import Scene
from benchmarks.chaos_places import PLACES, Place
from benchmarks.known_devices import Device
from benchmarks.options import count
from benchmarks.tables import machine, table
from tuner.analysis.standings import standings
from tuner.errors import TunerError
from tuner.records import StudyRecord
from tuner.store.events import EventKind, events
from tuner.store.jobs import JobRecord, job_of
from tuner.store.storage import Storage

_TUNER = Path(sys.executable).with_name("tuner")
_STUDY = "chaos"
# The faults that strike one study, one after the other.
_FAULTS_PER_STUDY = 10
# A fault strikes this long after the last one was over, at the earliest and at the latest.
_STRIKES_S = (1.0, 9.0)
# After a fault, another trial must end within this time.
_PATIENCE_S = 150.0
_POLL_S = 0.1
# What the search gets after the last fault, finals included.
_TIMEOUT = "3m"
# The device of all studies: two slots, batches of up to eight rows at once.
DEVICE = Device(fixed_s=0.004, each_s=0.0005, rows=8, slots=2, limit_s=0.03)
# The recommendation of a disturbed study must carry this share of an undisturbed one's.
_GOOD = 0.95


@dataclass(frozen=True)
class Outcome:
    """What one fault did; `wrong` is empty where all went well."""

    study: int
    fault: str
    trial: int
    ended: bool
    points_before: int
    points_after: int
    recovered_s: float
    wrong: str


@dataclass(frozen=True)
class Study:
    """What a study recommends, after how many faults."""

    faults: Sequence[str]
    recommended: str
    capacity: float


class Subject:
    """A study that is struck, and its tuner's process."""

    def __init__(self, folder: Path, place: Place, device: Device, timeout: str) -> None:
        self.folder = folder
        self.device = device
        self.timeout = timeout
        self.place = place
        self.database = place.database
        self._begun: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it, or go on with it."""
        options = ["--db", self.database, "--output", str(self.folder / "reports")]
        command = [str(_TUNER), "resume", _STUDY, *options]
        if self._begun is None:
            model = ["--model-repository", str(self.folder / "models")]
            budget = f"{1e3 * self.device.limit_s:g}"
            command = [str(_TUNER), "optimize", "--study", _STUDY, "--budget-ms", budget]
            command += ["--timeout", self.timeout, "--confirmations", "1", *model, *options]
            command += self.place.options
        with (self.folder / "tuner.log").open("ab") as log:
            self._begun = subprocess.Popen(
                self.place.wrap(command),
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.place.environment},
            )
        wait_until(lambda: self.job() is not None or not self.runs, "the tuner to have the study")

    @property
    def runs(self) -> bool:
        return self._begun is not None and self._begun.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def _process(self) -> "subprocess.Popen[bytes]":
        if self._begun is None:
            raise RuntimeError("`begin` first")
        return self._begun

    def job(self) -> JobRecord | None:
        """The job of the process that was begun last."""
        with suppress(TunerError), Storage(self.database) as storage:  # it may not be there
            job = job_of(storage, _STUDY)
            return job if job is not None and f"/{self.pid}/" in job.owner else None
        return None

    def points(self) -> int:
        """The load points that are in the database, of trials that ended or not."""
        while True:
            with Storage(self.database) as storage:
                before = _all_events(storage, EventKind.POINT_MEASURED)
                stored = sum(len(t.points) for t in storage.study(_STUDY).trials)
                if _all_events(storage, EventKind.POINT_MEASURED) == before:  # none moved
                    return before + stored

    def trials(self) -> int:
        with Storage(self.database) as storage:
            return len(storage.study(_STUDY, brief=True).trials)

    def record(self) -> StudyRecord:
        with Storage(self.database) as storage:
            return storage.study(_STUDY)

    def wait(self) -> int:
        return self._process.wait(timeout=600)

    def end(self) -> None:
        if self.runs:
            os.killpg(self.pid, signal.SIGTERM)
            self.wait()


def _all_events(storage: Storage, kind: EventKind) -> int:
    seen = number = 0
    while found := events(storage, _STUDY, after=seen):
        seen = found[-1].id
        number += sum(event.kind is kind for event in found)
    return number


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = _PATIENCE_S) -> float:
    """The seconds until `condition` held.

    Raises:
        TimeoutError: It did not.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit_s:
            raise TimeoutError(f"waited {limit_s:g} s for {what}")
        time.sleep(_POLL_S)
    return time.monotonic() - began


def struck(subject: Subject, number: int, fault: str, wait_s: float) -> Outcome:
    """What the fault did to the study, and whether it went on."""
    time.sleep(wait_s)
    points, trials = subject.points(), subject.trials()
    wrong, recovered_s = "", math.nan
    pid = subject.pid
    try:
        subject.place.faults[fault](Scene(pid, subject.database))
        began = time.monotonic()
        wait_until(lambda: not subject.runs or subject.trials() > trials, "a trial, or an end")
        ended = not subject.runs
        if ended:
            left = leftovers(pid)
            contained = subject.place.left()
            subject.begin()
            there = (*_still(left), *(set(contained) & set(subject.place.left())))
            wrong = f"left behind: {', '.join(there)}" if there else ""
            wait_until(lambda: subject.trials() > trials or not subject.runs, "another trial")
        recovered_s = time.monotonic() - began
        if subject.trials() <= trials:
            wrong = wrong or "the study did not go on"
    except (TimeoutError, psutil.Error) as error:
        ended, wrong = not subject.runs, str(error)
    after = subject.points()
    if after < points:
        wrong = wrong or f"{points - after} load points are missing"
    return Outcome(number, fault, trials, ended, points, after, recovered_s, wrong)


def leftovers(pid: int) -> tuple[str, ...]:
    """What a tuner that has ended has left: processes, shared memory, folders."""
    folders = [*Path(tempfile.gettempdir()).glob(f"tuner-workspace-{pid}-*")]
    memory = [*Path("/dev/shm").glob(f"tuner-tuner-workspace-{pid}-*")]  # noqa: S108
    words = re.compile(rf"tuner-workspace-{pid}-")
    processes = [
        f"/proc/{process.pid}"
        for process in psutil.process_iter(["pid", "cmdline"])
        if any(words.search(word) for word in process.info["cmdline"] or ())
    ]
    return tuple(map(str, (*folders, *memory, *processes)))


def _still(left: Sequence[str]) -> tuple[str, ...]:
    """Those that are still there some seconds later: a server may take its time to end."""
    deadline = time.monotonic() + 10
    while (there := [each for each in left if Path(each).exists()]) and (
        time.monotonic() < deadline
    ):
        time.sleep(_POLL_S)
    return tuple(there)


@contextmanager
def subject(
    place: str = "processes", device: Device = DEVICE, timeout: str = _TIMEOUT
) -> Iterator[Subject]:
    """A study that has not begun, in a place of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # a container looks into it
        device.write(folder / "models" / "device")
        with PLACES[place](folder) as made:
            study = Subject(folder, made, device, timeout)
            try:
                yield study
            finally:
                study.end()


def disturbed(
    number: int, faults: Sequence[str], chance: random.Random, place: str
) -> Iterator[object]:
    """An Outcome for each fault, then the Study."""
    with subject(place) as study:
        study.begin()
        wait_until(lambda: study.trials() > 0, "the baseline")
        for fault in faults:
            if not study.runs:  # it has ended: what is asked for is more time
                break
            yield struck(study, number, fault, chance.uniform(*_STRIKES_S))
        if not study.runs:
            study.begin()
        study.wait()
        yield recommendation(study.record(), faults)


def recommendation(record: StudyRecord, faults: Sequence[str]) -> Study:
    winner = standings(record).winner
    if winner is None:
        return Study(faults, "nothing", 0.0)
    return Study(faults, str(winner.configuration), DEVICE.capacity(winner.configuration))


def report(outcomes: Sequence[Outcome], studies: Sequence[Study], undisturbed: Study) -> str:
    rows = []
    for fault in dict.fromkeys(each.fault for each in outcomes):
        those = [each for each in outcomes if each.fault == fault]
        times = sorted(each.recovered_s for each in those if not each.wrong)
        rows.append(
            [
                fault,
                str(len(those)),
                str(sum(each.ended for each in those)),
                str(sum(not each.wrong for each in those)),
                f"{times[len(times) // 2]:.0f}" if times else "-",
                "; ".join(sorted({each.wrong for each in those if each.wrong})),
            ]
        )
    headings = ["fault", "struck", "tuner ended", "all well", "until a trial, s", "what was wrong"]
    well = sum(not each.wrong for each in outcomes)
    shares = [each.capacity / undisturbed.capacity for each in studies]
    good = sum(share >= _GOOD for share in shares)
    return (
        f"{machine()}.\n\n{table(headings, rows)}\n\n"
        f"{well} of {len(outcomes)} faults: nothing lost, nothing left, the study went on. "
        f"{good} of {len(studies)} studies recommend what carries at least {_GOOD:.0%} of the "
        f"undisturbed one's (worst {min(shares, default=math.nan):.2f})."
    )


def run(
    number: int, seed: int, place: str, say: Callable[[str], None]
) -> tuple[list[Outcome], list[Study]]:
    """That many faults, in random order, each kind as often as the others."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    with subject(place) as study:
        kinds = list(study.place.faults)
    order: list[str] = []
    while len(order) < number:
        order += chance.sample(kinds, len(kinds))
    outcomes: list[Outcome] = []
    studies: list[Study] = []
    while len(outcomes) < number:
        begins = len(outcomes)
        faults = order[begins : min(begins + _FAULTS_PER_STUDY, number)]
        for each in disturbed(len(studies), faults, chance, place):
            if isinstance(each, Outcome):
                outcomes.append(each)
                say(f"{len(outcomes)}: {each}")
            elif isinstance(each, Study):
                studies.append(each)
                say(str(each))
        if len(outcomes) == begins:
            raise SystemExit("a study ended before a fault could strike it")
    return outcomes, studies


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=count, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", choices=PLACES, default="processes")
    parser.add_argument("--json", type=Path, help="also write everything there")
    options = parser.parse_args()
    with subject(options.place) as study:
        study.begin()
        study.wait()
        undisturbed = recommendation(study.record(), ())
    print(undisturbed, flush=True)
    outcomes, studies = run(
        options.faults, options.seed, options.place, lambda text: print(text, flush=True)
    )
    if options.json:
        documents = {
            "outcomes": [asdict(each) for each in outcomes],
            "studies": [asdict(each) for each in (*studies, undisturbed)],
        }
        options.json.write_text(json.dumps(documents, indent=1))
    print("\n" + report(outcomes, studies, undisturbed))


if __name__ == "__main__":
    main()
