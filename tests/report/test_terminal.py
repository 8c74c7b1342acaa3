"""What the terminal shows, without colour and at 80 columns."""

import io
import time

import pytest
from rich.console import Console, RenderableType  # noqa: TID251 - to see what it shows

from tests.report import studies
from tuner.analysis.pareto import trade_off
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord
from tuner.report import terminal
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


def result(study: StudyRecord) -> str:
    return shown(terminal.result_table(study, standings(study)))


def row(text: str, begins: str) -> list[str]:
    """The cells of the row with this title."""
    line = next(line for line in text.splitlines() if line.strip().startswith(begins))
    return [
        cell.strip() for cell in line.strip().removeprefix(begins).split("   ") if cell.strip()
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_everything_fits(width: int) -> None:
    """No line is wider than the terminal."""
    study = studies.night()
    shown_tables = [
        shown(table, width=width)
        for table in (
            terminal.result_table(study, standings(study)),
            terminal.pareto_table(trade_off(study)),
            terminal.trials_table(study),
            terminal.time_table(study),
        )
    ]

    assert max(len(line) for text in shown_tables for line in text.splitlines()) <= width


def test_result_compares_with_the_defaults() -> None:
    """The parameters, the throughputs, the gain and the latencies stand side by side."""
    text = result(studies.night())

    assert row(text, "instance_count") == ["1", "2"]
    assert row(text, "dynamic_batching") == ["false", "true"]
    assert row(text, "max_batch_size") == ["-", "16"]
    assert row(text, "inf/s within p99 <= 50 ms") == ["150 ± 3", "398 ± 7"]
    assert row(text, "gain (95 % interval)") == ["2.65x (2.59 to 2.72)"]
    assert row(text, "p99 at the highest load") == ["46.9 ms", "46.9 ms"]
    assert "measured again on 3" in text
    assert "Tied with the best within the uncertainty: trial 8; none within 2 % of it is" in text


def test_result_of_the_search_alone() -> None:
    """Without finals the table says what it rests on."""
    text = result(studies.small_study())

    assert row(text, "rests on") == ["from the search alone", "from the search alone"]


def test_result_that_keeps_the_defaults() -> None:
    """Defaults that won stand alone."""
    text = result(studies.study([studies.baseline(200.0), studies.trial(1, 100.0)]))

    assert "Keep the server's defaults" in text
    assert "best configuration" not in text
    assert row(text, "inf/s within p99 <= 50 ms") == ["200 ± 22"]


def test_result_with_infeasible_defaults() -> None:
    """Where the defaults carry nothing there is a dash, and no gain."""
    slow = studies.infeasible(studies.baseline(), unloaded_s=0.061)
    text = result(studies.study([slow, studies.trial(1, 300.0)]))

    assert row(text, "inf/s within p99 <= 50 ms") == ["-", "300 ± 32"]
    assert row(text, "p99 at the highest load") == ["-", "46.9 ms"]
    assert "gain" not in text


def test_result_of_an_empty_study() -> None:
    """Before the first trial there is a sentence and no table."""
    assert result(studies.study()).strip() == "No trial was run yet"


def test_every_trial_is_told() -> None:
    """Each trial has a line with how it ended and one with what it changed."""
    text = shown(terminal.trials_table(studies.small_study()))

    assert [int(line[:5]) for line in text.splitlines() if line[:5].strip().isdigit()] == [
        *range(7)
    ]
    assert "failed: out of memory" in text
    assert "< 180" in text
    assert "server's defaults" in text


def test_text_of_others_is_no_markup() -> None:
    """Square brackets in a configuration stand as they are."""
    odd = Configuration.of({"flags": "[bold]fast[/bold]"})
    text = shown(
        terminal.trials_table(studies.study([studies.trial(1, 200.0, configuration=odd)]))
    )

    assert "flags=[bold]fast[/bold]" in text


def test_tables_of_an_empty_study() -> None:
    """Empty tables are sentences."""
    study = studies.study()

    assert shown(terminal.trials_table(study)) == "No trial was run yet\n"
    assert shown(terminal.time_table(study)) == "No time was spent yet\n"
    assert shown(terminal.pareto_table(trade_off(study))) == "No load point was measured yet\n"


def test_time_table() -> None:
    """The steps have their time and share, and a reload its overhead."""
    text = shown(terminal.time_table(studies.small_study()))

    assert "84 % went into warming up and measuring" in text
    assert row(text, "start the server") == ["3.2 s", "3.9 %"]
    assert "spends 1.0 s (median)" in text


def test_pareto_table() -> None:
    """Each point of the front says what it carries, how fast, and by which trial."""
    study = studies.study([studies.baseline(points=(studies.point(120.0, 0.0601),))])

    cells = shown(terminal.pareto_table(trade_off(study))).splitlines()[4].split()

    assert cells[:5] == ["120", "60.1", "ms", "no", "0"]


def test_studies_table() -> None:
    """Each study has its line; one without a result has a dash."""
    found = [
        summary(studies.study(name=name)) | {"best": best}
        for name, best in (("first", 398.0), ("second", None))
    ]

    text = shown(studies_table(found))

    assert row(text, "first")[-1] == "398"
    assert row(text, "second")[-1] == "-"
    assert "2026-03-07 22:00" in text


def progress_on(console: Console, *, deadline_s: float | None = None) -> terminal.LiveProgress:
    return terminal.LiveProgress(
        console, limit_latency=studies.BUDGET, deadline_s=deadline_s, trials=30
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
