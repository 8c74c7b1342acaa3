"""One self-contained HTML file about a study, to keep, to send and to read offline."""

from tuner.analysis.effects import Effects
from tuner.analysis.hosts import is_of_fleet
from tuner.analysis.load_curves import load_curves
from tuner.analysis.point_frame import point_frame
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standings
from tuner.analysis.token_figures import generates
from tuner.records import StudyRecord, TrialState
from tuner.report import (
    charts,
    digest,
    figures,
    findings,
    formats,
    host_speeds,
    markup,
    page,
    replicas,
    token_text,
)
from tuner.report.sections import sections


def render(study: StudyRecord, standings: Standings, effects: Effects) -> str:
    """The report as one page; nothing on it is loaded from anywhere else.

    Of a large study it draws and lists what matters: a page with everything could not be read.
    """
    trials = digest.shown(study)
    study = digest.digest(study, trials)
    points = point_frame(study)
    curves = load_curves(study, study.budget.percentile)
    return page.template("study.html", typeset=markup.as_html).render(
        # What the page says, it asks these for.
        figures=figures,
        findings=findings,
        formats=formats,
        page=page,
        replicas=replicas,
        token_text=token_text,
        FAILED=TrialState.FAILED,
        study=study,
        trials=trials,
        about_shown=digest.about_shown(study, trials),
        fleet=is_of_fleet(study.trials),
        as_measured=host_speeds.AS_MEASURED,
        generated=generates(study),
        unit=RateUnit.of(study),
        winner=standings.winner,
        baseline=study.baseline.configuration if study.baseline else None,
        compared=findings.compared(study, standings),
        headline=findings.headline(study, standings),
        confidence=findings.confidence(study, standings),
        caveats=findings.caveats(study, standings),
        sections=sections(study, standings, effects, points, curves, trials),
        charts=charts.charts(study, standings, points, curves),
    )
