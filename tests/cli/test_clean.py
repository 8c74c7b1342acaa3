"""`tuner clean`: what it says is what it has seen."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.command_line import Tuner
from tests.targets.unprivileged import open_place, unprivileged

__all__ = ["open_place"]


@pytest.fixture
def left(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of a process that is no more, on a machine without a Docker engine."""
    monkeypatch.setattr(tempfile, "tempdir", str(open_place))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{open_place}/no-engine")
    with subprocess.Popen(["true"]) as process:
        process.wait()
    folder = open_place / f"tuner-workspace-{process.pid}-x"
    folder.mkdir()
    (folder / "m").touch()
    return folder


def test_without_an_engine(tuner: Tuner, left: Path) -> None:
    """Of containers that nobody could look for, nothing is said to be gone."""
    first, second = tuner("clean"), tuner("clean")
    assert first.out == f"removed folder {left}\n"
    assert second.out == "no folder was left behind\n"
    assert second.err.startswith("no containers were looked for: ")
    assert not left.exists()


def test_a_folder_of_somebody_else(tuner: Tuner, left: Path, open_place: Path) -> None:
    """One that cannot be removed is told of, and does not count as removed."""
    tuner("clean", "--help")  # imports what is needed, as long as it may be read
    with unprivileged(left.parent):
        open_place.chmod(0o555)
        text, document = tuner("clean"), tuner("clean", "--json")
        open_place.chmod(0o755)
    assert text.out == ""
    assert f"{left} could not be removed: remove it as its owner, or as root\n" in text.err
    assert (document.json["folders"], document.json["left"]) == ([], [str(left)])
