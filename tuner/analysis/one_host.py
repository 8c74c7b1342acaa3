"""A fleet's study as if its first host had measured everything (pure)."""

from dataclasses import replace

from tuner.analysis.hosts import Speeds, is_of_fleet, speeds
from tuner.records import PointRecord, StudyRecord, TrialRecord


def as_on_one_host(study: StudyRecord, known: Speeds | None = None) -> StudyRecord:
    """`study` with each host's factor taken off its trials and their load points.

    A factor is one of rates: throughputs, and the loads of open loops, are divided by it.
    Latencies stay what they were at those loads. Without a fleet it is the study itself. `known`
    are its speeds, where the caller has them.
    """
    if not is_of_fleet(study.trials):
        return study
    found = known or speeds(study.trials)
    factors = found.factors(study.trials)
    corrected = found.corrected(study.trials)
    return replace(study, trials=tuple(_scaled(each, factors[each.number]) for each in corrected))


def _scaled(trial: TrialRecord, factor: float) -> TrialRecord:
    points = tuple(_at_first_speed(each, factor) for each in trial.points)
    return replace(trial, points=points, host="")


def _at_first_speed(point: PointRecord, factor: float) -> PointRecord:
    load = point.load if point.kind == "closed" else point.load / factor
    return replace(
        point,
        load=load,
        throughput=point.throughput / factor,
        tokens_per_s=point.tokens_per_s / factor,
    )
