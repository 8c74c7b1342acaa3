"""The command `tuner measure` for these tests, in an empty folder."""

from pathlib import Path

import pytest

from tests.command_line import Tuner
from tests.measuring import Measure


@pytest.fixture
def measure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Measure:
    monkeypatch.chdir(tmp_path)
    return Measure(Tuner(capsys))
