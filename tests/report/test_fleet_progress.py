"""The progress of a study on a fleet: which host measures what, and the best so far."""

from dataclasses import replace

from rich.console import Console  # noqa: TID251 - to see what it shows

from tests.report import studies
from tests.report.test_terminal import plain_console, shown, written
from tuner.analysis.rate_unit import RateUnit
from tuner.records import Purpose
from tuner.report.fleet_progress import FleetProgress


def progress_on(console: Console) -> FleetProgress:
    return FleetProgress(
        console, limit_latency=studies.BUDGET, unit=RateUnit.INFERENCES, trials=30
    )


def test_a_line_for_each_host() -> None:
    """What it measures, in which phase; or why it measures nothing."""
    console = plain_console(is_terminal=True)
    with progress_on(console) as progress:
        progress.on("gpu-1").trial_begins(0, Purpose.BASELINE, studies.DEFAULTS)
        progress.on("gpu-1").phase_begins("saturation")
        progress.on("gpu-2").trial_begins(1, Purpose.SEARCH, studies.BEST)
        progress.host_changes("gpu-3", "lost")
        lines = [line.split() for line in shown(progress).splitlines()]

    assert lines[0][:4] == ["gpu-1", "trial", "0", "(baseline),"]
    assert lines[0][-4:] == ["measure", "saturated:", "server's", "defaults"]
    assert lines[1][:4] == ["gpu-2", "trial", "1", "(search),"]
    assert lines[2] == ["gpu-3", "lost"]


def test_a_trial_that_ends_frees_its_host() -> None:
    """The trial counts, wherever it was measured."""
    console = plain_console(is_terminal=True)
    with progress_on(console) as progress:
        progress.on("gpu-1").trial_begins(0, Purpose.BASELINE, studies.DEFAULTS)
        progress.trial_ends(replace(studies.small_study().trials[0], host="gpu-1"))
        text = shown(progress)

    assert text.splitlines()[0].split() == ["gpu-1", "ready"]
    assert "1 of 30 trials" in text
    assert "152 inferences/s within p99 <= 50 ms (trial 0)" in text


def test_a_pause_is_of_all_hosts() -> None:
    """It is said once, below them."""
    console = plain_console(is_terminal=True)
    with progress_on(console) as progress:
        progress.host_changes("gpu-1", "ready")
        progress.phase_begins("paused")
        lines = shown(progress).splitlines()

    assert [line.strip() for line in lines[:2]] == ["gpu-1  ready", "paused"]


def test_of_many_hosts_the_first_are_shown() -> None:
    """A terminal has some forty lines."""
    console = plain_console(is_terminal=True)
    with progress_on(console) as progress:
        for number in range(100):
            progress.on(f"gpu-{number:02}").trial_begins(number, Purpose.SEARCH, studies.BEST)
        progress.host_changes("gpu-99", "aside")
        text = shown(progress)

    assert "gpu-15" in text
    assert "gpu-16" not in text
    assert "and 84 hosts more, of which 83 measure" in text


def test_without_a_terminal_a_line_names_the_host() -> None:
    """One for each trial that ended."""
    console = plain_console()
    with progress_on(console) as progress:
        progress.trial_begins(0, Purpose.BASELINE, studies.DEFAULTS)
        progress.trial_ends(replace(studies.small_study().trials[0], host="gpu-1"))

    assert written(console).splitlines() == [
        "trial 0 (baseline) on gpu-1: feasible, 152 inferences/s, 15 s: server's defaults"
    ]
