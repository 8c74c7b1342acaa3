"""One trial, in order: apply, ready, verify, warm up, measure, validate, record.

Whatever goes wrong with the server or the configuration ends in a TrialRecord with a reason; only
what ends the study (a missing program, a broken load engine, an interrupt) leaves as an exception.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from tuner.capacity import (
    Capacity,
    CapacityPlan,
    LatencyBudget,
    Phase,
    find_capacity,
)
from tuner.deployment import Deployment
from tuner.errors import Reason, ServerError, TrialFailure
from tuner.load import LoadEngine, LoadProfile, Measurement, OpenLoop, Overload, Tensor
from tuner.load.profile import LoadRun
from tuner.records import PointRecord, Purpose, TrialRecord, TrialState
from tuner.space import Configuration
from tuner.targets.base import Grade, ServerStatistics, Target, Verdict

# The load engine's share of one core above which its own latency shows in the measurement.
_BUSY_ENGINE = 0.75
# At the end so many requests are sent at once, if the server makes batches that large.
_ANSWERS_AT_ONCE = 8
_TOLERANCE_RELATIVE, _TOLERANCE_ABSOLUTE = 1e-2, 1e-3


class Observer(Protocol):
    """Is told how a study goes on, while it does; `trial_ends` once the trial is stored."""

    def trial_begins(
        self, number: int, purpose: Purpose, configuration: Configuration
    ) -> None: ...

    def phase_begins(self, phase: str) -> None: ...

    def trial_ends(self, record: TrialRecord) -> None: ...


@dataclass
class Bench:
    """What all trials of a study share; `golden` are the baseline's outputs, once known."""

    target: Target
    deployment: Deployment
    engine: LoadEngine
    budget: LatencyBudget
    observer: Observer
    golden: tuple[Tensor, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """Which trial to run: `beat` is the throughput that makes a configuration interesting."""

    number: int
    purpose: Purpose
    configuration: Configuration
    proposal: int | None = None
    seed: int = 0
    beat: float = 0.0
    fresh: bool = False


def run_trial(bench: Bench, plan: TrialPlan) -> TrialRecord:
    """Run the trial and say how it ended."""
    bench.observer.trial_begins(plan.number, plan.purpose, plan.configuration)
    return _Trial(bench, plan).run()


@dataclass
class _Trial:
    """The trial in progress: what is known so far is what a failure will report."""

    bench: Bench
    plan: TrialPlan
    timings_s: dict[str, float] = field(default_factory=dict)
    applied: str = ""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    statistics: ServerStatistics = field(default_factory=ServerStatistics)
    points: list[PointRecord] = field(default_factory=list)
    step: str = ""

    def run(self) -> TrialRecord:
        started_at, began = datetime.now(UTC), time.perf_counter()
        try:
            capacity = self._steps()
            outcome = self._measured(capacity)
        except (TrialFailure, ServerError) as error:
            outcome = self._failed(error)
        self.timings_s["total"] = time.perf_counter() - began
        return TrialRecord(
            number=self.plan.number,
            purpose=self.plan.purpose,
            proposal=self.plan.proposal,
            configuration=self.plan.configuration,
            applied=self.applied,
            verdicts=self.verdicts,
            statistics=self.statistics,
            timings_s=self.timings_s,
            points=tuple(self.points),
            export=self.bench.target.export(self.plan.configuration),
            seed=self.plan.seed,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            **outcome,  # type: ignore[arg-type]  # fields of TrialRecord, built just below
        )

    def _steps(self) -> Capacity:
        bench, configuration = self.bench, self.plan.configuration
        with self._step("apply"):
            self.applied = bench.deployment.apply(configuration, fresh=self.plan.fresh).value
        server = bench.deployment.server
        with self._step("verify"):
            self.verdicts = bench.target.verify(server, configuration)
            _check_verdicts(self.verdicts)
            bench.engine.prepare(bench.target.requests(server))
            before = bench.target.statistics(server)
        capacity = find_capacity(
            self._measure,
            CapacityPlan(
                budget=bench.budget,
                concurrency=bench.target.concurrency(configuration),
                largest_batch=bench.target.largest_batch(configuration),
                seed=self.plan.seed,
                beat=self.plan.beat,
            ),
        )
        with self._step("validate"):
            self.statistics = bench.target.statistics(server) - before
            self._check_answers(bench.target.largest_batch(configuration))
        return capacity

    def _check_answers(self, largest_batch: int) -> None:
        """Ask several times at once: a batch must give what each request alone would get."""
        bench, count = self.bench, min(largest_batch, _ANSWERS_AT_ONCE)
        server = bench.deployment.server
        golden = bench.golden or bench.target.infer(server)[0]
        for outputs in bench.target.infer(server, count=count):
            try:
                check_outputs(golden, outputs)
            except TrialFailure as failure:
                what = f"of {count} equal requests at once: {failure}" if count > 1 else failure
                raise TrialFailure(failure.reason, str(what)) from None
        bench.golden = golden

    def _measure(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> Measurement:
        """One load point; a point that the engine spoiled is repeated once."""
        with self._step(phase.value):
            measurement = self._load(profile, duration_s, overload)
            if _spoiled(measurement, self.bench.budget):
                measurement = self._load(profile, duration_s, overload)
        self.points.append(PointRecord.of(phase, measurement, self.bench.budget))
        if complaint := _spoiled(measurement, self.bench.budget):
            raise TrialFailure(Reason.CLIENT_OVERLOADED, complaint)
        if not self.bench.deployment.server.is_alive():
            raise TrialFailure(Reason.CRASHED, "it was gone after the load")
        return measurement

    def _load(
        self, profile: LoadProfile, duration_s: float, overload: Overload | None
    ) -> Measurement:
        limit_s = self.bench.budget.limit_s
        return self.bench.engine.measure(
            LoadRun(
                endpoint=self.bench.target.endpoint(self.bench.deployment.server),
                profile=profile,
                duration_s=duration_s,
                timeout_s=max(20 * limit_s, 2.0),
                drain_s=2 * limit_s + 0.2,
                overload=overload,
            )
        )

    def _measured(self, capacity: Capacity) -> dict[str, object]:
        return {
            "state": TrialState(capacity.outcome.value),
            "throughput": capacity.throughput,
            "log_error": capacity.log_error,
            "unloaded_s": capacity.unloaded_s,
            "saturation": capacity.saturation,
        }

    def _failed(self, error: TrialFailure | ServerError) -> dict[str, object]:
        deployment = self.bench.deployment
        failure = (
            error
            if isinstance(error, TrialFailure)
            else TrialFailure(Reason.UNRESPONSIVE, str(error))
        )
        if failure.reason is Reason.LOAD_FAILED:
            failure = TrialFailure(failure.reason, f"{failure}{self._words()}")
        failure = deployment.blame(failure)
        # A server that failed once is not trusted with another configuration.
        deployment.stop()
        return {
            "state": TrialState.FAILED,
            "reason": failure.reason,
            "message": f"{self.step}: {failure}",
            "log_tail": failure.log_tail,
        }

    def _words(self) -> str:
        """What the server says to one more request: the load engine keeps no error texts."""
        try:
            self.bench.target.infer(self.bench.deployment.server)
        except ServerError as error:
            return f"; one more request: {error}"
        return "; one more request was answered"

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.step = name
        self.bench.observer.phase_begins(name)
        began = time.perf_counter()
        try:
            yield
        finally:
            spent_s = time.perf_counter() - began
            self.timings_s[name] = self.timings_s.get(name, 0.0) + spent_s


def check_outputs(expected: tuple[Tensor, ...], got: tuple[Tensor, ...]) -> None:
    """Compare a configuration's outputs with the baseline's.

    Floating-point outputs may differ by 1 % or 0.001, whichever is more: a batch is summed in
    another order than a single inference. Everything else must be equal.

    Raises:
        TrialFailure: They differ (`wrong_output`).
    """
    for one, other in zip(expected, got, strict=False):
        facts = [(t.name, t.datatype, t.shape) for t in (one, other)]
        if facts[0] != facts[1]:
            raise TrialFailure(
                Reason.WRONG_OUTPUT, f"the baseline gave {facts[0]}, this configuration {facts[1]}"
            )
        if not _close(one, other):
            raise TrialFailure(
                Reason.WRONG_OUTPUT,
                f"output `{one.name}` differs from the baseline's by more than "
                f"{_TOLERANCE_RELATIVE:.0%} and {_TOLERANCE_ABSOLUTE:g}",
            )
    if len(expected) != len(got):
        raise TrialFailure(
            Reason.WRONG_OUTPUT,
            f"the baseline gave {len(expected)} outputs, this configuration {len(got)}",
        )


def _close(one: Tensor, other: Tensor) -> bool:
    kinds = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
    kind = kinds.get(one.datatype)
    if kind is None or len(one.data) != len(other.data):
        return one.data == other.data
    first, second = (np.frombuffer(t.data, dtype=kind).astype(np.float64) for t in (one, other))
    return bool(np.allclose(second, first, rtol=_TOLERANCE_RELATIVE, atol=_TOLERANCE_ABSOLUTE))


def _check_verdicts(verdicts: Mapping[str, Verdict]) -> None:
    for name, verdict in verdicts.items():
        if verdict.grade is Grade.REFUTED:
            raise TrialFailure(
                Reason.REFUTED, f"parameter `{name}` did not take effect: {verdict.found}"
            )


def _spoiled(measurement: Measurement, budget: LatencyBudget) -> str:
    """What the load engine did wrong, if its own slowness is in the measurement."""
    if not isinstance(measurement.profile, OpenLoop) or measurement.stopped_early:
        return ""
    allowed_s = max(0.5e-3, 0.05 * budget.limit_s)
    if measurement.send_lag_p99_s > allowed_s:
        return (
            f"requests left {measurement.send_lag_p99_s * 1e3:.1f} ms late (p99), "
            f"{allowed_s * 1e3:.1f} ms are tolerable"
        )
    share = measurement.engine_cpu_s / measurement.engine_wall_s
    if share > _BUSY_ENGINE:
        return f"the load engine used {share:.0%} of a core, {_BUSY_ENGINE:.0%} are tolerable"
    return ""
