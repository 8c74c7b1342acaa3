"""The main job with a real TorchServe."""

from pathlib import Path

import pytest

from tests.end_to_end.command import EASY, Finished, tuner
from tests.servers import torchserve as torchserve_server
from tests.targets.torchserve.torchserve_targets import archive

STUDY = "archive"


def arguments(folder: Path) -> tuple[str, ...]:
    """A short search for the model `totals`, whose archive and request are in `folder`."""
    archive(folder / "store")
    (folder / "request.json").write_text("[1, 2]")
    return (
        *("optimize", "--server", "torchserve", *EASY, "--seed", "3", "--json"),
        *("--model-repository", "store", "--body", "request.json"),
        *("--content-type", "application/json", "--study", STUDY),
        *("--trials", "2", "--timeout", "4m", "--confirmations", "0"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    return tmp_path_factory.mktemp("torchserve")


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    return tuner(*arguments(folder), folder=folder)


def test_a_torchserve_is_tuned(optimized: Finished) -> None:
    """There is a winner, and every parameter of every trial was verified."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    assert content["server"] == "torchserve"
    assert content["winner"]["throughput"] > 0
    assert content["baseline"]["configuration"]["batch_size"] == 1
    for trial in content["trials"]:
        assert trial["state"] != "failed", trial
        assert set(trial["verdicts"]) == set(trial["configuration"])
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}


def test_the_winner_is_a_file_that_torchserve_reads(optimized: Finished, folder: Path) -> None:
    """The file to deploy is a config.properties with the winner's values in it."""
    written = (folder / "reports" / STUDY / "config.properties").read_text()
    winner = optimized.json["winner"]["configuration"]
    assert f'"minWorkers": {winner["workers"]}' in written
    assert f'"batchSize": {winner["batch_size"]}' in written
    best = tuner("best", STUDY, folder=folder)
    assert best.out.strip() == written.strip()


def test_another_budget_names_the_command(optimized: Finished, folder: Path) -> None:
    """What the load points leave open is measured by a command for this server."""
    assert optimized.status == 0
    best = tuner("best", STUDY, "--budget-ms", "90", "--json", folder=folder)
    assert "--server torchserve" in best.out
    assert "request.json --content-type application/json" in best.out
