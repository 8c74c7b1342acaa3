"""What was observed, as it is stored and reported: studies, trials and load points."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.load.histogram import Histogram
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, load_of
from tuner.load.requests import Tensor
from tuner.numbers.counters import grown
from tuner.space.answer_paths import fewest, is_at
from tuner.space.space import Configuration, SearchSpace

LATENCY_PERCENTILES = (50, 90, 95, 99)
# Failures that say nothing of the configuration: nobody must learn from them.
NOT_ITS_FAULT = (Reason.CLIENT_OVERLOADED, Reason.INTERRUPTED)


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval around an estimate."""

    low: float
    estimate: float
    high: float


class Phase(StrEnum):
    """What a load point was measured for."""

    WARM_UP = "warm-up"
    UNLOADED = "unloaded"
    SATURATION = "saturation"
    SEARCH = "search"
    REFERENCE = "reference"
    PROOF = "proof"


class Outcome(StrEnum):
    """What is known of a configuration once it was measured."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"


class Applied(StrEnum):
    """How a configuration was made effective."""

    RESTART = "restart"
    RELOAD = "reload"


class Grade(StrEnum):
    """What is known of one parameter after the server was asked."""

    CONFIRMED = "confirmed"  # the server itself says so
    ACCEPTED = "accepted"  # it was set, and nothing could prove its effect
    REFUTED = "refuted"  # the server says otherwise


@dataclass(frozen=True)
class SettingVerdict:
    """The grade of one parameter and, where it was refuted, what was found instead."""

    grade: Grade
    found: str = ""


@dataclass(frozen=True)
class Comparison:
    """What of the outputs was left out when they were compared with the baseline's.

    `left_out` are the places (`answer_paths`) that differ from one answer of the baseline to the
    next; with `nothing_left` that is all of them.
    """

    left_out: tuple[str, ...] = ()
    nothing_left: bool = False


@dataclass(frozen=True)
class Golden:
    """What the baseline answered, to be compared with what other configurations do.

    Values at the places `varying` differ from one of its answers to the next; at the places
    `shapeless` even what is there.
    """

    outputs: tuple[Tensor, ...]
    varying: tuple[str, ...] = ()
    shapeless: tuple[str, ...] = ()

    def beside(self, other: Self) -> "Golden":
        """These outputs, with what was seen to differ here or in `other`."""
        seen = ((*self.varying, *other.varying), (*self.shapeless, *other.shapeless))
        return Golden(self.outputs, *(tuple(dict.fromkeys(each)) for each in seen))

    @property
    def compared(self) -> tuple[Tensor, ...]:
        """The outputs that are the same each time."""
        return tuple(t for t in self.outputs if not is_at(t.name, self.places))

    @cached_property
    def places(self) -> tuple[str, ...]:
        return fewest((*self.varying, *self.shapeless))

    @property
    def comparison(self) -> Comparison:
        return Comparison(self.places, nothing_left=bool(self.places) and not self.compared)


@dataclass(frozen=True)
class ServerStatistics:
    """A server's own counters since it started; durations are seconds summed over requests.

    By batch size: executions, and their seconds together. `preemptions` are of requests, for
    memory; None where the server does not count them.
    """

    inferences: int = 0
    executions: int = 0
    failures: int = 0
    queue_s: float = 0.0
    compute_input_s: float = 0.0
    compute_infer_s: float = 0.0
    compute_output_s: float = 0.0
    requests: int = 0
    batches: Mapping[int, int] = field(default_factory=dict)
    batch_times_s: Mapping[int, float] = field(default_factory=dict)
    preemptions: int | None = None

    def __sub__(self, earlier: Self) -> Self:
        """What happened between two readings."""
        names = [each.name for each in fields(self)]
        return type(self)(*(grown(getattr(self, n), getattr(earlier, n)) for n in names))

    @property
    def mean_batch(self) -> float:
        """Inferences per execution: above 1, the server did batch."""
        return self.inferences / self.executions if self.executions else 0.0

    def per_request_s(self, total_s: float) -> float:
        return total_s / self.requests if self.requests else 0.0


class Purpose(StrEnum):
    """What a trial was run for."""

    BASELINE = "baseline"
    SEARCH = "search"
    DRIFT = "drift"  # the baseline once more, to see whether the machine is as fast as it was
    FINAL = "final"
    PROOF = "proof"  # the recommended configuration at the load that is claimed for it


class TrialState(StrEnum):
    """How a trial ended.

    feasible     some load meets the latency budget; `throughput` is the capacity
    infeasible   no load meets it
    pruned       proved that it cannot beat the best one; `throughput` is the bound of that proof
    failed       there is no measurement, for a Reason
    """

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Usage:
    """What the server took of its machine; NaN is what could not be measured.

    Processor seconds and joules of all GPUs, of a load point while it lasted, of a trial for each
    inference at its best load point. Memory is the most that was resident, in bytes.
    """

    cpu_s: float = math.nan
    memory_bytes: float = math.nan
    energy_j: float = math.nan

    def per(self, inferences: float) -> "Usage":
        if inferences <= 0:
            return Usage()
        return Usage(self.cpu_s / inferences, self.memory_bytes, self.energy_j / inferences)


@dataclass(frozen=True, kw_only=True)
class PointRecord:
    """One load point; `load` is the concurrency of a closed loop, the rate of an open one.

    `latency_s` is the percentile of the study's latency budget, from `latency_low_s` to
    `latency_high_s` with 95 % confidence (infinite where requests are too few). `reconnected` were
    sent once more, as the server had closed their connection. `first_response` has the times to
    the first of several responses, or token. Of answers made of tokens, `itl` has the mean time
    between the tokens of each, `whole` the times to their ends; `tokens_per_s` are output tokens,
    the share `together` of which arrived with the one before, counted by the `server`, by `pieces`
    or by `both` (`counted_by`). It was measured `runs` times, because of what `disturbed` it
    (`watch.disturbances`).
    """

    phase: str
    kind: str
    load: float
    duration_s: float
    throughput: float
    requests: int
    mean_s: float
    latency_s: float
    latency_low_s: float = math.nan
    latency_high_s: float = math.nan
    percentiles_s: Mapping[int, float]
    errors: Mapping[str, int]
    unanswered: int
    reconnected: int = 0
    send_lag_p99_s: float
    engine_cpu_s: float
    priority: str
    stopped_early: str
    histogram: Histogram
    first_response: Histogram | None = None
    itl: Histogram | None = None
    whole: Histogram | None = None
    tokens_per_s: float = math.nan
    together: float = math.nan
    counted_by: str = ""
    runs: int = 1
    disturbed: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def of(
        cls, phase: Phase, m: Measurement, budget: LatencyBudget, interval: Interval | None = None
    ) -> "PointRecord":
        """`interval` is that of the budget's percentile."""
        return cls(
            phase=phase.value,
            kind="closed" if isinstance(m.profile, ClosedLoop) else "open",
            load=load_of(m.profile),
            duration_s=m.duration_s,
            throughput=m.throughput,
            requests=m.requests,
            mean_s=m.mean_s,
            latency_s=m.percentile(budget.percentile),
            latency_low_s=interval.low if interval else math.nan,
            latency_high_s=interval.high if interval else math.nan,
            percentiles_s={q: m.percentile(q) for q in LATENCY_PERCENTILES},
            errors=dict(m.errors),
            unanswered=m.unanswered,
            reconnected=m.reconnected,
            send_lag_p99_s=m.send_lag_p99_s,
            engine_cpu_s=m.engine_cpu_s,
            priority=m.priority,
            stopped_early=m.stopped_early,
            histogram=m.histogram,
            first_response=m.first_response,
            itl=Histogram.of_known(m.itls_s) if m.tokens else None,
            whole=Histogram.of_known(m.wholes_s) if m.tokens else None,
            tokens_per_s=m.tokens.throughput if m.tokens else math.nan,
            together=m.tokens.together_share if m.tokens else math.nan,
            counted_by=m.tokens.counted_by if m.tokens and m.tokens.output else "",
        )

    def percentile(self, q: float) -> float:
        """In seconds; exact for the percentiles that are stored, else to a bin's width."""
        exact = self.percentiles_s.get(int(q)) if q == int(q) else None
        return self.histogram.percentile(q) if exact is None else exact


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial. `timings_s` says where its time went, by step; `total` is all of it.

    `proposal` is the number that the sampler knows it by; `export` is the file that deploys its
    configuration. `reference_s` is the budget's percentile at the study's reference load, infinite
    where the configuration does not carry that load, NaN where it was not measured. `difference`
    is how far its outputs are from the baseline's (outputs.distance), NaN where they were not
    asked for. `remarks` say in sentences what is to be known of its requests. `usage` is for each
    inference at the best load point. `round` counts the rounds of the finals, each of which has
    every finalist once, and the repeats of the baseline. `proof` is the verdict on the load
    `throughput` (`within`, `over` or `undecided`) of a trial for that purpose. `host` is the
    fleet's host that ran it, empty for this machine; `attempt` is its run.
    """

    number: int
    purpose: Purpose
    proposal: int | None
    configuration: Configuration
    state: TrialState
    reason: Reason | None = None
    message: str = ""
    throughput: float = 0.0
    log_error: float = math.inf
    unloaded_s: float = math.nan
    saturation: float = 0.0
    reference_s: float = math.nan
    difference: float = math.nan
    remarks: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    round: int = 0
    proof: str = ""
    applied: str = ""
    verdicts: Mapping[str, SettingVerdict] = field(default_factory=dict)
    statistics: ServerStatistics = field(default_factory=ServerStatistics)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    points: tuple[PointRecord, ...] = ()
    log_tail: str = ""
    export: str = ""
    seed: int = 0
    host: str = ""
    attempt: int = 0
    started_at: datetime
    finished_at: datetime

    def value(self, objective: Objective) -> float:
        """What was measured of `objective`; NaN where nothing was."""
        values = {
            Objective.THROUGHPUT: self.throughput,
            Objective.LATENCY: self.reference_s,
            Objective.MEMORY: self.usage.memory_bytes,
            Objective.CPU: self.usage.cpu_s,
            Objective.ENERGY: self.usage.energy_j,
        }
        return values[objective]

    def best_point(self, budget: LatencyBudget) -> PointRecord | None:
        """The highest load that met the budget of the study."""
        telling = (p for p in self.points if p.phase in (Phase.SEARCH, Phase.PROOF))
        within = (p for p in telling if not p.stopped_early and p.latency_s <= budget.limit_s)
        return max(within, key=lambda p: p.load, default=None)


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One study: what was searched, on what, for which latency budget.

    `parameters` says domain and default of each in words. `space` and `place` are None in studies
    that a version before them began. `place` is where the servers run: `runner`, and what it was
    given; `options` are those of the command, by the names of its fields.
    `arrivals` is `poisson` (open loop) or `closed`; `warm_start` names the studies whose best
    configurations were tried first; `stopped` says why the search ended, empty while it has not.
    `comparison` is what the baseline's answers left to be compared with.
    """

    name: str
    created_at: datetime
    server: str
    model: str
    model_fingerprint: str
    space_fingerprint: str
    budget: LatencyBudget
    parameters: Mapping[str, str]
    request: Mapping[str, Any]
    hardware: Mapping[str, Any]
    environment: Mapping[str, str]
    space: SearchSpace | None = None
    place: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = (Objective.THROUGHPUT,)
    arrivals: Loop = Loop.OPEN
    sampler: str = "tpe"
    warm_start: tuple[str, ...] = ()
    stopped: str = ""
    comparison: Comparison = Comparison()
    trials: tuple[TrialRecord, ...] = ()

    @property
    def on_fleet(self) -> bool:
        """Whether it was asked for on the hosts of a fleet, however many of them measured."""
        return bool(self.options.get("fleet"))

    @property
    def baseline(self) -> TrialRecord | None:
        return next((t for t in self.trials if t.purpose is Purpose.BASELINE), None)

    @property
    def searched(self) -> tuple[TrialRecord, ...]:
        """All trials of the search, the baseline among them, without repeats and finals."""
        return tuple(t for t in self.trials if t.purpose in (Purpose.BASELINE, Purpose.SEARCH))

    @property
    def finals(self) -> tuple[TrialRecord, ...]:
        return tuple(t for t in self.trials if t.purpose is Purpose.FINAL)

    @property
    def proofs(self) -> tuple[TrialRecord, ...]:
        """The trials that were to prove a claimed load."""
        return tuple(t for t in self.trials if t.purpose is Purpose.PROOF)
