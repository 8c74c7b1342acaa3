"""A fleet in virtual time: hosts of known speeds, that are lost, come back, and say things late.

The loop of a study on a fleet talks to it as to real hosts (tuner/fleet/crew.py). What a trial
measures, and how long it takes, is said by a Server; what happens to hosts, by their `troubles`.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import numpy as np

from tuner.capacity.probes import Beat
from tuner.errors import Reason, TrialFailure
from tuner.fleet.crew import (
    Attempt,
    Broken,
    Ended,
    GivenUp,
    Joined,
    Lost,
    PhaseBegan,
    Refused,
    Said,
)
from tuner.hardware import Hardware
from tuner.load.requests import Tensor
from tuner.numbers.distributions import Z
from tuner.records import Golden, Phase, Purpose, TrialRecord, TrialState
from tuner.space.space import Configuration
from tuner.study.clock import Clock
from tuner.study.outputs import check_answer

BEGAN = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)
HARDWARE = Hardware(
    cores=16,
    memory_bytes=64 << 30,
    numa_nodes=1,
    threads_per_core=2,
    numactl=True,
    gpus=1,
    processor="simulated",
    kernel="6.1",
    hostname="",
)
# What is measured of a configuration differs by this from run to run (of the log).
_NOISE = 0.03
_LOG_ERROR = 0.02


class VirtualClock(Clock):
    """Shows what the simulation has come to."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic_s(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.passed_s)


@dataclass(frozen=True)
class Trouble:
    """A host is gone after `at_s`, which is known `unnoticed_s` later; it is back after `for_s`.

    What it measured meanwhile is said once it is back, if it `says_late`: it was cut off.
    """

    at_s: float
    for_s: float = math.inf
    unnoticed_s: float = 10.0
    says_late: bool = False


@dataclass(frozen=True)
class SimulatedHost:
    """A host that is `speed` times as fast as others; it joins after `joins_s`.

    One that is `refused` cannot take part, for that reason. It `spoils` some of its attempts, by
    their place among them: they fail for that reason or, where it is None, cannot be run at all.
    Its servers answer everything with `answers`.
    """

    name: str
    speed: float = 1.0
    joins_s: float = 0.0
    troubles: Sequence[Trouble] = ()
    refused: str = ""
    spoils: Mapping[int, Reason | None] = field(default_factory=dict)
    answers: float = 1.0


@dataclass(frozen=True)
class Server:
    """What a server does with each configuration.

    `capacity` is in inferences per second, 0 where it fails; `lasts_s` is how long a trial takes,
    on any host. A configuration that `kills` takes its host with it. `remarks` are those of its
    requests. When it is put to the proof it carries `when_proved` times as much.
    """

    capacity: Callable[[Configuration], float]
    lasts_s: Callable[[Configuration], float] = lambda _: 20.0
    kills: Callable[[Configuration], bool] = lambda _: False
    remarks: tuple[str, ...] = ()
    when_proved: float = 1.0


@dataclass
class _Running:
    attempt: Attempt
    began_s: float
    beat: Beat
    place: int


@dataclass
class SimulatedFleet:
    """A Crew in virtual time; whatever is said takes `latency_s` to be heard.

    At the moments of `happenings`, in seconds, those are called.

    Raises:
        AssertionError: A host was given two attempts at once, or one that it was given before.
    """

    hosts: Sequence[SimulatedHost]
    server: Server
    clock: VirtualClock
    seed: int = 0
    latency_s: float = 0.01
    happenings: Sequence[tuple[float, Callable[[], None]]] = ()
    begun: list[tuple[str, Attempt]] = field(default_factory=list)
    beats: list[tuple[str, Beat]] = field(default_factory=list)
    rested: list[str] = field(default_factory=list)
    busiest: int = 0

    def __post_init__(self) -> None:
        self._order = count()
        self._coming: list[tuple[float, int, Callable[[], Said | None]]] = []
        self._running: dict[str, _Running] = {}
        self._there: set[str] = set()
        self._given = Counter[str]()
        self._due_s = 0.0
        self._chance = np.random.default_rng(self.seed)
        self._by_name = {host.name: host for host in self.hosts}
        for host in self.hosts:
            self._at(host.joins_s, partial(self._joins, host))
            for trouble in host.troubles:
                self._at(trouble.at_s, partial(self._breaks, host, trouble))

        for moment_s, happens in self.happenings:
            self._at(moment_s, happens)

    def begin(self, host: str, attempt: Attempt) -> None:
        if host in self._running:
            raise AssertionError(f"{host} has a trial already")
        if any(each.number >= attempt.number for _, each in self.begun[-1:]):
            raise AssertionError(f"attempt {attempt.number} of {host} is not a new one")
        self.begun.append((host, attempt))
        if host not in self._there:  # nobody has noticed yet that it is gone
            return
        running = _Running(attempt, self.clock.passed_s, attempt.plan.beat, self._given[host])
        self._given[host] += 1
        self._running[host] = running
        self.busiest = max(self.busiest, len(self._running))
        lasts_s = self._lasts_s(attempt)
        for share, phase in ((0.0, Phase.WARM_UP), (0.3, Phase.SEARCH)):
            said = PhaseBegan(host, attempt.number, phase.value)
            self._in(share * lasts_s, partial(self._if_running, said, running))
        if self.server.kills(attempt.plan.configuration):
            self._in(0.5 * lasts_s, lambda: self._killed(host, running))
            return
        self._in(0.5 * lasts_s, lambda: self._looks(host, running))
        self._in(lasts_s, lambda: self._ends(host, running))

    def beat(self, host: str, attempt: int, beat: Beat) -> None:
        running = self._running.get(host)
        if running is not None and running.attempt.number == attempt:
            running.beat = beat
            self.beats.append((host, beat))

    def give_up(self, host: str, attempt: int) -> None:
        def gives_up() -> Said | None:
            running = self._running.get(host)
            if running is None or running.attempt.number != attempt:
                return None
            del self._running[host]
            return GivenUp(host, attempt)

        self._in(self.latency_s, gives_up)

    def rest(self, host: str) -> None:
        if host in self._running:
            raise AssertionError(f"{host} is to rest in the middle of a trial")
        self.rested.append(host)

    def dismiss(self, host: str) -> None:
        self._there.discard(host)
        self._running.pop(host, None)

    def wait(self, timeout_s: float) -> Sequence[Said]:
        until_s = self.clock.passed_s + timeout_s
        heard: list[Said] = []
        while self._coming and self._coming[0][0] <= until_s:
            moment_s, _, happens = heapq.heappop(self._coming)
            if heard and moment_s > self.clock.passed_s:
                heapq.heappush(self._coming, (moment_s, next(self._order), happens))
                return heard
            # A driver that is late hears late of what hosts have ended in time.
            self._due_s = moment_s
            self.clock.passed_s = max(self.clock.passed_s, moment_s)
            said = happens()
            if said is not None:
                heard.append(said)
        if not heard:
            self.clock.passed_s = max(self.clock.passed_s, until_s)
        return heard

    def _at(self, moment_s: float, happens: Callable[[], Said | None]) -> None:
        heapq.heappush(self._coming, (moment_s, next(self._order), happens))

    def _in(self, seconds: float, happens: Callable[[], Said | None]) -> None:
        self._at(self.clock.passed_s + self.latency_s + seconds, happens)

    def _joins(self, host: SimulatedHost) -> Said:
        hardware = replace(HARDWARE, hostname=host.name)
        if host.refused:
            return Refused(host.name, host.refused, "mend it", hardware)
        self._there.add(host.name)
        return Joined(host.name, hardware)

    def _breaks(self, host: SimulatedHost, trouble: Trouble) -> None:
        if host.name not in self._there:
            return
        self._there.discard(host.name)
        running = self._running.pop(host.name, None)
        lost = Lost(host.name, "nothing was heard of it")
        noticed_s = min(trouble.unnoticed_s, trouble.for_s)
        self._in(noticed_s, lambda: lost)
        if trouble.for_s < math.inf:
            self._in(trouble.for_s + 1e-6, lambda: self._joins(host))
            if running is not None and trouble.says_late:
                said = Ended(
                    host.name, running.attempt.number, self._record(host.name, running), None
                )
                self._in(trouble.for_s + 2e-6, lambda: said)

    def _killed(self, host: str, running: _Running) -> None:
        if self._running.get(host) is running:
            self._breaks(self._by_name[host], Trouble(self.clock.passed_s, for_s=30.0))

    def _if_running(self, said: Said, running: _Running) -> Said | None:
        return said if running in self._running.values() else None

    def _looks(self, host: str, running: _Running) -> Said | None:
        """Half-way through, whether it can still beat the best one."""
        if self._running.get(host) is not running or not self._is_beaten(host, running):
            return None
        return self._ends(host, running)

    def _ends(self, host: str, running: _Running) -> Said | None:
        if self._running.get(host) is not running:
            return None
        del self._running[host]
        attempt = running.attempt
        if self._by_name[host].spoils.get(running.place, ...) is None:
            return Broken(host, attempt.number, "it has no tritonserver", "mend it")
        record, answer = self._record(host, running), self._answer(host)
        failed = record.state is TrialState.FAILED
        return Ended(host, attempt.number, record, None if failed else attempt.golden or answer)

    def _answer(self, host: str) -> Golden:
        said = np.array([self._by_name[host].answers], np.float32)
        return Golden((Tensor("said", "FP32", said.shape, said.tobytes()),))

    def _reason(self, host: str, running: _Running, capacity: float) -> Reason | None:
        """Why the trial failed, if it did."""
        golden, spoiled = running.attempt.golden, self._by_name[host].spoils.get(running.place)
        if spoiled or not capacity:
            return spoiled or Reason.OUT_OF_MEMORY
        try:
            if golden is not None:
                check_answer(golden, self._answer(host).outputs)
        except TrialFailure as failure:
            return failure.reason
        return None

    def _is_beaten(self, host: str, running: _Running) -> bool:
        if running.attempt.plan.purpose is not Purpose.SEARCH:
            return False
        worth = self._carries(host, running) * math.exp(Z * _LOG_ERROR)
        return 0 < worth < running.beat.throughput

    def _carries(self, host: str, running: _Running) -> float:
        return self.server.capacity(running.attempt.plan.configuration) * self._by_name[host].speed

    def _lasts_s(self, attempt: Attempt) -> float:
        return self.server.lasts_s(attempt.plan.configuration) * attempt.plan.stretch

    def _record(self, host: str, running: _Running) -> TrialRecord:
        plan = running.attempt.plan
        capacity = self._carries(host, running) * math.exp(self._chance.normal(0.0, _NOISE))
        reason = self._reason(host, running, capacity)
        state = TrialState.PRUNED if self._is_beaten(host, running) else TrialState.FEASIBLE
        proof = ""
        if plan.claim:
            proof = "within" if self.server.when_proved * capacity >= plan.claim else "over"
        state = TrialState.INFEASIBLE if proof == "over" else state
        state = TrialState.FAILED if reason else state
        spent_s = self._due_s - running.began_s
        return TrialRecord(
            number=plan.number,
            purpose=plan.purpose,
            proposal=plan.proposal,
            configuration=plan.configuration,
            state=state,
            reason=reason,
            throughput=0.0 if reason else plan.claim or capacity,
            log_error=_LOG_ERROR if state is TrialState.FEASIBLE else math.inf,
            unloaded_s=0.005 / self._by_name[host].speed,
            saturation=1.2 * capacity,
            remarks=self.server.remarks,
            timings_s={"apply": 0.1 * spent_s, "search": 0.6 * spent_s, "total": spent_s},
            proof="" if reason else proof,
            seed=plan.seed,
            round=plan.round,
            started_at=BEGAN + timedelta(seconds=running.began_s),
            finished_at=BEGAN + timedelta(seconds=self._due_s),
        )
