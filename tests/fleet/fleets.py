"""Studies on a simulated fleet."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.simulated_fleet import Server, SimulatedFleet, SimulatedHost, VirtualClock
from tests import spaces
from tests.report import studies
from tuner.fleet.study import study_on
from tuner.fleet.terms import Terms
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import PointRecord, Purpose, StudyRecord, TrialRecord
from tuner.search.search import Search
from tuner.space.space import Configuration, SearchSpace
from tuner.store.events import Event, events
from tuner.store.hosts import HostRecord, hosts_of
from tuner.store.jobs import Wanted, want
from tuner.store.ownership import held
from tuner.store.storage import Storage
from tuner.study.continued_study import open_study
from tuner.study.deadline import Deadline
from tuner.study.study_plan import StudyPlan

BUDGET = LatencyBudget(95, 0.05)
SPACE = spaces.space(
    spaces.integer("n", low=1, high=64, default=1, log=True, reload=True),
    spaces.choice(0, 1, 2, 3, name="mode"),
)
BEST = Configuration.of({"n": 32, "mode": 2})


def capacity(configuration: Configuration) -> float:
    """The best is n = 32, mode 2; n above 48 fails."""
    n, mode = int(configuration["n"]), int(configuration["mode"])
    return 0.0 if n > 48 else 100.0 * (1 + n / 16 - (n / 45) ** 2) * (1.2 - 0.1 * abs(mode - 2))


SERVER = Server(capacity)


@dataclass
class Watcher:
    """A FleetObserver of trials that run at once."""

    began: list[int] = field(default_factory=list)
    ended: list[TrialRecord] = field(default_factory=list)

    def on(self, _host: str) -> "Watcher":
        return self

    def host_changes(self, host: str, state: str) -> None:
        """The table of hosts tells of that."""

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        self.began.append(number)

    def phase_begins(self, phase: str) -> None:
        """Of the trials in progress, and of the whole study."""

    def point_ends(self, point: PointRecord) -> None:
        """Of the trials in progress."""

    def trial_ends(self, record: TrialRecord) -> None:
        assert record.number in self.began
        self.ended.append(record)


@dataclass(frozen=True)
class Ran:
    """What came of a study on a fleet."""

    record: StudyRecord
    fleet: SimulatedFleet
    watcher: Watcher
    said: Sequence[str]
    told: Sequence[Event]
    hosts: dict[str, HostRecord]


@dataclass(frozen=True)
class Study:
    """A study on these hosts; somebody asks something of it at some moments, in seconds.

    Optuna's `tables` take most of its time; only a study that goes on reads them.
    """

    hosts: Sequence[SimulatedHost]
    server: Server = SERVER
    space: SearchSpace = SPACE
    budget: SearchBudget = field(default_factory=lambda: SearchBudget(trials=30, timeout_s=3600.0))
    seed: int = 0
    sampler: str = "tpe"
    asked: Sequence[tuple[float, Wanted]] = ()
    happenings: Sequence[tuple[float, Callable[[], None]]] = ()
    tables: bool = False

    def run(self, path: Path) -> Ran:
        """In the database at `path`, run or gone on with."""
        clock, watcher, said = VirtualClock(), Watcher(), list[str]()
        asked = [(at_s, partial(_ask, path, wanted)) for at_s, wanted in self.asked]
        fleet = SimulatedFleet(
            self.hosts,
            self.server,
            clock,
            seed=self.seed,
            happenings=[*asked, *self.happenings],
        )
        plan = StudyPlan(space=self.space, budget=self.budget)
        deadline = Deadline(self.budget, clock)
        terms = Terms(plan, deadline, clock, lambda *_: False, said.append)
        search = Search if self.tables else _search_in_memory
        with (
            mock.patch("tuner.study.exploration.Search", search),
            Storage(str(path), create=True) as storage,
        ):
            wanted = studies.study(name="night", budget=BUDGET, sampler=self.sampler)
            study = open_study(storage, wanted)
            with held(storage, "night", limits={}) as hold:
                record = study_on(
                    fleet, study, terms, storage=storage, hold=hold, observer=watcher
                )
            told = events(storage, "night")
            hosts = {host.name: host for host in hosts_of(storage, "night")}
        return Ran(record, fleet, watcher, said, told, hosts)


def _search_in_memory(*facts: Any, **named: Any) -> Search:
    return Search(*facts, **named | {"storage_url": None})


def _ask(path: Path, wanted: Wanted) -> None:
    """Whoever asks comes too late, perhaps."""
    with Storage(str(path)) as storage, suppress(AssertionError):
        want(storage, "night", wanted)
