"""What the terminal shows, without colour and at 80 columns."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType  # noqa: TID251 - to see what it shows

from tests.analysis.test_effects import factorial
from tests.report import studies, texts
from tuner.analysis.pareto import trade_off
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord
from tuner.report import effects_text, fronts, terminal
from tuner.report.studies import studies_table, summary
from tuner.space.space import Configuration


def plain_console(*, width: int = 80, is_terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None, _environ={}
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(renderable: RenderableType, *, width: int = 80) -> str:
    console = plain_console(width=width)
    console.print(renderable)
    return written(console)


def page(study: StudyRecord, *, width: int = 80) -> list[str]:
    """All that is said of a study, in lines."""
    found = standings(study)
    tables = (
        terminal.result_table(study, found),
        *terminal.effects_tables(study, found, effects_text.of(study, found)),
        terminal.all_effects(effects_text.of(study, found)),
        fronts.pareto_table(study, trade_off(study)),
        terminal.trials_table(study),
        terminal.time_table(study),
    )
    return "\n".join(shown(table, width=width) for table in tables).splitlines()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("study", [studies.night(), studies.small_study(), factorial()])
def test_everything_fits(study: StudyRecord, width: int) -> None:
    """No line is wider than the terminal."""
    assert max(map(len, page(study, width=width))) <= width


def test_everything() -> None:
    """All tables with all sentences, in texts/terminal.txt."""
    slow = studies.infeasible(studies.baseline(), unloaded_s=0.061)
    found = {
        "one trial of each ending": studies.small_study(),
        "defaults that won": studies.study([studies.baseline(200.0), studies.trial(1, 100.0)]),
        "infeasible defaults": studies.study([slow, studies.trial(1, 300.0)]),
        "decided effects": factorial(),
        "an empty study": studies.study(),
    }

    texts.check("terminal.txt", {title: page(study) for title, study in found.items()})


def test_a_whole_night() -> None:
    """The result of a study with finals."""
    study = studies.night()
    table = terminal.result_table(study, standings(study))

    texts.check("night.txt", {"result": shown(table).splitlines()})


def test_text_of_others_is_no_markup() -> None:
    """Square brackets in a configuration stand as they are."""
    odd = Configuration.of({"flags": "[bold]fast[/bold]"})
    text = shown(
        terminal.trials_table(studies.study([studies.trial(1, 200.0, configuration=odd)]))
    )

    assert "flags=[bold]fast[/bold]" in text


def test_studies_table() -> None:
    """Each study has its line; one without a result has a dash."""
    found = [
        summary(studies.study(name=name)) | {"trials": 29, "best": best}
        for name, best in (("first", 398.0), ("second", None))
    ]

    texts.check("studies.txt", {"studies": shown(studies_table(found)).splitlines()})


def progress_on(
    console: Console, *, deadline_s: float | None = None, unit: str = RateUnit.INFERENCES
) -> terminal.LiveProgress:
    return terminal.LiveProgress(
        console, limit_latency=studies.BUDGET, unit=unit, deadline_s=deadline_s, trials=30
    )


def test_progress_without_a_terminal() -> None:
    """A log gets one plain line for each finished trial, however long."""
    console = plain_console()
    with progress_on(console) as progress:
        for trial in studies.small_study().trials:
            progress.trial_begins(trial.number, trial.purpose, trial.configuration)
            progress.phase_begins("search")
            progress.trial_ends(trial)

    lines = written(console).splitlines()
    assert len(lines) == 7
    assert lines[0] == "trial 0 (baseline): feasible, 152 inferences/s, 15 s: server's defaults"
    assert lines[5].startswith("trial 5 (search): failed: out of memory, 4.1 s: ")


def test_progress_on_a_terminal() -> None:
    """The running table shows the trial, its phase, the best so far and the time left."""
    console = plain_console(is_terminal=True)
    with progress_on(console) as progress:
        first, second, *_ = studies.small_study().trials
        for trial in (first, second):
            progress.trial_begins(trial.number, trial.purpose, trial.configuration)
            progress.trial_ends(trial)
        progress.trial_begins(2, Purpose.SEARCH, studies.BEST)
        progress.phase_begins("warm-up")
        text = shown(progress)

    assert "2 (search)" in text
    assert "warm-up" in text
    assert "260 inferences/s within p99 <= 50 ms (trial 1)" in text
    assert "2 of 30 trials, about 6 min 2" in text
    assert "instance_count=2" in text
    assert written(console)
    assert all(len(line) <= 80 for line in text.splitlines())


def test_progress_has_the_unit_of_the_study() -> None:
    """Also of trials that were read without their load points, as `tuner attach` reads them."""
    console = plain_console()
    progress = progress_on(console, unit="requests/s")
    progress.trial_ends(replace(studies.baseline(), points=()))

    assert "152 requests/s within p99 <= 50 ms (trial 0)" in shown(progress)
    assert written(console).startswith("trial 0 (baseline): feasible, 152 requests/s, ")


def test_progress_knows_the_deadline() -> None:
    """The time left ends with the deadline, even before the first trial."""
    text = shown(progress_on(plain_console(), deadline_s=time.monotonic() + 59.9))

    assert "none yet" in text
    assert "nothing within p99 <= 50 ms yet" in text
    assert "0 of 30 trials, about 60 s left" in text


def test_progress_does_not_credit_failures() -> None:
    """Neither a pruned nor a failed trial is the best so far."""
    progress = progress_on(plain_console())
    progress.trial_ends(studies.failed(1, Reason.CRASHED, "gone"))
    progress.trial_ends(studies.small_study().trials[3])

    assert "nothing within" in shown(progress)
