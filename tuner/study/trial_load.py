"""The load of a trial: enough engine processes, and what the server takes while it is under it."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

from tuner.errors import InputError
from tuner.goals import LatencyBudget
from tuner.load.calibration import Calibration
from tuner.load.client import LoadEngine
from tuner.load.measurement import LATE, Measurement
from tuner.load.profile import Endpoint, LoadProfile, LoadRun, OpenLoop, Overload
from tuner.load.requests import RequestSet
from tuner.records import Usage
from tuner.watch.disturbances import Disturbance, HostWindow, UsualHost
from tuner.watch.gpu_usage import GpuUsage, Nvml, put_together
from tuner.watch.process_usage import ProcessReading, ServerProcess
from tuner.watch.sampling import Samples
from tuner.watch.stolen_time import StolenTime, stood_still, undisturbed, watched

# The load engine's share of one core above which its own latency shows in the measurement.
_BUSY_ENGINE = 0.75
# How late the sends of an open loop may be (p99) where the latency limit is small,
_LATE_S = 0.5e-3
# and as a share of one that is larger. A point that is later is measured again.
_LATE_SHARE = 0.05
# A point this many times as late says nothing. What lies between makes a server look slower than
# it is, never faster: latencies count from the due time.
_HOPELESS = 4.0
# The server's use of its machine is read at this interval.
_USAGE_INTERVAL_S = 1.0
# A load point that the machine disturbed is measured again, up to this number of runs in all,
_MOST_RUNS = 2
# until at least this share of a run's time was undisturbed. The disturbed time is cut out,
_SHARE_TO_KEEP = 0.5
# unless less than this share would be left: then the whole run counts, disturbance included.
_SHARE_TO_CUT = 0.2
# Runs that are shorter (bursts) are neither cut nor repeated.
_SHORTEST_S = 1.0
# An answer that takes this many latency limits, this many times what one takes without load, or
# this long, whichever is the most, never comes.
_TIMEOUT_LIMITS = 20
_TIMEOUT_ANSWERS = 10
_SHORTEST_TIMEOUT_S = 2.0
# Where nothing limits how long the first token may take, it is waited for this long at least.
_PATIENCE_S = 30.0
# At the end of a load point the answers in flight are waited for: this many latency limits, and a
# moment,
_DRAIN_LIMITS = 2
_DRAIN_MORE_S = 0.2
# or this many times what one takes without load.
_DRAIN_ANSWERS = 2

SelfCheck = Callable[[int], Calibration]
"""What the load engine can do on this machine with requests of this number of bytes."""


@dataclass(frozen=True)
class Loaded:
    """A load point as it counts: what came of the last of `runs`, or of the best of them.

    `disturbed` is what took the machine's time from any of them.
    """

    measurement: Measurement
    usage: Usage
    runs: int = 1
    disturbed: tuple[Disturbance, ...] = ()

    def after(self, earlier: Self) -> Self:
        """This one, which was measured because of an `earlier` one."""
        disturbed = dict.fromkeys((*earlier.disturbed, *self.disturbed))
        return replace(self, runs=earlier.runs + self.runs, disturbed=tuple(disturbed))


@dataclass
class TrialLoad:
    """The load engine as trials use it: it checks itself, and grows where one process is too slow.

    `self_check` is asked once for each size of request. `gpus` are watched where there are any;
    `stolen_time` watches what the machine's host takes, `host` what others on the machine do.
    """

    engine: LoadEngine
    budget: LatencyBudget
    self_check: SelfCheck | None = None
    gpus: Nvml | None = None
    most_workers: int = field(default_factory=lambda: max(1, (os.cpu_count() or 1) // 2))
    calibration: Calibration | None = None
    stolen_time: Callable[[], AbstractContextManager[StolenTime]] = watched
    host: Callable[[], AbstractContextManager[HostWindow]] | None = None
    _usual: UsualHost = field(default_factory=UsualHost)
    _checked_bytes: int = -1

    def is_unknown(self, requests: RequestSet) -> bool:
        """Whether nothing is known yet of what the engine can do with requests of this size."""
        return self.self_check is not None and _size(requests) != self._checked_bytes

    def check_itself(self, requests: RequestSet) -> None:
        """Find out what the engine can do with requests of this size."""
        if self.self_check is not None:
            self._checked_bytes = _size(requests)
            self.calibration = self.self_check(self._checked_bytes)

    def check_limits(self, requests: RequestSet) -> None:
        """Refuse limits that no answer to these requests could be over.

        Raises:
            InputError: There are some.
        """
        limits = self.budget.limits
        option = "--budget-ttft-ms" if limits.ttft_s < math.inf and not requests.streamed else ""
        option = "--budget-itl-ms" if limits.itl_s < math.inf and not requests.events else option
        if option:
            parts = "output tokens" if option == "--budget-itl-ms" else "several parts"
            raise InputError(
                f"`{option}` is for answers of {parts}, which those of this server are not",
                hint="`--budget-ms` is for whole answers",
            )

    def measure(
        self,
        endpoint: Endpoint,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None,
        answer_s: float = 0.0,
        pid: int | None = None,
    ) -> Loaded:
        """One load point; what the engine spoiled is repeated once, with one process more.

        Without what the machine's host spoiled; what others on the machine did is measured again.
        `answer_s` is what one answer takes without load. The server `pid` is watched meanwhile,
        where one is given.
        """
        self._grow(profile)
        limit_s = self.budget.limit_s
        longest_s = max(_TIMEOUT_LIMITS * limit_s, _TIMEOUT_ANSWERS * answer_s)
        load = LoadRun(
            endpoint=endpoint,
            profile=profile,
            duration_s=duration_s,
            timeout_s=max(longest_s, _PATIENCE_S if self._any_first else _SHORTEST_TIMEOUT_S),
            drain_s=max(_DRAIN_LIMITS * limit_s + _DRAIN_MORE_S, _DRAIN_ANSWERS * answer_s),
            overload=overload,
            limits=self.budget.answers,
        )
        run = partial(self._measure, load, pid)
        loaded = self._undisturbed(run)
        if self.complaint(loaded.measurement, patience=1.0):
            if self.engine.workers < self.most_workers:
                self.engine.add_worker()
            loaded = self._undisturbed(run).after(loaded)
        return loaded

    def complaint(self, measurement: Measurement, *, patience: float = _HOPELESS) -> str:
        """What the load engine did wrong, if its own slowness is in the measurement.

        Sends may be up to `patience` times as late as they should be at most.
        """
        if measurement.stopped_early not in ("", LATE):
            return ""
        if not isinstance(measurement.profile, OpenLoop):
            return measurement.client_overloaded
        allowed_s = patience * self._late_s
        if measurement.send_lag_p99_s > allowed_s:
            return (
                f"requests left {measurement.send_lag_p99_s * 1e3:.1f} ms late (p99), "
                f"{allowed_s * 1e3:.1f} ms are tolerable"
            )
        share = measurement.engine_cpu_share
        if share > _BUSY_ENGINE:
            return f"the load engine used {share:.0%} of a core, {_BUSY_ENGINE:.0%} are tolerable"
        return ""

    @property
    def _any_first(self) -> bool:
        """Whether the first token of an answer may take any time."""
        return self.budget.limits.first_s == math.inf

    @property
    def _late_s(self) -> float:
        return max(_LATE_S, _LATE_SHARE * self.budget.limit_s)

    def _grow(self, profile: LoadProfile) -> None:
        if self.calibration and isinstance(profile, OpenLoop):
            needed = min(self.calibration.workers(profile.rate), self.most_workers)
            while self.engine.workers < needed:
                self.engine.add_worker()

    def _undisturbed(self, run: Callable[[], "_Run"]) -> Loaded:
        """Without stolen time: the first run that kept enough of its time, or the best one."""
        runs: list[_Run] = []
        while len(runs) < _MOST_RUNS:
            runs.append(run())
            last = runs[-1]
            if last.is_burst or (last.is_kept and not last.by_others):
                break
        best = max(runs, key=lambda each: (each.is_kept, not each.by_others, each.share))
        disturbed = dict.fromkeys(each for run in runs for each in run.disturbed)
        return Loaded(best.measurement, best.usage, len(runs), tuple(disturbed))

    def _measure(self, run: LoadRun, pid: int | None) -> "_Run":
        with (
            self.stolen_time() as stolen,
            self.host() if self.host else nullcontext() as host,
            self._watched(pid) as watched,
        ):
            measurement = self.engine.measure(run)
        usage = watched.usage(measurement.duration_s)
        if measurement.duration_s < _SHORTEST_S and not measurement.stopped_early:
            return _Run(measurement, usage, is_burst=True)
        limit_s = self.budget.limit_s
        taken = stolen.spoiled(limit_s)
        late = stood_still(measurement, late_s=self._late_s, limit_s=limit_s)
        rest, share = undisturbed(measurement, [*taken, *late])
        if share < _SHARE_TO_CUT:
            rest = measurement
        seen = host.amounts(usage.cpu_s + measurement.engine_cpu_s) if host else {}
        disturbed = self._usual.disturbed(seen)
        if share < _SHARE_TO_KEEP and not taken:
            disturbed = (Disturbance.STALLED, *disturbed)
        if share < 1.0 and taken:
            disturbed = (Disturbance.STOLEN, *disturbed)
        used = usage.per(measurement.duration_s / rest.duration_s)
        return _Run(rest, used, share, disturbed)

    @contextmanager
    def _watched(self, pid: int | None) -> Iterator["_Watched"]:
        watched = _Watched(None if pid is None else ServerProcess.of(pid))
        with ExitStack() as stack:
            if watched.process:
                window = watched.process.window(_USAGE_INTERVAL_S)
                watched.processes = stack.enter_context(window)
            if self.gpus and pid is not None:
                watched.gpus = stack.enter_context(self.gpus.window(_USAGE_INTERVAL_S))
            yield watched


@dataclass(frozen=True)
class _Run:
    """One run of a load point; `share` is that of its time which the machine did not spoil."""

    measurement: Measurement
    usage: Usage
    share: float = 1.0
    disturbed: tuple[Disturbance, ...] = ()
    is_burst: bool = False

    @property
    def is_kept(self) -> bool:
        return self.share >= _SHARE_TO_KEEP

    @property
    def by_others(self) -> bool:
        return Disturbance.OTHERS in self.disturbed


@dataclass
class _Watched:
    """What was seen of the server over one load point."""

    process: ServerProcess | None
    processes: Samples[ProcessReading] | None = None
    gpus: Samples[dict[str, GpuUsage]] | None = None

    def usage(self, duration_s: float) -> Usage:
        cpu_s = memory_bytes = energy_j = math.nan
        if self.process and self.processes and (used := self.process.usage([self.processes])):
            cpu_s = math.nan if used.cpu_s is None else used.cpu_s
            memory_bytes = used.resident_bytes
        if self.gpus:
            seen = put_together(self.gpus.within).values()
            powers = [each.power_w for each in seen if each.power_w is not None]
            energy_j = math.fsum(powers) * duration_s if powers else math.nan
        return Usage(cpu_s, memory_bytes, energy_j)


def _size(requests: RequestSet) -> int:
    """Bytes, to the next power of two: what matters is how much there is to send."""
    largest = max(map(len, requests.payloads), default=0)
    return 1 << max(0, largest - 1).bit_length()
