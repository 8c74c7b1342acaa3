"""Models of this machine are sent to the service, each content once."""

import json
from pathlib import Path

from tests.command_line import Tuner, error
from tuner.service.service import Service
from tuner.store.queue import queued_jobs

OPTIMIZE = ("optimize", "--budget-ms", "50")


def test_a_model_file_and_its_variant(
    tuner: Tuner, service: Service, url: str, folder: Path
) -> None:
    """The job names what the service has; who submits it again sends nothing."""
    for name in ("mlp.onnx", "int8.onnx"):
        (folder / name).write_text(name)
    words = (*OPTIMIZE, "mlp.onnx", "--variant", "int8.onnx", "--service", url)
    first, second = tuner(*words, "--study", "a"), tuner(*words, "--study", "b")

    assert (first.status, second.status) == (0, 0), first.err
    assert [line.partition(" (")[0] for line in first.err.splitlines()[:2]] == [
        "mlp.onnx is sent to the service",
        "int8.onnx is sent to the service",
    ]
    assert "is sent" not in second.err
    jobs = queued_jobs(service.storage)
    assert jobs[0].options == jobs[1].options
    kept = Path(str(jobs[0].options["model_file"]))
    assert kept.is_relative_to(service.settings.uploads)
    assert kept.read_bytes() == (folder / "mlp.onnx").read_bytes()
    [variant] = jobs[0].options["variant"]
    assert Path(variant).read_bytes() == (folder / "int8.onnx").read_bytes()


def test_a_model_repository(tuner: Tuner, service: Service, url: str, folder: Path) -> None:
    """A folder becomes a folder there; a second copy of it is the same one."""
    for name in ("models.v1", "copy/models.v1"):
        model = folder / name / "numbers"
        (model / "1").mkdir(parents=True)
        (model / "1" / "model.onnx").write_text("numbers")
        (model / "config.pbtxt").write_text('backend: "onnxruntime"')
    words = (*OPTIMIZE, "--model", "numbers", "--service", url, "--json")
    first = tuner(*words, "--model-repository", "models.v1")
    second = tuner(*words, "--model-repository", "copy/models.v1")

    assert first.status == 0, first.err
    assert second.err == ""
    jobs = queued_jobs(service.storage)
    assert jobs[0].options == jobs[1].options
    kept = Path(str(jobs[0].options["model_repository"]))
    assert (kept / "numbers" / "config.pbtxt").read_text() == 'backend: "onnxruntime"'
    assert (kept / "numbers" / "1" / "model.onnx").exists()


def test_a_model_that_is_a_program(tuner: Tuner, service: Service, url: str, folder: Path) -> None:
    """The service says why it does not take it, and there is no job."""
    (folder / "models" / "m" / "1").mkdir(parents=True)
    (folder / "models" / "m" / "1" / "model.py").write_text("import os")
    (folder / "models" / "m" / "config.pbtxt").write_text('backend: "python"')
    refused = tuner(*OPTIMIZE, "--model-repository", "models", "--service", url)

    assert refused.status == 2
    assert "`--allow-commands`" in refused.err
    assert queued_jobs(service.storage) == ()


def test_names_of_the_service(tuner: Tuner, url: str) -> None:
    """What is not here is a name there."""
    refused = tuner(*OPTIMIZE, "there.onnx", "--service", url)
    assert refused.status == 2
    assert json.dumps(refused.err).startswith('"error: `there.onnx` is no file or folder')


def test_a_model_that_cannot_be_read(tuner: Tuner, url: str, folder: Path) -> None:
    """What is missing of it is named."""
    (folder / "models").mkdir()
    (folder / "models" / "gone").symlink_to("nowhere")
    refused = tuner(*OPTIMIZE, "--model-repository", "models", "--service", url)
    assert refused == error(f"{folder}/models/gone: cannot be read: No such file or directory")
