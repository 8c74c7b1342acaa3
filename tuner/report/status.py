"""How studies stand: who runs them, what they have found so far, what is left of their time."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Ratio, Standings, standings
from tuner.errors import Reason
from tuner.goals import SearchBudget
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report import findings, formats, nearest_text, rates
from tuner.report.columns import text_table, unbroken
from tuner.report.failures import complaint, cure
from tuner.report.figures import STEPS, total_s
from tuner.report.hosts import MEASURING, host_documents, hosts_table, on_hosts
from tuner.report.json_text import budget_facts
from tuner.space.space import Configuration
from tuner.store.curve_points import tokens_per_answer
from tuner.store.events import Event, EventKind, last_events
from tuner.store.jobs import JobRecord, JobState, Wanted, job_of
from tuner.store.storage import Storage
from tuner.study.time_plan import finals_plan, plan_rests_on

# The failures that are shown unless all trials are asked for.
_LAST_FAILURES = 3


class StudyState(StrEnum):
    """What becomes of a study: what its tuner does, or was asked to do and has not heard yet.

    gone      its tuner was killed
    unknown   an older version ran it
    """

    RUNNING = "running"
    RESTING = "resting"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    GONE = "gone"
    ENDED = "ended"
    UNKNOWN = "unknown"


# What is said of a job that has been asked for something, until it hears.
_ASKED = {
    Wanted.PAUSE: StudyState.PAUSING,
    Wanted.STOP: StudyState.STOPPING,
    Wanted.STOP_NOW: StudyState.STOPPING,
}


@dataclass(frozen=True)
class Status:
    """A study with its result, and its last job with the last events of that.

    The study has only the load points that its plan rests on. `hosts` are the documents of those
    of its fleet, none where this machine measures it. `tokens` are those of an answer, if any.
    """

    study: StudyRecord
    result: Standings
    job: JobRecord | None = None
    ended: Event | None = None
    trial: Event | None = None
    phase: Event | None = None
    hosts: tuple[dict[str, Any], ...] = ()
    tokens: float = math.nan

    @property
    def state(self) -> StudyState:
        return state_of(self.job)

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


def state_of(job: JobRecord | None) -> StudyState:
    """That of a study with this last job."""
    if job is None:
        return StudyState.UNKNOWN
    if job.is_gone:
        return StudyState.GONE
    asked = _ASKED.get(job.wanted)
    is_done = job.wanted is Wanted.PAUSE and job.state is JobState.PAUSED
    return asked if asked and not is_done else StudyState(job.state.value)


def of_study(storage: Storage, name: str, known: Status | None = None) -> Status:
    """How the study called `name` stands.

    Where no trial has ended since `known`, its trials are not read again: whoever watches a study
    must not take the time of the machine that it measures.
    """
    job = job_of(storage, name)
    last = last_events(storage, name, *_TOLD)
    ended = last.get(EventKind.TRIAL_ENDED)
    goes_on = job is not None and job.is_live
    if known is not None and known.ended == ended and (goes_on or job == known.job):
        study, result, tokens = known.study, known.result, known.tokens
    else:
        study = storage.study(name, brief=True)
        if goes_on:
            study = storage.in_full(study, [each.number for each in plan_rests_on(study.trials)])
        result, tokens = standings(study), tokens_per_answer(storage, study)
    trial, phase = last.get(EventKind.TRIAL_BEGAN), last.get(EventKind.PHASE_BEGAN)
    hosts = host_documents(storage, study, is_live=goes_on)
    return Status(study, result, job, ended, trial, phase, hosts, tokens)


_TOLD = (EventKind.TRIAL_ENDED, EventKind.TRIAL_BEGAN, EventKind.PHASE_BEGAN)


def of_all(storage: Storage, known: Sequence[Status] = ()) -> list[Status]:
    """How each study stands, the newest first; `known` as in `of_study`."""
    before = {each.study.name: each for each in known}
    return [of_study(storage, name, before.get(name)) for name in storage.names()]


def document(status: Status) -> dict[str, Any]:
    """Everything that is known, as JSON values."""
    study, job, result = status.study, status.job, status.result
    winner = result.winner
    return {
        "study": study.name,
        "model": study.model,
        **budget_facts(study.budget),
        "state": status.state,
        "why": _why(status),
        "owner": job.who if job else None,
        "began_at": job.began_at.isoformat(timespec="seconds") if job else None,
        "heard_at": job.seen_at.isoformat(timespec="seconds") if job else None,
        "ended_at": job.ended_at.isoformat(timespec="seconds") if job and job.ended_at else None,
        "ends_at": job.ends_at.isoformat(timespec="seconds") if job and job.ends_at else None,
        "left_s": status.left_s,
        "log": job.log if job else None,
        "doing": _doing(status),
        "trials": _counts(study),
        "plan": _plan(status),
        "baseline": dict(study.baseline.configuration) if study.baseline else None,
        "best": winner.throughput if winner else None,
        "unit": RateUnit.of(study).value,
        "tokens_per_answer": status.tokens,
        "configuration": dict(winner.configuration) if winner else None,
        "nearest": nearest_text.nearest_document(findings.nearest(study, result)),
        "gain": result.gain.estimate if result.gain else None,
        "gain_interval": [result.gain.low, result.gain.high] if result.gain else None,
        "hosts": list(status.hosts),
        "failures": [_failure(trial) for trial in _failures(study)[-_LAST_FAILURES:]],
    }


def status_lines(found: Mapping[str, Any]) -> RenderableType:
    """The document for people."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(found):
        table.add_row(name, Text(text))
    failures: list[RenderableType] = []
    for each in found["failures"]:
        cured = f"; try: {each['cure']}" if each["cure"] else ""
        said = f"trial {each['trial']}: {each['reason']}: {each['message']}{cured}"
        failures.append(Padding(Text(said), (0, 0, 0, 2)))
    title = Text(f"{found['study']}: {found['model']}, {found['latency_budget']}", style="bold")
    if failures:
        failures.insert(0, Text("last failures:"))
    hosts = [hosts_table(found["hosts"])] if found.get("hosts") else []
    return Group(title, unbroken(table), *hosts, *failures)


def jobs_table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """A line for each document."""
    if not found:
        return Text("no study yet")
    columns = [Column(name, overflow="fold") for name in ("study", "state", "doing")]
    numbers = [Column(name, justify="right") for name in ("trials", "best, 1/s", "gain", "left")]
    return text_table(map(_cells, found), *columns, *numbers)


def trial_document(trial: TrialRecord) -> dict[str, Any]:
    """How it ended, as JSON values."""
    return {
        "trial": trial.number,
        "purpose": trial.purpose.value,
        "host": trial.host,
        "state": trial.state.value,
        "reason": trial.reason.value if trial.reason else None,
        "message": trial.message,
        "log": complaint(trial),
        "cure": cure(trial),
        "proof": trial.proof,
        "throughput": trial.throughput,
        "seconds": total_s(trial),
        "finished_at": trial.finished_at.isoformat(timespec="seconds"),
        "configuration": dict(trial.configuration),
    }


def trial_of(found: Mapping[str, Any]) -> TrialRecord:
    """The trial as far as its document tells of it."""
    finished_at = datetime.fromisoformat(found["finished_at"])
    return TrialRecord(
        number=found["trial"],
        purpose=Purpose(found["purpose"]),
        proposal=None,
        configuration=Configuration.of(found["configuration"]),
        state=TrialState(found["state"]),
        reason=Reason(found["reason"]) if found["reason"] else None,
        message=found["message"],
        throughput=found["throughput"],
        proof=found["proof"],
        host=found.get("host", ""),
        timings_s={"total": found["seconds"]},
        log_tail=found["log"],
        started_at=finished_at - timedelta(seconds=found["seconds"]),
        finished_at=finished_at,
    )


def trials_list(
    trials: Sequence[Mapping[str, Any]], baseline: Configuration | None
) -> RenderableType:
    """The documents of trials; below each its configuration, and why it failed."""
    if not trials:
        return Text("no trial ended so")
    lines: list[RenderableType] = []
    for each in trials:
        trial = trial_of(each)
        took = formats.duration(total_s(trial))
        carries = findings.capacity(trial)
        found = "" if carries == formats.NOTHING else f", {carries}/s"
        ended = f"{findings.ended(trial)}{found}, {took}"
        there = f" on {trial.host}" if trial.host else ""
        lines.append(Text(f"trial {trial.number} ({trial.purpose.value}){there}: {ended}"))
        below = [formats.short(trial.configuration, baseline)]
        below += [line for line in (trial.message, each["log"]) if line and trial.reason]
        below += [f"try: {each['cure']}"] if each["cure"] else []
        lines += [Padding(Text(line, style="dim"), (0, 0, 0, 4)) for line in below]
    return Group(*lines)


def _cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    best, gain = found["best"], found["gain"]
    return (
        found["study"],
        found["state"],
        found["doing"] or found["why"],
        str(found["trials"]["searched"]),
        formats.rate(best or 0.0),
        formats.times(gain) if gain else formats.NOTHING,
        formats.duration(math.nan if found["left_s"] is None else found["left_s"]),
    )


def _lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = found["trials"]
    lines = [("state", f"{found['state']}{_since(found)}")]
    lines += [(name, found[name]) for name in ("why", "doing") if found[name]]
    others = [f"{counts[name]} {name}" for name in (*_STATES, "finals") if counts[name]]
    lines.append(("trials", f"{counts['searched']} ({', '.join(others)})" if others else "none"))
    lines.append(("best so far", _best(found)))
    lines += [(name, found[name]) for name in ("plan", "log") if found.get(name)]
    return lines


_STATES = tuple(state.value for state in TrialState)


def _since(found: Mapping[str, Any]) -> str:
    if found["began_at"] is None:
        return ", an older version of tuner ran it"
    if found["ended_at"] is not None:
        return f" {_stamp(found['ended_at'])}"
    if found["heard_at"] is None:
        return f" since {_stamp(found['began_at'])}"
    heard_at = datetime.fromisoformat(found["heard_at"])
    heard_s = max(0.0, (datetime.now(UTC) - heard_at).total_seconds())
    began = _stamp(found["began_at"])
    return f", {found['owner']} since {began}, heard of {formats.duration(heard_s)} ago"


def _stamp(moment: str) -> str:
    return formats.stamp(datetime.fromisoformat(moment).astimezone())


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
    if status.hosts:
        return on_hosts(status.hosts)
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


def _best(found: Mapping[str, Any]) -> str:
    baseline = Configuration.of(found["baseline"]) if found["baseline"] else None
    if found["best"] is None:
        nothing, closest = f"nothing within {found['latency_budget']} yet", found["nearest"]
        if closest is None:
            return nothing
        configuration = formats.short(Configuration.of(closest["configuration"]), baseline)
        nearest = nearest_text.told(closest, found["percentile"])
        return f"{nothing}; the nearest has {nearest}: {configuration}"
    gain = ""
    if found["gain"] is not None:
        low, high = found["gain_interval"]
        gain = f", {formats.gain(Ratio(low, found['gain'], high))} the defaults"
    configuration = formats.short(Configuration.of(found["configuration"]), baseline)
    unit, tokens = found.get("unit") or RateUnit.INFERENCES, found.get("tokens_per_answer")
    carries = rates.said(found["best"], unit, tokens or math.nan)
    return f"{carries}{gain}: {configuration}"


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
    at_once = max(1, sum(each["state"] in MEASURING for each in status.hosts))
    more = min(
        max(0, math.floor((left_s - finals.duration_s) / each_s * at_once)),
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
