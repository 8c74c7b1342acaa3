"""An ensemble and a model that asks others on the real Triton, from the command to the winner."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.end_to_end.command import EASY, Finished, tuner
from tests.targets.triton.ensembles import write_asking, write_chain
from tests.targets.triton.triton_targets import write_form

SHORT = ("--trials", "2", "--timeout", "3m", "--confirmations", "0")


def optimize(folder: Path, model: str, *options: str) -> Finished:
    budget = (*EASY, "--seed", "3")
    arguments = ("--model-repository", "models", "--model", model, "--study", model)
    return tuner("optimize", *budget, *arguments, *SHORT, *options, "--json", folder=folder)


@pytest.fixture(scope="module")
def ensemble(folder: Path) -> Finished:
    write_chain(folder / "models")
    return optimize(folder, "chain")


def test_an_ensemble_has_a_winner(ensemble: Finished) -> None:
    """Its parts' parameters were all set and seen on the running server."""
    assert ensemble.status == 0, ensemble.err
    content = ensemble.json

    assert content["winner"]["throughput"] > 0
    assert len(content["trials"]) == 2
    assert "failed" not in {trial["state"] for trial in content["trials"]}
    for trial in content["trials"]:
        assert {"head.instance_count", "text-encoder.instance_count"} < set(trial["verdicts"])
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}


def test_each_model_has_its_file(ensemble: Finished, folder: Path) -> None:
    """The reports' folder has what goes over the repository's files, `best` prints all of it."""
    reports = folder / "reports" / "chain"
    paths = {name: reports / name / "config.pbtxt" for name in ("chain", "text-encoder", "head")}
    assert set(ensemble.json["files"]) == {
        str(path.relative_to(folder)) for path in (*paths.values(), reports / "report.html")
    }
    head = text_format.Parse(paths["head"].read_text(), model_config_pb2.ModelConfig())
    winner = ensemble.json["winner"]["configuration"]
    assert head.instance_group[0].count == winner["head.instance_count"]

    best = tuner("best", "chain", "--format", "file", folder=folder).out
    for name, path in paths.items():
        assert f"# file: {name}/config.pbtxt\n{path.read_text()}" in best


def test_a_model_that_asks_others_has_a_winner(tmp_path: Path) -> None:
    """The models that it asks are loaded with it; only its own parameters vary."""
    write_form(tmp_path / "models", "head", 3.0)
    write_form(tmp_path / "models", "tail", 2.0)
    write_asking(tmp_path / "models", "front", '["head", "ta" + "il"]')
    done = optimize(tmp_path, "front", "--with-model", "tail")

    assert done.status == 0, done.err
    assert done.json["winner"]["throughput"] > 0
    assert "instance_count" in done.json["winner"]["configuration"]
    assert (tmp_path / "reports" / "front" / "config.pbtxt").exists()
