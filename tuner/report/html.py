"""One self-contained HTML file about a study, to keep, to send and to read offline."""

from collections.abc import Callable, Mapping
from typing import Any

from tuner.analysis.effects import Judgement
from tuner.analysis.pareto import load_points
from tuner.analysis.standings import Standing, Standings
from tuner.records import StudyRecord, TrialState
from tuner.report import (
    answer_text,
    charts,
    effects_text,
    figures,
    findings,
    formats,
    page,
    search_findings,
)

_FILTERS: Mapping[str, Callable[..., Any]] = {
    "rate": formats.rate,
    "latency": formats.latency,
    "duration": formats.duration,
    "per_cent": formats.per_cent,
    "label": formats.label,
    "value": formats.value,
    "stamp": formats.stamp,
    "capacity": findings.capacity,
    "ended": findings.ended,
    "grounds": findings.grounds,
    "total_s": figures.total_s,
    "effect_reference": effects_text.reference,
    "effect_gain": effects_text.gain,
    "effect_pairs": effects_text.pairs,
    "effect_tried": effects_text.tried,
    "margin": findings.carried,
    "typeset": lambda sentence: str(sentence).replace("<=", "≤"),
    "fact": lambda found, name: formats.fact(name, found),
    "short": formats.short,
}


def render(study: StudyRecord, standings: Standings) -> str:
    """The report as one page; nothing on it is loaded from anywhere else."""
    winner = standings.winner
    effects = effects_text.of(study, standings)
    has_points = not load_points(study).empty
    return page.template("study.html", **_FILTERS).render(
        FAILED=TrialState.FAILED,
        HELPED=Judgement.HELPED,
        HURT=Judgement.HURT,
        study=study,
        standings=standings,
        winner=winner,
        baseline=study.baseline.configuration if study.baseline else None,
        sides=findings.sides(standings),
        gain=formats.gain(standings.gain) if standings.gain else formats.NOTHING,
        headline=findings.headline(study, standings),
        remarks=(*findings.remarks(study, standings), *search_findings.about_search(study)),
        changed=_changed(study, winner),
        percentiles=figures.percentiles(study.budget),
        about=_about(study, standings),
        export=winner.trial.export if winner else "",
        effects=effects.effects,
        about_effects=effects_text.title(effects),
        effects_remarks=effects_text.remarks(standings, effects),
        steps=figures.time_by_step(study),
        measuring=figures.measuring_facts(study),
        plotly=page.script() if has_points else "",
        pareto_chart=charts.pareto_chart(study, standings) if has_points else "",
        load_curves=charts.load_curves(study, standings) if has_points else "",
        budget_chart=charts.budget_chart(study) if has_points else "",
    )


def _about(study: StudyRecord, standings: Standings) -> dict[str, str]:
    """The titles of the sections, each a finding."""
    return {
        "export": findings.about_export(standings),
        "front": findings.about_front(study),
        "curves": findings.about_curves(study, standings),
        "limits": answer_text.about_limits(study),
        "trials": findings.about_trials(study),
        "verification": findings.about_verification(standings.winner),
        "time": findings.about_time(study),
        "reloads": findings.about_reloads(study),
    }


def _changed(study: StudyRecord, winner: Standing | None) -> tuple[str, ...]:
    if winner is None or study.baseline is None:
        return ()
    return formats.changed(winner.configuration, study.baseline.configuration)
