"""The main job with a model of Triton that has no config.pbtxt: the server completes it."""

import shutil
from pathlib import Path

from tests.end_to_end.command import EASY, tuner

MODELS = Path(__file__).parents[1] / "models"


def test_a_model_without_a_configuration(folder: Path) -> None:
    """What its program sets stays; what it leaves open is searched, and the winner is a file."""
    shutil.copytree(MODELS / "halves", folder / "models" / "halves")
    finished = tuner(
        *("optimize", "--model-repository", "models", *EASY, "--seed", "3"),
        *("--trials", "2", "--timeout", "4m", "--confirmations", "0", "--json"),
        *("--study", "halves"),
        folder=folder,
    )
    assert finished.status == 0, finished.err
    trials = finished.json["trials"]
    assert "failed" not in {trial["state"] for trial in trials}
    searched = trials[1]["configuration"]
    assert searched["instance_count"] > 0
    assert {"dynamic_batching", "max_batch_size"}.isdisjoint(searched), "its program sets them"
    assert finished.json["winner"]["throughput"] > 0
    written = (folder / "reports" / "halves" / "config.pbtxt").read_text()
    assert "instance_group" in written
