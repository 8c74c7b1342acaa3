"""A study as plain data, for JSON documents."""

from dataclasses import asdict
from typing import Any

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standing, Standings
from tuner.planning.proved import proofs_of
from tuner.records import PointRecord, StudyRecord, TrialRecord
from tuner.report import effects_text, host_speeds
from tuner.report.studies import summary
from tuner.report.token_text import tokens_document


def study_document(study: StudyRecord, result: Standings) -> dict[str, Any]:
    """A whole study: its result and its trials."""
    return {
        **summary(study),
        "baseline": standing(result.baseline, study) if result.baseline else None,
        "winner": standing(result.winner, study) if result.winner else None,
        "fastest": standing(result.fastest, study) if result.fastest else None,
        "recommended_for": result.advantage.cost.value if result.advantage else None,
        "gain": asdict(result.gain) if result.gain else None,
        "effects": effects_text.effects_document(effects_text.of(study, result), result)[
            "effects"
        ],
        "tied": [dict(each.configuration) for each in result.tied],
        "hardware": dict(study.hardware),
        "environment": dict(study.environment),
        "request": dict(study.request),
        "comparison": comparison(study),
        "hosts": host_speeds.documents(study, result),
        "trials": [_trial(trial) for trial in study.trials],
    }


def standing(standing: Standing, study: StudyRecord) -> dict[str, Any]:
    """A configuration with its capacity, and its latencies at the highest load within budget."""
    point = standing.trial.best_point(study.budget)
    latencies = {f"p{q}_ms": s * 1e3 for q, s in point.percentiles_s.items()} if point else {}
    firsts = firsts_s(point) if point else {}
    return {
        "configuration": dict(standing.configuration),
        "throughput": standing.throughput,
        "unit": RateUnit.of(study).value,
        "log_error": standing.log_error,
        "proofs": [
            {"throughput": trial.throughput, "verdict": trial.proof}
            for trial in proofs_of(study, standing.configuration)
            if trial.proof
        ],
        "fresh_starts": standing.confirmations,
        **latencies,
        **{f"first_p{q}_ms": s * 1e3 for q, s in firsts.items()},
        **(tokens_document(point) if point else {}),
    }


def firsts_s(point: PointRecord) -> dict[int, float]:
    """Percentiles of the time to the first of several responses; none where there is but one."""
    firsts = point.first_response
    return {q: firsts.percentile(q) for q in point.percentiles_s} if firsts else {}


def comparison(study: StudyRecord) -> dict[str, Any]:
    """What of the outputs counted (null: all), and what differs from one answer to the next."""
    return {
        "compare": study.request.get("compare"),
        "left_out": list(study.comparison.left_out),
        "nothing_left": study.comparison.nothing_left,
    }


def _trial(trial: TrialRecord) -> dict[str, Any]:
    return {
        "number": trial.number,
        "purpose": trial.purpose.value,
        "state": trial.state.value,
        "reason": trial.reason.value if trial.reason else None,
        "message": trial.message,
        "configuration": dict(trial.configuration),
        "throughput": trial.throughput,
        "output_difference": trial.difference,
        "remarks": list(trial.remarks),
        "log_error": trial.log_error,
        "unloaded_ms": trial.unloaded_s * 1e3,
        "saturation": trial.saturation,
        "applied": trial.applied,
        "proof": trial.proof,
        "verdicts": {name: v.grade.value for name, v in trial.verdicts.items()},
        "mean_batch": trial.statistics.mean_batch,
        "preemptions": trial.statistics.preemptions,
        "timings_s": dict(trial.timings_s),
        "seed": trial.seed,
        "host": trial.host,
        "attempt": trial.attempt,
    }
