"""The main job with one model file and its forms, from the command to a Triton started by hand."""

import html
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from runners.base import LaunchSpec, RunningServer
from tests.end_to_end.command import OPTIMIZE, Finished, tuner
from tests.servers.started import started
from tests.targets import model_files as files
from tests.targets.triton.triton_targets import infer
from tuner.clients.v2_http import V2Client
from tuner.targets.triton import install as triton_install

pytestmark = pytest.mark.slow

STUDY = "forms"
SHORT = ("--trials", "3", "--timeout", "4m", "--confirmations", "0", "--json")
FORMS = ("mlp.onnx", "--variant", "int8.onnx", "--variant", "other.onnx", "--tolerance", "0.05")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With mlp.onnx, its int8 form, and a model of other weights that poses as a form of it."""
    folder = tmp_path_factory.mktemp("forms")
    files.int8(files.mlp(folder / "mlp.onnx"), folder / "int8.onnx")
    files.mlp(folder / "other.onnx", seed=9)
    return folder


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    return tuner(*OPTIMIZE, *FORMS, "--study", STUDY, *SHORT, folder=folder)


@pytest.fixture(scope="module")
def winner(optimized: Finished) -> str:
    """The form that won."""
    assert optimized.status == 0, optimized.err
    return str(optimized.json["winner"]["configuration"]["variant"])


def test_a_form_within_the_tolerance_wins(optimized: Finished, winner: str) -> None:
    """There is a result, and every parameter of every trial that counts was verified."""
    content = optimized.json
    assert winner in ("mlp", "int8")
    assert content["winner"]["throughput"] >= content["baseline"]["throughput"] > 0
    assert content["baseline"]["configuration"]["variant"] == "mlp"
    for trial in content["trials"]:
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}
        assert trial["verdicts"]["variant"] == "confirmed"


def test_each_form_was_tried(optimized: Finished) -> None:
    """The int8 form is a little off, and counts; other weights are a wrong output."""
    trials = {t["configuration"]["variant"]: t for t in optimized.json["trials"][:3]}
    assert trials.keys() == {"mlp", "int8", "other"}
    assert 0 < trials["int8"]["output_difference"] < 0.05 < trials["other"]["output_difference"]
    assert (trials["other"]["state"], trials["other"]["reason"]) == ("failed", "wrong_output")
    assert trials["int8"]["state"] != "failed"


@pytest.mark.usefixtures("optimized")
def test_the_report_tells_how_far_they_are(folder: Path) -> None:
    """In sentences, with the tolerance that was stated."""
    report = html.unescape((folder / "reports" / STUDY / "report.html").read_text())
    assert "Variant int8: its outputs differ from the default's by" in report
    assert "within the tolerance of 5.0 %" in report
    assert "Variant other: refused, its outputs differ from the default's by" in report


@pytest.mark.usefixtures("optimized")
def test_another_tolerance_is_another_study(folder: Path) -> None:
    """Under the same name it is refused: its trials were judged otherwise."""
    other = [argument if argument != "0.05" else "0.2" for argument in FORMS]
    done = tuner(*OPTIMIZE, *other, "--study", STUDY, *SHORT, folder=folder)
    assert done.status == 2
    assert f"error: study `{STUDY}` cannot be continued: its request changed from " in done.err
    assert "'tolerance': 0.2" in done.err


@contextmanager
def by_hand(repository: Path, folder: Path) -> Iterator[RunningServer]:
    """A Triton with all models of `repository`, as a person would start it."""
    installation = triton_install.find_triton(folder)
    prefix = f"{folder.name}-"
    launch_spec = LaunchSpec(
        command=(
            str(installation.executable),
            f"--model-repository={repository}",
            *installation.flags,
            "--http-address=127.0.0.1",
            "--http-port={port:http}",
            "--allow-grpc=false",
            "--allow-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
        ),
        environment=installation.environment,
        ports=("http",),
        stop_grace_s=0.0,
        leftovers=(f"/dev/shm/{prefix}*",),  # noqa: S108 - named by the server
    )

    def is_ready(server: RunningServer) -> bool:
        with V2Client(server.url("http")) as client:
            return bool(client.ready_models())

    with started(launch_spec, logs=folder / "logs", is_ready=is_ready) as server:
        yield server


def test_the_winner_is_deployed_by_hand(
    optimized: Finished, winner: str, folder: Path, tmp_path: Path
) -> None:
    """`tuner repository` and the exported file are all that a Triton needs."""
    written = tuner("repository", f"{winner}.onnx", "--output", "deployed", folder=folder)
    assert written.status == 0, written.err
    exported = folder / "reports" / STUDY / "config.pbtxt"
    shutil.copyfile(exported, folder / "deployed" / winner / "config.pbtxt")

    x = files.features(3)
    with by_hand(folder / "deployed", tmp_path) as server:
        with V2Client(server.url("http")) as client:
            effective = client.config(winner)
        answer = infer(server, winner, x=x)["y"]

    [expected] = files.computed_by_onnxruntime(folder / f"{winner}.onnx", x)
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
    configuration = optimized.json["winner"]["configuration"]
    assert effective["instance_group"][0]["count"] == configuration["instance_count"]
    assert ("dynamic_batching" in effective) == configuration["dynamic_batching"]
    threads = effective["parameters"].get("intra_op_thread_count", {"string_value": "0"})
    assert threads["string_value"] == str(configuration["intra_op_thread_count"])


def test_a_torchscript_file_is_tuned(tmp_path: Path) -> None:
    """With its input named, the file alone is enough."""
    files.torchscript(tmp_path / "mlp.pt")
    short = ("--trials", "1", "--timeout", "4m", "--confirmations", "0", "--json")
    done = tuner(*OPTIMIZE, "mlp.pt", "--input", files.INPUT, *short, folder=tmp_path)
    assert done.status == 0, done.err
    assert [trial["state"] for trial in done.json["trials"]].count("failed") == 0
    assert done.json["baseline"]["throughput"] > 0
    for trial in done.json["trials"]:
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}
        assert trial["verdicts"]["inference_mode"] == "confirmed"
