"""The parts of a study's report in their order, which HTML and Markdown share."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from tuner.analysis.bottleneck import diagnosed
from tuner.analysis.effects import Effects
from tuner.analysis.load_curves import LoadCurve
from tuner.analysis.standings import Standings
from tuner.analysis.steps import steps
from tuner.analysis.token_figures import limited_times
from tuner.records import StudyRecord, TrialRecord
from tuner.report import (
    answer_sheets,
    answer_text,
    bottleneck_text,
    effects_text,
    evidence_sheets,
    failures,
    findings,
    formats,
    host_speeds,
    replicas,
    search_findings,
    step_text,
    token_sheets,
    token_text,
)
from tuner.report.disturbances import about_disturbances
from tuner.report.sheet import Sheet

_ABOUT_SIDES = (
    "± is half a 95 % interval. A dash stands for what does not apply or was not measured."
)
_ABOUT_FRONT = (
    "The Pareto front joins the load points that no other beats in both throughput and latency. "
    "Intervals are of the latency, with 95 % confidence."
)
_ABOUT_TOKENS = (
    "What output tokens per second cost, through the load points that no other beats in both. The "
    "speed that a user sees is one over the time between tokens (ITL), at the percentile of the "
    "budget: so many answers come at least as fast."
)
_ABOUT_LIMITS = (
    "At each latency limit, the highest capacity of all configurations, estimated from their load "
    "points: between two that were measured, log latency is a line over log load. Where it is “at "
    "least” (dotted), no load over the limit was measured, and more is possible."
)
_ABOUT_SPLITS = (
    "Where a request's time went in the mean, over all loads of that start: queue and compute are "
    "the server's own figures; what it does not account for is its front end's and the network's."
)
_ABOUT_GRADES = (
    "“confirmed”: the server itself says so. “accepted”: it was set, and the server has no way to "
    "say. A trial with a refuted parameter counts as failed."
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A title that says what was found, a list below its `lead`, sentences, a file, and tables.

    In texts, what stands between backticks is code. `label` is what a table of contents calls it.
    """

    name: str
    label: str
    title: str
    lead: str = ""
    items: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    file: str = ""
    sheets: tuple[Sheet, ...] = ()


def sections(
    study: StudyRecord,
    standings: Standings,
    effects: Effects,
    points: pd.DataFrame,
    curves: Sequence[Sequence[LoadCurve]],
    shown: Collection[TrialRecord],
) -> tuple[Section, ...]:
    """What there is to say, without the sections that would be empty.

    `points` and `curves` (at the percentile of the budget) are those of the trials that are
    `shown`, of a large study not of all.
    """
    few = len(shown) < len(study.trials)
    alone = (f"Of the load points of the {len(shown):,} trials that are shown.",) if few else ()
    return (
        *_result(study, standings),
        *_trade_off(study, standings, points, curves, alone),
        *_reasons(study, standings, effects, curves),
        *_deployment(study, standings),
        *_evidence(study, standings),
    )


def _result(study: StudyRecord, standings: Standings) -> Iterator[Section]:
    compared = findings.compared(study, standings)
    if compared:
        names = formats.listed([title.partition(" (")[0] for title in compared])
        yield Section(
            name="sides",
            label="Side by side",
            title=f"The {names}",
            sentences=(_ABOUT_SIDES,),
            sheets=(answer_sheets.sides(study, standings),),
        )


def _trade_off(
    study: StudyRecord,
    standings: Standings,
    points: pd.DataFrame,
    curves: Sequence[Sequence[LoadCurve]],
    alone: tuple[str, ...],
) -> Iterator[Section]:
    if points.empty:
        return
    yield Section(
        name="front",
        label="Pareto front",
        title=answer_sheets.about_front(study, points),
        sentences=(_ABOUT_FRONT, *token_text.about_worst(study.budget), *alone),
        sheets=(answer_sheets.front(study),),
    )
    tokens = token_sheets.fronts(study)
    if tokens:
        yield Section(
            name="tokens",
            label="Output tokens",
            title=token_text.about_fronts(study),
            sentences=(_ABOUT_TOKENS, *alone),
            sheets=tokens,
        )
    limits = answer_sheets.limits(study, points, curves)
    if limits:
        best = f"tuner best {study.name} --budget-ms N"
        yield Section(
            name="limits",
            label="Other latency limits",
            title=answer_text.about_limits(study, curves),
            sentences=(
                _ABOUT_LIMITS,
                *alone,
                f"`{best}` prints the configuration for a limit{_of_several(study)}.",
            ),
            sheets=(limits,),
        )
    splits = answer_sheets.splits(study, standings)
    loops = "closed" if study.arrivals == "closed" else "open"
    yield Section(
        name="curves",
        label="Load curves",
        title=findings.about_curves(study, standings),
        sentences=(
            f"One start of each configuration, under {loops}-loop loads.",
            *([_ABOUT_SPLITS] if splits else []),
        ),
        sheets=(answer_sheets.curves(study, standings), *([splits] if splits else [])),
    )


def _of_several(study: StudyRecord) -> str:
    """Which one of several limits is meant."""
    times = limited_times(study.budget)
    if study.budget.answers is None or times == ["whole answer"]:
        return ""
    others = ", and the others in proportion" if len(times) > 1 else ""
    return f" of {times[0]}{others}"


def _reasons(
    study: StudyRecord,
    standings: Standings,
    effects: Effects,
    curves: Sequence[Sequence[LoadCurve]],
) -> Iterator[Section]:
    if effects.effects:
        best = standings.winner.configuration if standings.winner else None
        found = steps(study, effects.capacities, curves, best)
        told = step_text.sentences(study, found)
        yield Section(
            name="mattered",
            label="What mattered",
            title=effects_text.title(effects),
            lead=step_text.LEAD if told else "",
            items=told,
            sentences=(*step_text.remarks(found), *effects_text.remarks(standings, effects)),
            sheets=(evidence_sheets.effects(effects),),
        )
    if standings.winner:
        diagnosis = diagnosed(study, standings.winner.trial)
        yield Section(
            name="bottleneck",
            label="Bottleneck",
            title=bottleneck_text.title(diagnosis),
            sentences=bottleneck_text.sentences(
                diagnosis,
                gpus=bool(study.hardware.get("gpus")),
                preemptions=standings.winner.trial.statistics.preemptions,
            ),
        )


def _deployment(study: StudyRecord, standings: Standings) -> Iterator[Section]:
    winner = standings.winner
    if winner is None:
        return
    compared = findings.compared(study, standings)
    yield Section(
        name="replicas",
        label="Replicas",
        title=replicas.title(study, winner),
        sentences=replicas.assumptions(study, winner),
        sheets=(replicas.sheet(study, compared, winner),),
    )
    if winner.trial.export:
        yield Section(
            name="deploy",
            label="Deploy",
            title=findings.about_export(standings),
            sentences=(f"for {study.server}",),
            file=winner.trial.export,
        )


def _evidence(study: StudyRecord, standings: Standings) -> Iterator[Section]:
    groups = failures.groups(study.trials)
    if groups:
        yield Section(
            name="failures",
            label="What failed",
            title=findings.about_failures(study),
            items=search_findings.about_crashes(study),
            sentences=tuple(filter(None, [evidence_sheets.left_out(groups)])),
            sheets=(evidence_sheets.failed(groups),),
        )
    winner = standings.winner
    if winner and winner.trial.verdicts:
        yield Section(
            name="verification",
            label="Verification",
            title=findings.about_verification(winner),
            sentences=(_ABOUT_GRADES,),
            sheets=(evidence_sheets.verification(study, winner),),
        )
    hosts = host_speeds.rows(study, standings)
    if hosts:
        yield Section(
            name="hosts",
            label="Hosts",
            title=host_speeds.title(hosts),
            sentences=host_speeds.sentences(hosts),
            sheets=(host_speeds.sheet(hosts),),
        )
    warnings = (*search_findings.about_search(study), *about_disturbances(study))
    if warnings:
        yield Section(
            name="warnings",
            label="Search and machine",
            title="What to know of the search and the machine",
            items=warnings,
        )
    fingerprints = f"model {study.model_fingerprint}, search space {study.space_fingerprint}"
    yield Section(
        name="environment",
        label="Environment",
        title="Where it was measured",
        sentences=(f"Fingerprints: {fingerprints}.",),
        sheets=tuple(evidence_sheets.facts(study).values()),
    )
