"""Sums over the trials of a study that the terminal and the HTML report share (pure)."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from tuner.analysis.load_curves import loaded_points
from tuner.goals import LatencyBudget
from tuner.numbers.distributions import Z
from tuner.records import Applied, Phase, StudyRecord, TrialRecord, TrialState

_APPLY = {Applied.RESTART.value: "start the server", Applied.RELOAD.value: "reload the model"}
# What a trial does between its start and its end, by the names in its timings.
STEPS = {
    "verify": "verify the configuration",
    "self-check": "check the load engine",
    Phase.WARM_UP.value: "warm up",
    Phase.UNLOADED.value: "measure unloaded",
    Phase.SATURATION.value: "measure saturated",
    Phase.SEARCH.value: "search the highest load",
    Phase.REFERENCE.value: "measure the reference load",
    Phase.PROOF.value: "prove the claimed load",
    "validate": "validate the outputs",
}
# The steps with a load.
_PHASES = tuple(phase.value for phase in Phase)
_ORDER = (*_APPLY.values(), "start or reload that failed", *STEPS.values(), "other")


@dataclass(frozen=True)
class StepTime:
    """What one step of all trials took; `share` is that of the trials' whole time."""

    name: str
    spent_s: float
    share: float


@dataclass(frozen=True)
class MeasuringFacts:
    """How the points of a study's load curves were measured."""

    points: int
    requests: int
    shortest_s: float
    longest_s: float
    median_lag_s: float
    worst_lag_s: float
    priorities: tuple[str, ...]


def percentiles(budget: LatencyBudget) -> list[float]:
    """Those that are shown of a load point, the budget's among them."""
    return sorted({50.0, 95.0, 99.0, budget.percentile})


def total_s(trial: TrialRecord) -> float:
    return trial.timings_s.get("total", sum(trial.timings_s.values()))


def overhead_s(trial: TrialRecord) -> float:
    """What a trial spent on anything but warming up and measuring."""
    return total_s(trial) - sum(trial.timings_s.get(phase, 0.0) for phase in _PHASES)


def median_reload_overhead_s(study: StudyRecord) -> float:
    """The overhead of a usual trial that reloaded the server; NaN if none did."""
    spent = [
        overhead_s(trial)
        for trial in study.trials
        if trial.applied == Applied.RELOAD.value and trial.state is not TrialState.FAILED
    ]
    return median(spent) if spent else math.nan


def time_by_step(study: StudyRecord) -> tuple[StepTime, ...]:
    """Where the time of the trials went, in the order of a trial; no step that took none."""
    spent: Counter[str] = Counter()
    for trial in study.trials:
        spent.update(_steps_s(trial))
    whole_s = sum(spent.values())
    return tuple(
        StepTime(name, spent[name], spent[name] / whole_s) for name in _ORDER if spent[name] > 0
    )


def measuring_share(study: StudyRecord) -> float:
    """The part of the trials' time in which a load was on the server; 0 without trials."""
    whole_s = sum(total_s(trial) for trial in study.trials)
    idle_s = sum(overhead_s(trial) for trial in study.trials)
    return 1 - idle_s / whole_s if whole_s > 0 else 0.0


class Estimated(Protocol):
    """A throughput, and the standard error of its logarithm."""

    @property
    def throughput(self) -> float: ...
    @property
    def log_error(self) -> float: ...


def margin(found: Estimated) -> float:
    """Half the 95 % interval of its throughput; 0 where it is not known."""
    if not math.isfinite(found.log_error):
        return 0.0
    return found.throughput * math.expm1(Z * found.log_error)


def round_numbers(least: float, most: float, digits: Sequence[float] = (1, 2, 5)) -> list[float]:
    """These `digits` times the powers of ten around `least` to `most`, both above 0."""
    exponents = range(math.floor(math.log10(least)), math.floor(math.log10(most)) + 2)
    return [float(f"{digit:g}e{exponent}") for exponent in exponents for digit in digits]


def states(study: StudyRecord) -> dict[TrialState, int]:
    """How many trials ended in each way; ways in which none ended are left out."""
    counts = Counter(trial.state for trial in study.trials)
    return {state: counts[state] for state in TrialState if counts[state]}


def measuring_facts(study: StudyRecord) -> MeasuringFacts | None:
    """None if no point of a load curve was measured."""
    points = [point for trial in study.trials for point in loaded_points(study, trial)]
    if not points:
        return None
    lags_s = [point.send_lag_p99_s for point in points]
    return MeasuringFacts(
        points=len(points),
        requests=sum(point.requests for point in points),
        shortest_s=min(point.duration_s for point in points),
        longest_s=max(point.duration_s for point in points),
        median_lag_s=median(lags_s),
        worst_lag_s=max(lags_s),
        priorities=tuple(sorted({point.priority for point in points})),
    )


def _steps_s(trial: TrialRecord) -> dict[str, float]:
    applying = _APPLY.get(trial.applied, "start or reload that failed")
    spent = {applying: trial.timings_s.get("apply", 0.0)}
    spent |= {name: trial.timings_s.get(step, 0.0) for step, name in STEPS.items()}
    # Clocks that are read one after the other may leave a hair less than nothing.
    spent["other"] = max(0.0, total_s(trial) - sum(spent.values()))
    return spent
