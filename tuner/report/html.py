"""One self-contained HTML file about a study, to keep, to send and to read offline."""

from tuner.analysis.effects import Effects, Judgement
from tuner.analysis.point_frame import point_frame
from tuner.analysis.standings import Standing, Standings
from tuner.records import StudyRecord, TrialState
from tuner.report import (
    answer_text,
    charts,
    digest,
    effects_text,
    figures,
    findings,
    formats,
    page,
    search_findings,
)
from tuner.report.disturbances import about_disturbances


def render(study: StudyRecord, standings: Standings, effects: Effects) -> str:
    """The report as one page; nothing on it is loaded from anywhere else.

    Of a large study it draws and lists what matters: a page with everything could not be read.
    """
    trials = digest.shown(study)
    study = digest.digest(study, trials)
    return page.template("study.html", typeset=_typeset).render(
        # What the page says and draws, it asks these for.
        answer_text=answer_text,
        charts=charts,
        effects_text=effects_text,
        figures=figures,
        findings=findings,
        formats=formats,
        page=page,
        FAILED=TrialState.FAILED,
        HELPED=Judgement.HELPED,
        HURT=Judgement.HURT,
        study=study,
        trials=trials,
        disturbances=about_disturbances(study),
        about_shown=digest.about_shown(study, trials),
        standings=standings,
        winner=standings.winner,
        baseline=study.baseline.configuration if study.baseline else None,
        sides=findings.sides(standings),
        headline=findings.headline(study, standings),
        remarks=(*findings.remarks(study, standings), *search_findings.about_search(study)),
        changed=_changed(study, standings.winner),
        effects=effects,
        points=point_frame(study),
    )


def _typeset(sentence: object) -> str:
    return str(sentence).replace("<=", "≤")


def _changed(study: StudyRecord, winner: Standing | None) -> tuple[str, ...]:
    if winner is None or study.baseline is None:
        return ()
    return formats.changed(winner.configuration, study.baseline.configuration)
