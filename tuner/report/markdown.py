"""A study as Markdown, to be pasted into a ticket: the sentences and tables of the HTML page."""

from collections.abc import Iterator

from tuner.analysis.effects import Effects
from tuner.analysis.load_curves import load_curves
from tuner.analysis.point_frame import point_frame
from tuner.analysis.standings import Standings
from tuner.records import StudyRecord
from tuner.report import digest, findings, formats, markup
from tuner.report.sections import Section, sections


def render(study: StudyRecord, standings: Standings, effects: Effects) -> str:
    """The report without its charts and without the list of the trials."""
    shown = digest.shown(study)
    study = digest.digest(study, shown)
    title = markup.as_markdown(findings.headline(study, standings))
    about = f"{study.server}, model {study.model}, study {study.name}, begun"
    said = (
        findings.confidence(study, standings),
        *findings.caveats(study, standings),
        digest.about_shown(study, shown),
        f"{about} {formats.stamp(study.created_at)}.",
    )
    blocks = [f"# {title}", *(markup.as_markdown(each) for each in said if each)]
    points, curves = point_frame(study), load_curves(study, study.budget.percentile)
    for section in sections(study, standings, effects, points, curves, shown):
        blocks += _blocks(section)
    return "\n\n".join(blocks) + "\n"


def _blocks(section: Section) -> Iterator[str]:
    yield f"## {markup.as_markdown(section.title)}"
    if section.lead:
        yield markup.as_markdown(section.lead)
    if section.items:
        yield "\n".join(f"- {markup.as_markdown(item)}" for item in section.items)
    yield from map(markup.as_markdown, section.sentences)
    if section.file:
        yield _fenced(section.file)
    yield from (sheet.markdown() for sheet in section.sheets)


def _fenced(text: str) -> str:
    """As it is, in a fence that is longer than any that it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.rstrip()}\n{fence}"
