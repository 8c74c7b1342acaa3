"""One trial, in order: apply, ready, verify, warm up, measure, validate, record.

Whatever goes wrong with the server or the configuration ends in a TrialRecord with a reason; only
what ends the study (a missing program, a broken load engine, an interrupt) leaves as an exception.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tuner.capacity.find import find_capacity, prove
from tuner.capacity.intervals import percentile_interval
from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import (
    NOTHING_TO_BEAT,
    Beat,
    Capacity,
    CapacityPlan,
    Expected,
    RisingBeat,
)
from tuner.errors import EngineLostError, Reason, ServerError, TrialFailure
from tuner.goals import LatencyBudget, Loop
from tuner.load.measurement import Measurement
from tuner.load.profile import LoadProfile, OpenLoop, Overload, load_of
from tuner.records import (
    Applied,
    Golden,
    Grade,
    Outcome,
    Phase,
    PointRecord,
    Purpose,
    ServerStatistics,
    SettingVerdict,
    TrialRecord,
    TrialState,
    Usage,
)
from tuner.space.space import Configuration
from tuner.study.deployment import Deployment
from tuner.study.observer import Observer
from tuner.study.outputs import Outputs, answer_distance, check_answer, counted, golden_of
from tuner.study.trial_load import TrialLoad
from tuner.targets.base import Target

logger = logging.getLogger(__name__)

# Requests that are sent at once at the end, if the server makes batches that large.
_ANSWERS_AT_ONCE = 8
# How often the baseline is asked, to see what differs from one answer to the next: once before the
# load, the others after it.
_GOLDEN_ANSWERS = 5
# The server's use of its machine is read at the ends of these phases; that takes time itself.
_WATCHED = (Phase.SEARCH, Phase.REFERENCE, Phase.PROOF)


@dataclass(frozen=True)
class Bench:
    """What all trials of a study share.

    `golden` is what the baseline answered; None as long as nobody knows it. `tolerance` is how far
    others may be from it, as `outputs.check_outputs` has it; `compare` are the places in an answer
    that count, None for all of them.
    """

    target: Target
    deployment: Deployment
    load: TrialLoad
    observer: Observer
    arrivals: Loop = Loop.OPEN
    golden: Golden | None = None
    tolerance: float | None = None
    compare: tuple[str, ...] | None = None

    @property
    def budget(self) -> LatencyBudget:
        return self.load.budget


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """Which trial to run; `beat` is what it is to beat when it begins.

    `reference` is a throughput at which the latency is measured as well, `reference_share` one as
    a share of the capacity that is found; 0 is none. `stretch` makes load points longer.
    `expected` is what an earlier trial of the configuration found. `round` is that of the finals.
    `claim` is a throughput that is to be proved, instead of searching for the capacity, within
    `longest_s` of load.
    """

    number: int
    purpose: Purpose
    configuration: Configuration
    proposal: int | None = None
    seed: int = 0
    beat: Beat = NOTHING_TO_BEAT
    stretch: float = 1.0
    fresh: bool = False
    reference: float = 0.0
    reference_share: float = 0.0
    expected: Expected | None = None
    round: int = 0
    claim: float = 0.0
    longest_s: float = math.inf


def run_trial(
    bench: Bench, plan: TrialPlan, beat: RisingBeat | None = None
) -> tuple[TrialRecord, Golden | None]:
    """Run the trial and say how it ended.

    `beat` is looked at after each load point, where what is to be beaten may rise meanwhile.

    Returns the outputs, too, that later ones are to be compared with: the golden ones of `bench`
    or, where it has none, those of this trial; None if it failed.

    Raises:
        InputError: Nothing in an answer is where `bench.compare` says.
    """
    bench.observer.trial_begins(plan.number, plan.purpose, plan.configuration)
    trial = _Trial(bench, plan, beat or RisingBeat(plan.beat), bench.golden)
    return trial.run(), trial.golden


# What is recorded of the capacity of a trial that failed.
_UNKNOWN = Capacity(
    outcome=Outcome.INFEASIBLE,
    throughput=0.0,
    log_error=math.inf,
    points=(),
    best=None,
    unloaded_s=math.nan,
    saturation=0.0,
)


@dataclass
class _Trial:
    """The trial in progress: what is known so far is what a failure will report."""

    bench: Bench
    plan: TrialPlan
    beat: RisingBeat
    golden: Golden | None
    answer_s: float = 0.0  # what one answer took without load
    timings_s: dict[str, float] = field(default_factory=dict)
    applied: str = ""
    remarks: tuple[str, ...] = ()
    verdicts: Mapping[str, SettingVerdict] = field(default_factory=dict)
    statistics: ServerStatistics = field(default_factory=ServerStatistics)
    points: list[PointRecord] = field(default_factory=list)
    reference_s: float = math.nan
    difference: float = math.nan
    proof: str = ""
    step: str = ""

    def run(self) -> TrialRecord:
        started_at, began = datetime.now(UTC), time.perf_counter()
        failure: TrialFailure | None = None
        capacity = _UNKNOWN
        try:
            capacity = self._steps()
        except (TrialFailure, ServerError, EngineLostError) as error:
            failure = self._failure(error)
        self.timings_s["total"] = time.perf_counter() - began
        return self._record(started_at, capacity, failure)

    def _record(
        self, started_at: datetime, capacity: Capacity, failure: TrialFailure | None
    ) -> TrialRecord:
        return TrialRecord(
            number=self.plan.number,
            purpose=self.plan.purpose,
            proposal=self.plan.proposal,
            configuration=self.plan.configuration,
            state=TrialState.FAILED if failure else TrialState(capacity.outcome.value),
            reason=failure.reason if failure else None,
            message=f"{self.step}: {failure}" if failure else "",
            log_tail=failure.log_tail if failure else "",
            throughput=capacity.throughput,
            log_error=capacity.log_error,
            unloaded_s=capacity.unloaded_s,
            saturation=capacity.saturation,
            reference_s=math.nan if failure else self.reference_s,
            usage=self._usage(capacity),
            applied=self.applied,
            verdicts=self.verdicts,
            statistics=self.statistics,
            difference=self.difference,
            remarks=self.remarks,
            timings_s=self.timings_s,
            points=tuple(self.points),
            export=self.bench.target.export(self.plan.configuration),
            seed=self.plan.seed,
            round=self.plan.round,
            proof="" if failure else self.proof,
            started_at=started_at,
            finished_at=datetime.now(UTC),
        )

    def _steps(self) -> Capacity:
        bench, configuration = self.bench, self.plan.configuration
        with self._step("apply"):
            applied = bench.deployment.apply(
                configuration, fresh=self.plan.fresh, trial=self.plan.number
            )
            self.applied = applied.value
        server = bench.deployment.server
        with self._step("verify"):
            self.verdicts = bench.target.verify(server, configuration)
            _check_verdicts(self.verdicts)
            requests = bench.target.requests(server)
            self.remarks = bench.target.remarks
            bench.load.check_limits(requests)
            first = () if self.golden else self._answers(1)
        if self.golden is not None:  # a wrong answer is not worth measuring
            with self._step("validate"):
                self._check_answers(self.golden, 1)
        if bench.load.is_unknown(requests):
            with self._step("self-check"):
                bench.load.check_itself(requests)
        with self._step("verify"):
            bench.load.engine.prepare(requests)
            before = bench.target.statistics(server)
        capacity = self._capacity()
        self.reference_s = self._at_reference(capacity)
        with self._step("validate"):
            self.statistics = bench.target.statistics(server) - before
            golden = self.golden or self._golden(first)
            self._check_answers(golden, bench.target.largest_batch(configuration))
        self.golden = golden
        return capacity

    def _capacity(self) -> Capacity:
        """The highest load within the budget, or whether the load that is claimed is."""
        bench, plan = self.bench, self.plan
        capacity_plan = CapacityPlan(
            budget=bench.budget,
            concurrency=bench.target.concurrency(plan.configuration),
            largest_batch=bench.target.largest_batch(plan.configuration),
            seed=plan.seed,
            beat=self.beat,
            arrivals=bench.arrivals,
            stretch=plan.stretch,
            expected=plan.expected,
            warm_up_requests=bench.target.warm_up_requests
            if self.applied == Applied.RESTART.value
            else 0,
        )
        if not plan.claim:
            return find_capacity(self._measure, capacity_plan)
        capacity, verdict = prove(self._measure, capacity_plan, plan.claim, plan.longest_s)
        self.proof = verdict.value
        return capacity

    def _at_reference(self, capacity: Capacity) -> float:
        """The budget's percentile at the reference load; infinite beyond the capacity."""
        plan = self.plan
        throughput = plan.reference or plan.reference_share * capacity.throughput
        if not throughput or capacity.best is None:
            return math.inf if plan.reference or plan.reference_share else math.nan
        if throughput > capacity.throughput:
            return math.inf
        rate = throughput / capacity.best.measurement.inferences_per_request
        profile = OpenLoop(rate, seed=self.plan.seed)
        length_s = duration_s(self.bench.budget, rate, capacity.answer_s)
        measurement = self._measure(Phase.REFERENCE, profile, duration_s=length_s)
        return measurement.percentile(self.bench.budget.percentile)

    def _answers(self, count: int) -> tuple[Outputs, ...]:
        """What counts of `count` answers that were asked for at once."""
        bench, began = self.bench, time.perf_counter()
        answers = bench.target.infer(bench.deployment.server, count=count)
        if count == 1:
            self.answer_s = time.perf_counter() - began
        return tuple(counted(outputs, bench.compare) for outputs in answers)

    def _golden(self, first: Sequence[Outputs]) -> Golden:
        """The first answer, and what differs from it in others, one at a time."""
        answers = [*first]
        while len(answers) < _GOLDEN_ANSWERS:
            answers += self._answers(1)
        golden = golden_of(answers, tolerance=self.bench.tolerance)
        for outputs in answers:
            check_answer(golden, outputs, tolerance=self.bench.tolerance)
        return golden

    def _check_answers(self, golden: Golden, largest_batch: int) -> None:
        """Ask several times at once: a batch must give what each request alone would get."""
        bench, count = self.bench, min(largest_batch, _ANSWERS_AT_ONCE)
        answers = self._answers(count)
        self.difference = max(answer_distance(golden, outputs) for outputs in answers)
        for outputs in answers:
            try:
                check_answer(golden, outputs, tolerance=bench.tolerance)
            except TrialFailure as failure:
                what = f"of {count} equal requests at once: {failure}" if count > 1 else failure
                raise TrialFailure(failure.reason, str(what)) from None

    def _measure(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> Measurement:
        """One load point of this trial, kept whatever comes of it."""
        bench = self.bench
        server = bench.deployment.server
        if not server.is_alive():
            raise TrialFailure(Reason.CRASHED, "it was gone before the load")
        with self._step(phase.value):
            loaded = bench.load.measure(
                bench.target.endpoint(server),
                profile,
                duration_s=duration_s,
                overload=overload,
                answer_s=self.answer_s,
                pid=server.pid or None if phase in _WATCHED else None,
            )
        measurement = loaded.measurement
        interval = percentile_interval(measurement, bench.budget.percentile)
        point = PointRecord.of(phase, measurement, bench.budget, interval)
        disturbed = tuple(each.value for each in loaded.disturbed)
        self.points.append(
            replace(point, usage=loaded.usage, runs=loaded.runs, disturbed=disturbed)
        )
        bench.observer.point_ends(self.points[-1])
        seen_ms = 1e3 * self.points[-1].latency_s
        logger.info("%s: %s: %.4g/s, %.3g ms", phase, profile, measurement.throughput, seen_ms)
        if complaint := bench.load.complaint(measurement):
            raise TrialFailure(Reason.CLIENT_OVERLOADED, complaint)
        if not server.is_alive():
            raise TrialFailure(Reason.CRASHED, "it was gone after the load")
        return measurement

    def _usage(self, capacity: Capacity) -> Usage:
        """For each inference, at the best load point."""
        if capacity.best is None:
            return Usage()
        profile = capacity.best.measurement.profile
        searched = [p for p in self.points if p.phase == Phase.SEARCH]
        best = next(p for p in searched if p.load == load_of(profile))
        return best.usage.per(best.throughput * best.duration_s)

    def _failure(self, error: TrialFailure | ServerError | EngineLostError) -> TrialFailure:
        """What is to blame; the server is gone afterwards."""
        deployment = self.bench.deployment
        match error:
            case TrialFailure():
                failure = error
            case EngineLostError():
                self.bench.load.engine.revive()
                failure = TrialFailure(Reason.INTERRUPTED, str(error))
            case _:
                failure = TrialFailure(Reason.UNRESPONSIVE, str(error))
        if failure.reason is Reason.LOAD_FAILED:
            failure = TrialFailure(failure.reason, f"{failure}{self._words()}")
        failure = deployment.blame(failure)
        # A server that failed once is not trusted with another configuration.
        deployment.stop()
        return failure

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


def _check_verdicts(verdicts: Mapping[str, SettingVerdict]) -> None:
    for name, verdict in verdicts.items():
        if verdict.grade is Grade.REFUTED:
            raise TrialFailure(
                Reason.REFUTED, f"parameter `{name}` did not take effect: {verdict.found}"
            )
