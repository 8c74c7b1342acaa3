"""The main job with a server that is started and asked like TensorFlow Serving."""

from pathlib import Path

import pytest

from tests.end_to_end.command import EASY, Finished, tuner
from tests.servers import tensorflow_program
from tests.servers.tensorflow_program import save_model, write_program
from tests.targets.tensorflow_serving.tensorflow_serving_targets import served
from tuner.records import Grade
from tuner.space.space import Configuration

STUDY = "saved"
SPACE = """
extends: tensorflow_serving
parameters:
  xla_cpu: null
  onednn: null
  allocator: null
"""


def arguments(folder: Path) -> tuple[str, ...]:
    """A short search for the model `double`, which is in `folder` with its space."""
    save_model(folder / "models", seconds=0.004)
    (folder / "space.yaml").write_text(SPACE)
    return (
        *("optimize", "--server", "tensorflow_serving", *EASY, "--seed", "3"),
        *("--model-repository", "models", "--space", "space.yaml", "--study", STUDY, "--json"),
        *("--trials", "2", "--timeout", "4m", "--confirmations", "0"),
    )


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    program = write_program(folder / "programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(program.parent), prepend=":")
        return tuner(*arguments(folder), folder=folder)


def check_trials(finished: Finished) -> None:
    """Some make batches, and every parameter of every trial was verified."""
    trials = finished.json["trials"]
    for trial in trials:
        assert trial["state"] != "failed", trial
        assert set(trial["verdicts"]) == set(trial["configuration"])
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}
    batching = [each for each in trials if each["configuration"]["enable_batching"]]
    assert batching
    assert all(each["verdicts"]["max_batch_size"] == "confirmed" for each in batching)


def test_a_tensorflow_serving_is_tuned(optimized: Finished) -> None:
    """There is a winner, which carries what the server's defaults carry or more."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    assert content["server"] == "tensorflow_serving"
    assert content["winner"]["throughput"] > 0
    assert content["baseline"]["configuration"]["enable_batching"] is False
    check_trials(optimized)


def test_the_winner_is_a_file_that_the_server_reads(
    optimized: Finished, folder: Path, tmp_path: Path
) -> None:
    """Started by hand as the file says, a server has the winner's settings."""
    written = (folder / "reports" / STUDY / "batching_parameters.txt").read_text()
    assert tuner("best", STUDY, folder=folder).out.strip() == written.strip()
    target = served(tmp_path / "target", seconds=0.004).target
    winner = Configuration.of(optimized.json["winner"]["configuration"])
    with tensorflow_program.from_file(written, folder / "models", tmp_path) as server:
        verdicts = target.verify(server, winner)
    assert Grade.REFUTED not in {verdict.grade for verdict in verdicts.values()}
    assert verdicts["enable_batching"].grade is Grade.CONFIRMED


def test_not_installed(tmp_path: Path) -> None:
    """Where the program is not on PATH, the error says what to do instead."""
    options = arguments(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        finished = tuner(*options, folder=tmp_path)
    assert finished.status == 1
    assert "TensorFlow Serving is not installed" in finished.err
    assert "--runner docker --image tensorflow/serving" in finished.err
