"""When the machine was disturbed while it measured, in sentences."""

from collections.abc import Iterator

from tuner.records import PointRecord, StudyRecord, TrialRecord
from tuner.report import formats
from tuner.watch.disturbances import Disturbance

# More trials than this are counted, not named.
_NAMED = 6
_WORDS = {
    Disturbance.STOLEN: "The host of this virtual machine ran others",
    Disturbance.STALLED: "The load engine could not send in time, with precedence over all,",
    Disturbance.OTHERS: "Other processes took more of the processors than before",
    Disturbance.QUOTA: "The processor quota of the tuner's group was used up",
    Disturbance.SWAP: "Memory went to the disk and back",
    Disturbance.HEAT: "A processor was slowed down because it was hot",
}

# Kinds of which the spoiled time is left out of a load point.
_CUT = (Disturbance.STOLEN, Disturbance.STALLED)


def about_disturbances(study: StudyRecord) -> tuple[str, ...]:
    """What disturbed load points, when, and what was done about it; a sentence for each kind."""
    return tuple(filter(None, (_about(study, kind) for kind in Disturbance)))


def _about(study: StudyRecord, kind: Disturbance) -> str:
    found = list(_disturbed(study, kind))
    if not found:
        return ""
    trials = list(dict.fromkeys(trial.number for trial, _ in found))
    points = f"{len(found):,} load point{'' if len(found) == 1 else 's'}"
    again = sum(point.runs > 1 for _, point in found)
    cut = " What was stolen is cut out where that can be done." if kind in _CUT else ""
    done = f"{again:,} of them {'was' if again == 1 else 'were'} measured more than once"
    begin, end = found[0][0].started_at, found[-1][0].finished_at
    until = f"{end:%H:%M}" if end.date() == begin.date() else formats.stamp(end)
    when = f"of {_named(trials)}, {formats.stamp(begin)} to {until}"
    return f"{_WORDS[kind]} during {points} {when}; {done}.{cut}"


def _disturbed(study: StudyRecord, kind: Disturbance) -> Iterator[tuple[TrialRecord, PointRecord]]:
    for trial in study.trials:
        for point in trial.points:
            if kind.value in point.disturbed:
                yield trial, point


def _named(trials: list[int]) -> str:
    if len(trials) > _NAMED:
        return f"{len(trials):,} trials"
    names = formats.listed([str(number) for number in trials])
    return f"trial{'' if len(trials) == 1 else 's'} {names}"
