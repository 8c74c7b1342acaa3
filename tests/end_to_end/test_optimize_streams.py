"""The main job with models of Triton whose requests depend on each other, or have many answers."""

import json
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.command import EASY, tuner

MODELS = Path(__file__).parents[1] / "models"
# Triton 2.51 may abort by itself when streams end (in its gRPC threads): that is not the matter.
_FURTHER_ATTEMPTS = 3
# A model, what it is sent, and further options.
CASES = {
    "stateful": ("accumulate", [[{"INPUT": [n]} for n in (5, 1, 1)], [{"INPUT": [7]}]], ()),
    "stateful, made up": ("accumulate", None, ("--num-of-sequences", "8", "--trials", "1")),
    "decoupled": ("repeat", [{"IN": [3]}, {"IN": [0]}, {"IN": [1]}], ()),
}


@pytest.mark.parametrize("name", CASES)
def test_from_start_to_winner(name: str, tmp_path: Path) -> None:
    """Sequences are played in order, streams read to their last answer, and outputs compared."""
    model, data, options = CASES[name]
    shutil.copytree(MODELS / model, tmp_path / "models" / model)
    if data is not None:
        (tmp_path / "data.json").write_text(json.dumps({"data": data}))
        options = (*options, "--input-data", "data.json")
    arguments = (
        *("optimize", "--model-repository", "models", *EASY, "--seed", "3"),
        *("--trials", "2", "--timeout", "4m", "--confirmations", "0", "--json", *options),
    )
    finished = tuner(*arguments, folder=tmp_path)
    for _ in range(_FURTHER_ATTEMPTS):
        if "ended by SIG" in finished.err + finished.out:
            finished = tuner(*arguments, folder=tmp_path)
    assert finished.status == 0, finished.err
    content = finished.json
    winner = content["winner"]
    assert winner["throughput"] > 0
    if name == "decoupled":
        assert 0 < winner["first_p99_ms"] < 1.01 * winner["p99_ms"]
    for trial in content["trials"]:
        assert trial["state"] != "failed", trial
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}


def test_validation_data_of_a_decoupled_model(tmp_path: Path) -> None:
    """Known outputs are of one answer, and here are any number: told instead of compared."""
    shutil.copytree(MODELS / "repeat", tmp_path / "models" / "repeat")
    data = {"data": [{"IN": [1]}], "validation_data": [{"OUT": [0]}]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    finished = tuner(
        *("optimize", "--model-repository", "models", *EASY),
        *("--input-data", "data.json", "--trials", "1", "--confirmations", "0"),
        folder=tmp_path,
    )
    assert finished.status == 2
    assert "the model `repeat` is decoupled: its answers cannot be compared" in finished.err
