"""A bench on which studies run in virtual time: a simulated server for each configuration."""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from runners.base import LaunchSpec, RunningServer
from tests.capacity.simulated_server import Simulation
from tests.study.simulated_engine import SimulatedEngine
from tuner.errors import Reason, TrialFailure
from tuner.goals import LatencyBudget
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.records import (
    Grade,
    PointRecord,
    Purpose,
    ServerStatistics,
    SettingVerdict,
    StudyRecord,
    TrialRecord,
)
from tuner.space.space import Configuration, SearchSpace
from tuner.study.deployment import Deployment
from tuner.study.trial import Bench
from tuner.study.trial_load import TrialLoad

Server = Callable[[Configuration], Simulation | None]
"""The simulation of a configuration; None where the server cannot start with it."""
Answer = Callable[[Configuration], float]
"""What a configuration answers a request with."""


@dataclass
class _Running:
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=lambda: {"http": 1})
    pid: int = 2**22 + 1  # beyond any process

    def url(self, port_name: str) -> str:
        return f"http://{self.host}:{self.ports[port_name]}"

    def is_alive(self) -> bool:
        return True

    def exit_code(self) -> int | None:
        return None

    def log_head(self, lines: int = 200) -> str:
        return f"the first {lines} lines"

    def log_tail(self, lines: int = 40) -> str:
        return f"the last {lines} lines"


class _Runner:
    may_restart = True

    @contextmanager
    def start(self, launch_spec: LaunchSpec) -> Iterator[RunningServer]:
        assert launch_spec.command
        yield _Running()


class _Target:
    """Every parameter takes effect, and can be reloaded if the space says so."""

    server, model = "triton", "simulated"
    remarks: tuple[str, ...] = ()
    warm_up_requests = 0
    start_timeout_s = 60.0

    def __init__(self, space: SearchSpace, server: Server, answer: Answer) -> None:
        self._space, self._server, self._answer = space, server, answer
        self.simulation: Simulation | None = None
        self._configuration = space.defaults

    def running(self) -> Simulation:
        assert self.simulation is not None
        return self.simulation

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        return LaunchSpec(command=(str(configuration) or "defaults",))

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        return all(self._space[name].reload for name in changed)

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        self.simulation = self._server(configuration)
        if self.simulation is None:
            raise TrialFailure(Reason.INVALID_CONFIGURATION, "it does not fit")
        self._configuration = configuration

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        return dict.fromkeys(configuration, SettingVerdict(Grade.CONFIRMED))

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        numbers = [self._answer(self._configuration) for _ in range(count)]
        return tuple((Tensor("y", "FP32", (1,), struct.pack("<f", n)),) for n in numbers)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        return ServerStatistics()

    def requests(self, server: RunningServer) -> RequestSet:
        return RequestSet((b"request",))

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports["http"])

    def concurrency(self, configuration: Configuration) -> int:
        return 2 * self.largest_batch(configuration)

    def largest_batch(self, configuration: Configuration) -> int:
        return int(configuration.get("max_batch_size", 1))

    def export(self, configuration: Configuration) -> str:
        return f"# {configuration}"


@dataclass
class Watcher:
    """An Observer that keeps what it is told; a phase that goes on is one."""

    began: list[tuple[Purpose, Configuration]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    ended: list[TrialRecord] = field(default_factory=list)

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        assert number >= len(self.ended)
        self.began.append((purpose, configuration))

    def phase_begins(self, phase: str) -> None:
        if self.phases[-1:] != [phase]:
            self.phases.append(phase)

    def point_ends(self, point: PointRecord) -> None:
        pass

    def trial_ends(self, record: TrialRecord) -> None:
        self.ended.append(record)


@contextmanager
def simulated_bench(
    space: SearchSpace,
    server: Server,
    budget: LatencyBudget,
    lags_s: Sequence[float] = (),
    answer: Answer = lambda _: 1.0,
) -> Iterator[tuple[Bench, Watcher]]:
    """The bench and the observer that sees what is done on it."""
    target, watcher = _Target(space, server, answer), Watcher()
    engine = SimulatedEngine(target.running, lags_s=lags_s)
    with Deployment(target, _Runner()) as deployment:
        load = TrialLoad(engine, budget, most_workers=1)
        yield Bench(target, deployment, load, watcher), watcher


class Ran(NamedTuple):
    """What came of a study."""

    record: StudyRecord
    watcher: Watcher
    said: Sequence[str] = ()


Run = Callable[..., Ran]
