"""A sweep: load points one after the other on a server that already runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tuner.errors import InputError, ServerError
from tuner.goals import AnswerLimits
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, LoadRun, OpenLoop, Ramp
from tuner.records import ServerStatistics
from tuner.sweep.point import SweepPoint, known_s
from tuner.sweep.service import Service
from tuner.sweep.stability import CONSECUTIVE, Stability, Window, until_stable
from tuner.watch.collectors import Collectors, Readings

# Announces what is being measured, for how many seconds, for as long as the block lasts.
Announce = Callable[[str, float], AbstractContextManager[object]]

# At the end of a load point the answers in flight are waited for: this long,
_USUAL_DRAIN_S = 5.0
# or this many times what one took in the warm-up, but never longer than until a timeout.
_DRAIN_ANSWERS = 2
_WARM_UP = ClosedLoop(1)
_NO_LIMITS = AnswerLimits()
# A request that is due when a step of a ramp begins is that step's, however it was rounded.
_ROUNDING_S = 1e-6
# What to do about a kind of failure; of others, the server knows more.
_HINTS = {
    "timeout": "if its answers take longer, raise `--timeout`; else see the server's log",
    "tls_failed": "check the CA file, and whether the server wants a certificate of the client",
    "wrong_output": "compare the server's answers with the validation data, or the JSON path",
}
_HINT = "check URL, protocol and model, and see the server's log"


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What is measured: a load point of `duration_s` (or `max_requests`) for each profile.

    With `tolerance`, a point is repeated until three windows in a row differ by no more in
    throughput and in the `percentile` (in the mean, if that is None). The sweep ends at the first
    point whose percentile (the 99th, if that is None) is beyond one of the `limits`. An engine
    that is too slow gets up to `most_workers` processes, and the point is measured again.
    """

    profiles: Sequence[LoadProfile]
    duration_s: float
    warm_up_s: float
    timeout_s: float
    max_requests: int = 0
    tolerance: float | None = None
    percentile: float | None = None
    limits: AnswerLimits = _NO_LIMITS
    most_workers: int = 1

    @property
    def judged(self) -> float:
        """The percentile that is held against the limit."""
        return self.percentile or 99.0


@dataclass(frozen=True)
class _Window:
    """One run, what was seen meanwhile, and the server's counters before and after it."""

    measurement: Measurement
    readings: Readings
    before: ServerStatistics | None
    after: ServerStatistics | None


@dataclass(frozen=True)
class Sweep:
    """Measures `service` with `engine`, which has its requests prepared."""

    service: Service
    engine: LoadEngine
    plan: SweepPlan
    collectors: Collectors
    announce: Announce

    def points(self) -> Iterator[SweepPoint]:
        """The load points, as they are measured.

        Raises:
            InputError: There are fewer correlation ids than sequences at once.
            ServerError: No request of the warm-up was answered as it should be.
            LoadError: The load engine failed.
        """
        self._check_correlation_ids()
        answer_s = self._warm_up()
        for profile in self.plan.profiles:
            point = replace(self._point(profile, answer_s), answer_s=answer_s)
            yield from _steps(point)
            if self._is_beyond_limit(point.measurement):
                return

    def _check_correlation_ids(self) -> None:
        sequences = self.service.requests.sequences
        if sequences is None:
            return
        most = max(
            profile.concurrency if isinstance(profile, ClosedLoop) else sequences.count
            for profile in self.plan.profiles
        )
        if most > sequences.ids:
            raise InputError(
                f"{most} sequences at once need as many correlation ids, but "
                f"`--sequence-id-range` has {sequences.ids}",
                hint="widen it, or put less load on the server",
            )

    def _is_beyond_limit(self, measurement: Measurement) -> bool:
        if measurement.client_overloaded:  # those latencies are the client's
            return False
        return measurement.is_beyond(self.plan.limits, self.plan.judged)

    def _warm_up(self) -> float:
        """What an answer took, in the median."""
        with self.announce("warm-up", self.plan.warm_up_s):
            run = self._run(_WARM_UP, self.plan.warm_up_s)
            measurement = self.engine.measure(replace(run, drain_s=self.plan.timeout_s))
        if measurement.failed == measurement.requests:
            kinds = ", ".join(f"{kind} ({n})" for kind, n in measurement.errors.items())
            raise ServerError(
                f"no request of the warm-up was answered well: {kinds or 'none could be sent'}",
                hint=_HINTS.get(next(iter(measurement.errors), ""), _HINT),
            )
        return known_s(measurement.percentile(50))

    def _point(self, profile: LoadProfile, answer_s: float) -> SweepPoint:
        windows: list[_Window] = []

        def measure() -> Window:
            windows.append(self._window(profile, answer_s))
            measurement, q = windows[-1].measurement, self.plan.percentile
            latency_s = measurement.percentile(q) if q else measurement.mean_s
            return Window(measurement.throughput, latency_s)

        if self.plan.tolerance is None:
            measure()
            return self._pooled(windows, None)
        stability = until_stable(measure, self.plan.tolerance)
        return self._pooled(windows[-CONSECUTIVE:], stability)

    def _window(self, profile: LoadProfile, answer_s: float) -> _Window:
        while True:
            window = self._watched(profile, answer_s)
            if not self._may_grow or not window.measurement.client_overloaded:
                return window
            self.engine.add_worker()

    @property
    def _may_grow(self) -> bool:
        """An engine that holds the server stays one process: another would have none in it."""
        return self.service.engine is None and self.engine.workers < self.plan.most_workers

    def _watched(self, profile: LoadProfile, answer_s: float) -> _Window:
        steps = len(profile.rates) if isinstance(profile, Ramp) else 1
        length_s = self.plan.duration_s * steps
        before = self.service.statistics()
        with self.collectors.window() as readings, self.announce(str(profile), length_s):
            measurement = self.engine.measure(self._run(profile, length_s, answer_s))
        return _Window(measurement, readings, before, self.service.statistics())

    def _run(self, profile: LoadProfile, length_s: float, answer_s: float = 0.0) -> LoadRun:
        drain_s = max(_USUAL_DRAIN_S, _DRAIN_ANSWERS * answer_s)
        return LoadRun(
            endpoint=self.service.endpoint,
            profile=profile,
            duration_s=length_s,
            timeout_s=self.plan.timeout_s,
            drain_s=min(self.plan.timeout_s, drain_s),
            max_requests=0 if profile is _WARM_UP else self.plan.max_requests,
        )

    def _pooled(self, windows: Sequence[_Window], stability: Stability | None) -> SweepPoint:
        seen = self.collectors.seen([window.readings for window in windows])
        before, after = windows[0].before, windows[-1].after
        return SweepPoint(
            measurement=Measurement.pooled([window.measurement for window in windows]),
            statistics=after - before if before and after else None,
            metrics=seen.metrics,
            process=seen.process,
            driver_gpus=seen.gpus,
            stability=stability,
        )


def _steps(point: SweepPoint) -> Iterator[SweepPoint]:
    """The point itself, or those of a ramp's steps; the server's side is that of all of them."""
    profile = point.measurement.profile
    if not isinstance(profile, Ramp):
        yield point
        return
    for number, rate in enumerate(profile.rates):
        loop = OpenLoop(rate, profile.arrivals, profile.seed + number)
        begin_s = number * profile.step_s - _ROUNDING_S
        step = point.measurement.between(loop, begin_s, begin_s + profile.step_s)
        yield replace(point, measurement=step)
