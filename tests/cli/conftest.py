"""The command line in an empty folder, which most commands must leave as they found it."""

from pathlib import Path

import pytest

from tests.command_line import Tuner


@pytest.fixture
def tuner(capsys: pytest.CaptureFixture[str]) -> Tuner:
    return Tuner(capsys)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the test is in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
