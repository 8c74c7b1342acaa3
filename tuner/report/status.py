"""How studies stand: who runs them, what they have found so far, what is left of their time."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from tuner.analysis.standings import Standings
from tuner.goals import SearchBudget
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report import findings, formats, nearest_text
from tuner.report.columns import text_table, unbroken
from tuner.report.failures import complaint, cure
from tuner.report.figures import STEPS, total_s
from tuner.store.events import Event
from tuner.store.jobs import JobRecord, JobState, Wanted
from tuner.study.time_plan import finals_plan

# The failures that are shown unless all trials are asked for.
_LAST_FAILURES = 3
# What is said of a job that has been asked for something, until it hears.
_ASKED = {
    Wanted.PAUSE: "pausing",
    Wanted.STOP: "stopping",
    Wanted.STOP_NOW: "stopping",
}


@dataclass(frozen=True)
class Status:
    """A study with its result, and its last job with the last events of that.

    The study has only the load points that its plan rests on.
    """

    study: StudyRecord
    result: Standings
    job: JobRecord | None = None
    ended: Event | None = None
    trial: Event | None = None
    phase: Event | None = None

    @property
    def state(self) -> str:
        """`running`, `resting`, `pausing`, `paused`, `stopping`, `gone`, `ended` or `unknown`."""
        job = self.job
        if job is None:
            return "unknown"  # an older version ran it
        if job.is_gone:
            return "gone"
        asked = _ASKED.get(job.wanted, "")
        is_done = job.wanted is Wanted.PAUSE and job.state is JobState.PAUSED
        return asked if asked and not is_done else job.state.value

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def left_s(self) -> float:
        """Seconds; NaN where nothing runs, or nobody knows."""
        job = self.job
        if job is None or job.ends_at is None or not job.is_live:
            return math.nan
        return job.left_s


def document(status: Status) -> dict[str, Any]:
    """Everything that is known, as JSON values."""
    study, job, result = status.study, status.job, status.result
    winner = result.winner
    return {
        "study": study.name,
        "model": study.model,
        "latency_budget": str(study.budget),
        "state": status.state,
        "why": _why(status),
        "owner": job.who if job else None,
        "began_at": job.began_at.isoformat(timespec="seconds") if job else None,
        "heard_at": job.seen_at.isoformat(timespec="seconds") if job else None,
        "ends_at": job.ends_at.isoformat(timespec="seconds") if job and job.ends_at else None,
        "left_s": status.left_s,
        "log": job.log if job else None,
        "doing": _doing(status),
        "trials": _counts(study),
        "plan": _plan(status),
        "best": winner.throughput if winner else None,
        "configuration": dict(winner.configuration) if winner else None,
        "nearest": nearest_text.nearest_document(findings.nearest(study, result)),
        "gain": result.gain.estimate if result.gain else None,
        "gain_interval": [result.gain.low, result.gain.high] if result.gain else None,
        "failures": [_failure(trial) for trial in _failures(study)[-_LAST_FAILURES:]],
    }


def status_lines(status: Status) -> RenderableType:
    """The same for people."""
    found = document(status)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(status, found):
        table.add_row(name, Text(text))
    failures: list[RenderableType] = []
    for each in found["failures"]:
        cured = f"; try: {each['cure']}" if each["cure"] else ""
        said = f"trial {each['trial']}: {each['reason']}: {each['message']}{cured}"
        failures.append(Padding(Text(said), (0, 0, 0, 2)))
    title = Text(f"{found['study']}: {found['model']}, {found['latency_budget']}", style="bold")
    if failures:
        failures.insert(0, Text("last failures:"))
    return Group(title, unbroken(table), *failures)


def jobs_table(found: Sequence[Status]) -> RenderableType:
    """A line for each study, the newest first."""
    if not found:
        return Text("no study yet")
    columns = [Column(name, overflow="fold") for name in ("study", "state", "doing")]
    numbers = [Column(name, justify="right") for name in ("trials", "best inf/s", "gain", "left")]
    return text_table(map(_cells, found), *columns, *numbers)


def trial_document(trial: TrialRecord) -> dict[str, Any]:
    """How it ended, as JSON values."""
    return {
        "trial": trial.number,
        "purpose": trial.purpose.value,
        "state": trial.state.value,
        "reason": trial.reason.value if trial.reason else None,
        "message": trial.message,
        "log": complaint(trial),
        "cure": cure(trial),
        "throughput": trial.throughput,
        "seconds": total_s(trial),
        "finished_at": trial.finished_at.isoformat(timespec="seconds"),
        "configuration": dict(trial.configuration),
    }


def trials_list(study: StudyRecord, trials: Sequence[TrialRecord]) -> RenderableType:
    """These trials of the study; below each its configuration, and why it failed."""
    if not trials:
        return Text("no trial ended so")
    baseline = study.baseline.configuration if study.baseline else None
    lines: list[RenderableType] = []
    for trial in trials:
        took = formats.duration(total_s(trial))
        carries = findings.capacity(trial)
        found = "" if carries == formats.NOTHING else f", {carries} inferences/s"
        ended = f"{findings.ended(trial)}{found}, {took}"
        lines.append(Text(f"trial {trial.number} ({trial.purpose.value}): {ended}"))
        below = [formats.short(trial.configuration, baseline)]
        below += [line for line in (trial.message, complaint(trial)) if line and trial.reason]
        below += [f"try: {known}"] if (known := cure(trial)) else []
        lines += [Padding(Text(each, style="dim"), (0, 0, 0, 4)) for each in below]
    return Group(*lines)


def _cells(status: Status) -> tuple[str, ...]:
    found = document(status)
    best, gain = found["best"], found["gain"]
    return (
        found["study"],
        found["state"],
        found["doing"] or found["why"],
        str(found["trials"]["searched"]),
        formats.rate(best or 0.0),
        formats.times(gain) if gain else formats.NOTHING,
        formats.duration(found["left_s"]),
    )


def _lines(status: Status, found: Mapping[str, Any]) -> list[tuple[str, str]]:
    job, counts = status.job, found["trials"]
    lines = [("state", f"{found['state']}{_since(status)}")]
    if found["why"]:
        lines.append(("why", found["why"]))
    if found["doing"]:
        lines.append(("doing", found["doing"]))
    others = [f"{counts[name]} {name}" for name in (*_STATES, "finals") if counts[name]]
    lines.append(("trials", f"{counts['searched']} ({', '.join(others)})" if others else "none"))
    lines.append(("best so far", _best(status)))
    if found["plan"]:
        lines.append(("plan", found["plan"]))
    if job and job.log:
        lines.append(("log", job.log))
    return lines


_STATES = tuple(state.value for state in TrialState)


def _since(status: Status) -> str:
    job = status.job
    if job is None:
        return ", an older version of tuner ran it"
    if job.ended_at is not None:
        return f" {formats.stamp(job.ended_at.astimezone())}"
    heard_s = (datetime.now(UTC) - job.seen_at).total_seconds()
    began = formats.stamp(job.began_at.astimezone())
    return f", {job.who} since {began}, heard of {formats.duration(max(0.0, heard_s))} ago"


def _why(status: Status) -> str:
    """Why it ended, or what to do about a tuner that is gone."""
    if status.state == "gone":
        return f"its tuner was killed; `tuner resume {status.study.name}` goes on with it"
    if status.job is not None and status.job.state is JobState.ENDED:
        return status.job.why.partition("\n")[0] or status.study.stopped
    return ""


def _doing(status: Status) -> str:
    """The trial and the phase in progress; empty if nothing runs."""
    job, trial = status.job, status.trial
    if not status.is_live or status.state == "paused" or job is None:
        return ""
    if trial is None or trial.fence != job.fence:
        return "preparing"
    number, purpose = trial.trial, trial.content["purpose"]
    if any(each.number == number for each in status.study.trials):
        return "between two trials"
    phase = status.phase.content["phase"] if status.phase else ""
    within = status.phase is not None and status.phase.trial == number
    return f"trial {number} ({purpose})" + (f": {STEPS.get(phase, phase)}" if within else "")


def _counts(study: StudyRecord) -> dict[str, int]:
    searched = [t for t in study.trials if t.purpose in (Purpose.BASELINE, Purpose.SEARCH)]
    by_state = Counter(trial.state.value for trial in searched)
    finals = sum(t.purpose is Purpose.FINAL for t in study.trials)
    return {
        "searched": len(searched),
        **{name: by_state.get(name, 0) for name in _STATES},
        "finals": finals,
    }


def _best(status: Status) -> str:
    study, result = status.study, status.result
    baseline = study.baseline.configuration if study.baseline else None
    if result.winner is None:
        nothing, closest = f"nothing within {study.budget} yet", findings.nearest(study, result)
        if closest is None:
            return nothing
        configuration = formats.short(closest.trial.configuration, baseline)
        return f"{nothing}; the nearest has {nearest_text.found(closest)}: {configuration}"
    gain = f", {formats.gain(result.gain)} the defaults" if result.gain else ""
    configuration = formats.short(result.winner.configuration, baseline)
    return f"{formats.rate(result.winner.throughput)} inferences/s{gain}: {configuration}"


def _plan(status: Status) -> str:
    """How the rest of the time will be spent, by what the trials so far took."""
    left_s, study = status.left_s, status.study
    if math.isnan(left_s) or not study.trials or status.job is None:
        return ""
    left = f"{formats.duration(left_s)} left"
    if status.trial is not None and status.trial.content["purpose"] in _AT_THE_END:
        return f"{left}, for the finals"
    limits = SearchBudget.of(status.job.limits)
    finals = finals_plan(study.trials, study.budget, limits)
    each_s = statistics.mean(map(total_s, study.trials))
    more = min(
        max(0, math.floor((left_s - finals.duration_s) / each_s)),
        max(0, limits.trials - len(study.searched)),
    )
    kept = formats.duration(finals.duration_s)
    return f"{left}: about {formats.counted(more, 'trial')} more, then {kept} of finals"


_AT_THE_END = (Purpose.FINAL, Purpose.PROOF)


def _failures(study: StudyRecord) -> list[TrialRecord]:
    return [trial for trial in study.trials if trial.state is TrialState.FAILED]


def _failure(trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "reason": findings.ended(trial).partition(": ")[2],
        "message": trial.message.partition("\n")[0],
        "cure": cure(trial),
    }
