"""What a study found, as facts: its winner, where the time goes, what failed."""

import math
from collections.abc import Iterator, Sequence

from tuner.analysis import interpolation
from tuner.analysis.bottleneck import Bottleneck, diagnosed
from tuner.analysis.interpolation import EstimateKind
from tuner.analysis.load_curves import LoadCurve, load_curves
from tuner.analysis.rate_unit import inferences_per_request
from tuner.analysis.standings import Standing, Standings
from tuner.errors import Reason
from tuner.hints.settings import parameters_of
from tuner.records import (
    NOT_ITS_FAULT,
    Grade,
    PointRecord,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.search import crash_regions
from tuner.space.expressions import Value, value_text
from tuner.space.space import Configuration, FloatParameter, IntParameter, Parameter, SearchSpace

_KNOWN = (EstimateKind.MEASURED, EstimateKind.INTERPOLATED)
# Of trials whose settings did not take effect, so many are read to name them.
_REFUTED = 20
# A capacity at this many times the limit, for those who may wait a little longer or less.
_LOOSER = 1.5
_TIGHTER = 0.5
# Roles of numbers that end where the machine does.
_OF_THE_MACHINE = ("threads", "number_of_gpu", "frontend")


def needed_trials(study: StudyRecord, standings: Standings) -> set[int]:
    """The numbers of the trials that are read in full, of a study that was read in brief."""
    winner = standings.winner
    refuted = [t.number for t in study.trials if t.reason is Reason.REFUTED][:_REFUTED]
    own = [t.number for t in study.trials if winner and t.configuration == winner.configuration]
    baseline = [study.baseline.number] if study.baseline else []
    return {*refuted, *own, *baseline}


def result_facts(study: StudyRecord, standings: Standings) -> dict[str, Value]:
    """Of a study with what `needed_trials` names; all that is not finite is left out."""
    facts: dict[str, Value] = {
        "result.budget_ms": study.budget.limit_s * 1e3,
        "result.overloads": sum(t.reason is Reason.CLIENT_OVERLOADED for t in study.trials),
        "result.refuted": ", ".join(dict.fromkeys(_refuted(study.trials))),
    }
    if telling := [t for t in study.searched if t.reason not in NOT_ITS_FAULT]:
        failed = sum(t.state is TrialState.FAILED for t in telling)
        facts["result.failures"] = failed / len(telling)
    if study.space:
        regions = crash_regions.regions(study.space, study.searched)
        facts["result.failing"] = "; ".join(map(str, regions))
    if standings.gain:
        facts["result.gain"] = standings.gain.estimate
    if standings.winner:
        facts |= _winner_facts(study, standings.winner)
    return {name: value for name, value in facts.items() if _is_told(value)}


def _is_told(value: Value) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _refuted(trials: Sequence[TrialRecord]) -> Iterator[str]:
    for trial in trials:
        for name, verdict in trial.verdicts.items():
            if verdict.grade is Grade.REFUTED:
                yield name


def _winner_facts(study: StudyRecord, winner: Standing) -> dict[str, Value]:
    trial = winner.trial
    facts = _latency_facts(study, winner.configuration)
    if trial.statistics.executions:
        facts["result.mean_batch"] = trial.statistics.mean_batch
    bottleneck = diagnosed(study, trial).bottleneck
    if bottleneck is not Bottleneck.UNKNOWN:
        facts["result.bottleneck"] = bottleneck.value
    if study.space:
        facts["result.edge"] = ", ".join(_edges(study.space, winner.configuration))
    if trial.points:
        disturbed = sum(bool(point.disturbed) for point in trial.points)
        facts["result.disturbed"] = disturbed / len(trial.points)
    if best := trial.best_point(study.budget):
        facts |= _load_facts(best, study)
    return facts


def _load_facts(best: PointRecord, study: StudyRecord) -> dict[str, Value]:
    """At the highest load within the budget."""
    in_flight = best.requests / best.duration_s * best.mean_s
    facts: dict[str, Value] = {
        "result.in_flight": in_flight,
        "result.inferences_in_flight": in_flight * inferences_per_request(study),
        "result.late_share": best.send_lag_p99_s / best.latency_s,
    }
    cores, memory_bytes = study.hardware.get("cores"), study.hardware.get("memory_bytes")
    if isinstance(cores, int) and cores:
        facts["result.busy"] = best.usage.cpu_s / best.duration_s / cores
    if isinstance(memory_bytes, int) and memory_bytes:
        facts["result.memory_share"] = best.usage.memory_bytes / memory_bytes
    return facts


def _latency_facts(study: StudyRecord, winner: Configuration) -> dict[str, Value]:
    """The winner's capacity at other limits, where load points on both sides tell it."""
    all_curves = load_curves(study, study.budget.percentile)
    curves = [c for group in all_curves for c in group if c.trial.configuration == winner]
    limit_s = study.budget.limit_s
    own = _capacity(curves, limit_s)
    others = {"looser": _capacity(curves, _LOOSER * limit_s)}
    others["tighter"] = _capacity(curves, _TIGHTER * limit_s)
    return {f"result.{name}": other / own for name, other in others.items() if own and other}


def _capacity(curves: Sequence[LoadCurve], limit_s: float) -> float | None:
    if not curves:
        return None
    found = interpolation.capacity(curves, limit_s)
    return found.throughput if found.kind in _KNOWN and not found.wide else None


def _edges(space: SearchSpace, winner: Configuration) -> Iterator[str]:
    """Numbers at the high end of their range, where the space's own rules would let them go on.

    Not those that nobody chose, and none of what the machine has no more of.
    """
    given = {p.name for role in _OF_THE_MACHINE for p in parameters_of(role, space)}
    for parameter in space.parameters:
        value = winner.get(parameter.name)
        if parameter.name not in given and (beyond := _beyond(parameter, value)):
            further = Configuration.of({**winner, parameter.name: beyond})
            if not space.violations(further):
                yield f"{parameter.name}={value_text(value)} (of {parameter.domain})"


def _beyond(parameter: Parameter, value: Value | None) -> float | None:
    """The next number after the high end; None where `value` is elsewhere, or the default."""
    if not isinstance(parameter, IntParameter | FloatParameter) or value == parameter.default:
        return None
    return 2 * parameter.high if value == parameter.high > parameter.low else None
