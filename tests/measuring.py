"""Runs `tuner measure` with short load points within this process, and reads its answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Result, Tuner

# A load point ends with its last request here, unless a test wants it to last.
SHORT = ("--duration", "5s", "--request-count", "64", "--warm-up", "0.05s", "--timeout", "5s")
LASTING = ("--duration", "0.2s", "--request-count", "0")
MANUAL = Path(__file__).parent / "protocols" / "data"  # the examples of perf_analyzer's manual

Point = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """The command, callable: `measure(URL, "-m", "echo")`; later options replace `SHORT`."""

    tuner: Tuner

    def __call__(self, url: str, *options: str) -> list[Point]:
        """The load points of a run in which no request failed and nothing was to be said."""
        points = self.points(url, *options)
        failed = [(point["errors"], point["unanswered"]) for point in points]
        assert failed == [({}, 0)] * len(points), failed
        return points

    def points(self, url: str, *options: str) -> list[Point]:
        """The load points of a run in which requests may fail; every point has some."""
        result = self.run(url, "--json", *options)
        assert (result.status, result.err) == (0, ""), result.err
        assert all(point["requests"] > 0 for point in result.json)
        points: list[Point] = result.json
        return points

    def run(self, url: str, *options: str) -> Result:
        return self.tuner("measure", url, *SHORT, *options)

    def refusal(self, url: str, *options: str, status: int = 2) -> tuple[str, str]:
        """Message and hint of a run that ended with `status` before anything was measured."""
        result = self.run(url, "--json", *options)
        assert (result.status, result.out) == (status, ""), result.err
        message, _, hint = result.err.removesuffix("\n").partition("\nhint: ")
        assert message.startswith("error: ")
        return message.removeprefix("error: "), hint


def write_json(path: Path, content: object) -> str:
    """The path, with `content` in it."""
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def measure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Measure:
    """The command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Measure(Tuner(capsys))
