"""The main job with requests of one's own, on a real Triton: a model of texts that are JSON."""

import json
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.command import EASY, tuner

MODELS = Path(__file__).parents[1] / "models"
SHORT = ("--trials", "2", "--timeout", "4m", "--confirmations", "0", "--study", "texts", "--json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a repository, and with a file of requests; some leave out what is optional."""
    shutil.copytree(MODELS / "sayings", tmp_path / "models" / "sayings")
    lists = [[number, 2 * number] for number in range(20)]
    steps = [{"TEXT": [json.dumps({"ids": ids})]} for ids in lists]
    sums = [{"SUM": [sum(ids)]} for ids in lists]
    (tmp_path / "data.json").write_text(json.dumps({"data": steps, "validation_data": sums}))
    return tmp_path


def test_texts_of_ones_own(folder: Path) -> None:
    """Each request is a step of the file, over gRPC; every answer is compared with the file's."""
    finished = tuner(
        *("optimize", "--model-repository", "models", *EASY, "--seed", "3"),
        *("--input-data", "data.json", "--protocol", "grpc", "--header", "x-key: secret"),
        *SHORT,
        folder=folder,
    )
    assert finished.status == 0, finished.err
    content = finished.json
    assert content["winner"]["throughput"] > 0
    assert {trial["state"] for trial in content["trials"]} <= {"feasible", "infeasible", "pruned"}
    assert "secret" not in finished.out


def test_random_texts(folder: Path) -> None:
    """The model's own words are told, and that its inputs were made up, and what to do."""
    finished = tuner(
        *("optimize", "--model-repository", "models", *EASY, *SHORT),
        folder=folder,
    )
    assert finished.status == 1
    assert "the first inference failed: " in finished.err
    assert "Expecting value: line 1 column 1" in finished.err
    assert (
        "hint: its inputs were made up; where the model needs real ones, give them with "
        "`--input-data FILE`, or its strings with `--string-data TEXT`"
    ) in finished.err


def test_one_text(folder: Path) -> None:
    """Where every request may carry the same text, it can stand on the command line."""
    text = ("--string-data", '{"ids": [1, 2]}', "--shape", "FACTOR:1")
    planned = tuner("plan", "--model-repository", "models", "--budget-ms", "50", folder=folder)
    assert planned.status == 0, planned.err
    finished = tuner(
        *("optimize", "--model-repository", "models", *EASY, *text),
        *("--trials", "1", "--timeout", "2m", "--confirmations", "0", "--json"),
        folder=folder,
    )
    assert finished.status == 0, finished.err
