"""Models for the program of tensorflow_model_server.py, and ways to start it."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from runners.base import LaunchSpec, RunningServer
from tests.servers.started import started

PROGRAM = "tensorflow_model_server"
MODEL = "double"
COMMAND = (sys.executable, "-S", str(Path(__file__).with_name(f"{PROGRAM}.py")))


def save_model(folder: Path, *, name: str = MODEL, version: int = 1, **said: object) -> Path:
    """FOLDER/NAME with one more version, of which the program is told `said`; see its `Model`."""
    graph = folder / name / str(version) / "saved_model.pb"
    graph.parent.mkdir(parents=True, exist_ok=True)
    graph.write_text(json.dumps(said))
    return folder / name


def write_program(folder: Path, *more: str, dropping: str = "") -> Path:
    """The program in `folder`, started with `more` arguments, without those like `dropping`."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / PROGRAM
    lines = ["#!/bin/sh"]
    if dropping:
        kept = f'case "$word" in {dropping}) ;; *) set -- "$@" "$word" ;; esac'
        lines.append(f"for word do shift; {kept}; done")
    lines.append(f'exec {shlex.join(COMMAND)} "$@" {shlex.join(more)}')
    program.write_text("\n".join([*lines, ""]))
    program.chmod(0o755)
    return program


@contextmanager
def from_file(exported: str, models: Path, folder: Path) -> Iterator[RunningServer]:
    """Do what the first line of an exported file says, on free ports, until the model is there."""
    line, _, _ = exported.partition("\n")
    words = shlex.split(line.removeprefix("#"))
    at = words.index(PROGRAM)
    settings = dict(word.split("=", 1) for word in words[:at])
    (folder / "batching_parameters.txt").write_text(exported)
    (folder / "monitoring.txt").write_text("prometheus_config { enable: true }\n")
    arguments = [word.replace("=FOLDER/", f"={models}/") for word in words[at + 1 :]]
    arguments[arguments.index("--port=8500")] = "--port={port:grpc}"
    arguments[arguments.index("--rest_api_port=8501")] = "--rest_api_port={port:rest}"
    launch_spec = LaunchSpec(
        command=(*COMMAND, *arguments, "--monitoring_config_file=monitoring.txt"),
        environment=settings,
        ports=("rest", "grpc"),
        stop_grace_s=0.0,
        working_directory=folder,
    )

    def is_ready(server: RunningServer) -> bool:
        answer = httpx.get(f"{server.url('rest')}/v1/models/{MODEL}", trust_env=False)
        return bool(answer.json()["model_version_status"][0]["state"] == "AVAILABLE")

    with started(launch_spec, logs=folder / "logs", is_ready=is_ready) as server:
        yield server
