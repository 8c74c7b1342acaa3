"""What the terminal is told of a study: by the command line, and by a service in one text."""

import io
from collections.abc import Sequence
from enum import StrEnum

from rich.console import Console, RenderableType

from tuner.analysis import pareto
from tuner.analysis.effects import Effects
from tuner.analysis.standings import Standings, standings
from tuner.records import StudyRecord
from tuner.report import effects_text, terminal
from tuner.report.blocks import print_on
from tuner.report.digest import digested
from tuner.report.fronts import front_blocks, front_of, pareto_table
from tuner.store.storage import Storage


class SummaryForm(StrEnum):
    """Which of them.

    result   the best configuration beside the defaults, as `tuner attach` ends
    search   also which parameters mattered, and the Pareto front, as `tuner optimize` ends
    study    also the trials and where the time went, as `tuner studies show` says
    front    the Pareto front, as `tuner pareto` says
    """

    RESULT = "result"
    SEARCH = "search"
    STUDY = "study"
    FRONT = "front"


def summary(storage: Storage, name: str, form: SummaryForm) -> list[RenderableType]:
    """That of a stored study.

    Raises:
        InputError: There is no such study.
    """
    if form is SummaryForm.FRONT:
        return front_blocks(front_of(storage, name))
    study = digested(storage, name)
    result = standings(study)
    match form:
        case SummaryForm.RESULT:
            return [terminal.result_table(study, result)]
        case SummaryForm.SEARCH:
            return search_blocks(study, result, effects_text.of(study, result))
        case SummaryForm.STUDY:
            return study_blocks(study, result, effects_text.of(study, result))


def search_blocks(study: StudyRecord, result: Standings, found: Effects) -> list[RenderableType]:
    """What a search has found."""
    return [
        terminal.result_table(study, result),
        *terminal.effects_tables(study, result, found),
        pareto_table(study, pareto.trade_off(study)),
    ]


def study_blocks(study: StudyRecord, result: Standings, found: Effects) -> list[RenderableType]:
    """A whole study."""
    return [
        terminal.result_table(study, result),
        *terminal.effects_tables(study, result, found),
        terminal.trials_table(study),
        terminal.time_table(study),
    ]


def text(blocks: Sequence[RenderableType], *, width: int, styled: bool) -> str:
    """The blocks as text of `width` columns, with the escape codes of a terminal if `styled`."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        emoji=False,
        force_terminal=styled,
        color_system="standard" if styled else None,
        no_color=not styled,
    )
    print_on(console, blocks)
    return out.getvalue()
