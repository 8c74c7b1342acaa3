"""The main job on the real Triton, from the command to the files that it leaves."""

from pathlib import Path

import pandas as pd
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.end_to_end.command import OPTIMIZE, Finished, tuner

STUDY = "night"
ARGUMENTS = (*OPTIMIZE, "--study", STUDY, "--timeout", "4m")


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    short = ("--trials", "3", "--finalists", "1", "--confirmations", "1", "--json")
    return tuner(*ARGUMENTS, *short, folder=folder)


def test_the_study_ends_with_a_winner_that_beats_the_defaults(optimized: Finished) -> None:
    """On the bundled model a few rule-of-thumb trials already beat the server's defaults."""
    assert optimized.status == 0, optimized.err
    content = optimized.json

    assert content["winner"]["throughput"] > content["baseline"]["throughput"] > 0
    assert content["winner"]["p99_ms"] <= 50
    assert content["winner"]["fresh_starts"] == content["baseline"]["fresh_starts"] == 1
    purposes = [trial["purpose"] for trial in content["trials"]]
    assert purposes[:6] == ["baseline", *["search"] * 2, *["final"] * 2, "proof"]
    assert set(purposes[6:]) <= {"proof"}


def test_progress_goes_to_stderr_one_line_for_each_trial(optimized: Finished) -> None:
    """Away from a terminal, progress is one plain line for each finished trial."""
    lines = [line for line in optimized.err.splitlines() if line.startswith("trial ")]

    assert len(lines) == len(optimized.json["trials"])
    assert lines[0].startswith("trial 0 (baseline): ")


def test_every_parameter_was_verified_on_the_running_server(optimized: Finished) -> None:
    """No trial is believed whose parameters did not take effect."""
    for trial in optimized.json["trials"]:
        assert set(trial["verdicts"]) == set(trial["configuration"])
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}


def test_the_winner_is_a_file_that_triton_reads(optimized: Finished, folder: Path) -> None:
    """The deployable file is a model configuration with the winner's values in it."""
    path = folder / "reports" / STUDY / "config.pbtxt"
    message = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())

    winner = optimized.json["winner"]["configuration"]
    assert message.instance_group[0].count == winner["instance_count"]
    assert message.HasField("dynamic_batching") == winner["dynamic_batching"]


def test_the_report_is_one_file_that_loads_nothing(optimized: Finished, folder: Path) -> None:
    """The report holds everything it shows, the plots' program included."""
    report = (folder / "reports" / STUDY / "report.html").read_text()

    assert optimized.status == 0
    assert "Plotly" in report
    assert 'src="http' not in report


def test_best_prints_the_same_file_again(optimized: Finished, folder: Path) -> None:
    """`tuner best` needs the database only."""
    best = tuner("best", STUDY, "--format", "file", folder=folder)

    assert best.status == 0
    assert best.out.strip() == (folder / "reports" / STUDY / "config.pbtxt").read_text().strip()
    assert optimized.status == 0


@pytest.mark.usefixtures("optimized")
def test_so_short_a_study_does_not_tell_which_parameters_mattered(folder: Path) -> None:
    """Two configurations beside the defaults cannot tell them apart; more trials are asked for."""
    effects = tuner("effects", STUDY, folder=folder)

    assert (effects.status, effects.out) == (2, "")
    assert f"error: study `{STUDY}` measured the capacity of " in effects.err
    assert f"again with `--study {STUDY}` and more `--trials`" in effects.err


@pytest.mark.usefixtures("optimized")
def test_pareto_trades_throughput_for_latency(folder: Path) -> None:
    """Along the front, more throughput costs latency."""
    front = tuner("pareto", STUDY, "--json", folder=folder).json["load_points"]

    throughputs = [point["throughput"] for point in front]
    latencies = [point["latency_ms"] for point in front]
    assert throughputs == sorted(throughputs)
    assert latencies == sorted(latencies)
    assert len(front) > 1


def test_every_load_point_can_be_exported(optimized: Finished, folder: Path) -> None:
    """The table has each trial's load points, and the same rows in every format."""
    exported = folder / "points.csv"
    done = tuner(
        "studies", "export", STUDY, "--format", "csv", "--output", "points.csv", folder=folder
    )
    assert done.status == 0, done.err

    points = pd.read_csv(exported)
    assert sorted(points["trial"].unique()) == list(range(len(optimized.json["trials"])))
    assert {"warm-up", "unloaded", "saturation", "search", "proof"} == set(points["phase"])


@pytest.mark.usefixtures("optimized")
def test_a_study_that_is_complete_is_continued_with_more_trials(folder: Path) -> None:
    """The same name and a larger search budget go on where the study ended."""
    more = ("--trials", "4", "--confirmations", "0", "--json")
    done = tuner(*ARGUMENTS, *more, folder=folder)

    assert done.status == 0, done.err
    searched = {
        tuple(t["configuration"].items())
        for t in done.json["trials"]
        if t["purpose"] in ("baseline", "search")
    }
    # Not trials: where the machine changed its speed meanwhile, some are measured once more.
    assert len(searched) == 4


@pytest.mark.usefixtures("optimized")
def test_a_study_is_not_continued_with_another_budget(folder: Path) -> None:
    """What changed is named, and nothing is started."""
    done = tuner("optimize", "--budget-ms", "20", "--study", STUDY, folder=folder)

    assert done.status == 2
    assert (
        f"error: study `{STUDY}` cannot be continued: its latency budget changed from "
        "p99 <= 50 ms to p99 <= 20 ms"
    ) in done.err


def test_an_impossible_budget_ends_with_status_3_and_the_nearest(tmp_path: Path) -> None:
    """Where nothing meets the budget, the nearest configuration and its latency are shown."""
    done = tuner(
        "optimize", "--budget-ms", "0.2", "--trials", "1", "--timeout", "60s", folder=tmp_path
    )

    assert done.status == 3
    assert "error: no configuration meets p99 <= 0.2 ms; the nearest has p99 = " in done.err
    assert "dynamic_batching=false instance_count=1" in done.err
