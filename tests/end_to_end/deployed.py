"""Starts what `tuner best --format docker-run` prints, and takes it away again."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.command import wait_until


@contextmanager
def started(script: str, folder: Path) -> Iterator[str]:
    """The name of the container once its own health check succeeds."""
    [name] = re.findall(r"--name (\S+)", script)
    try:
        _said("sh", "-c", script, folder=folder)
        asked = _said("docker", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", name)
        kind, check = json.loads(asked)
        assert kind == "CMD-SHELL"
        wait_until(lambda: _succeeds("docker", "exec", name, "sh", "-c", check), "readiness")
        yield name
    finally:
        _said("docker", "rm", "--force", name)


@contextmanager
def created(image: str, *options: str) -> Iterator[str]:
    """The id of a container that is never started."""
    container = _said("docker", "create", *options, image, "true").strip()
    try:
        yield container
    finally:
        _said("docker", "rm", container)


def environment(container: str) -> list[str]:
    """The variables that it gets, each as NAME=VALUE."""
    asked = _said("docker", "inspect", "--format", "{{json .Config.Env}}", container)
    found: list[str] = json.loads(asked)
    return found


def _said(*command: str, folder: Path | None = None) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
