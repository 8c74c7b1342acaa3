"""The example of any other server in docs/, as it stands there."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.end_to_end.command import EASY, Finished, tuner

PAGE = Path(__file__).parents[2] / "docs" / "servers" / "any_server.md"
STUDY = "example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two files of the example."""
    folder = tmp_path_factory.mktemp("command")
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    (folder / "app.py").write_text(blocks["python"])
    (folder / "sklearn.yaml").write_text(blocks["yaml"])
    return folder


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    arguments = ("optimize", "--space", "sklearn.yaml", *EASY, "--seed", "3")
    short = ("--trials", "2", "--timeout", "4m", "--confirmations", "0")
    with pytest.MonkeyPatch.context() as patch:
        # As in an environment that was activated: `python` is its own.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        return tuner(*arguments, *short, "--study", STUDY, "--json", folder=folder)


def test_a_server_of_ones_own_is_tuned(optimized: Finished) -> None:
    """A server that only a file describes is started, measured, compared and recommended."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    assert content["server"] == "command"
    assert content["winner"]["throughput"] >= content["baseline"]["throughput"] > 0
    assert {trial["state"] for trial in content["trials"]} <= {"feasible", "infeasible", "pruned"}


def test_the_winner_is_a_script(optimized: Finished, folder: Path) -> None:
    """What is handed over starts the server with the winner's values."""
    script = (folder / "reports" / STUDY / "serve.sh").read_text()
    winner = optimized.json["winner"]["configuration"]
    assert f"--workers {winner['workers']} --loop {winner['loop']}" in script
    assert f"export OMP_NUM_THREADS={winner['threads']}" in script
