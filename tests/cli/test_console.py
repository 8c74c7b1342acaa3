"""What is printed, how wide and how loud: `--quiet`, `--verbose`, `NO_COLOR`, `COLUMNS`."""

import logging
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command_line import Tuner, error
from tests.report import studies
from tests.store.test_storage import stored

COLOUR = re.compile(r"\x1b\[[\d;]*3\d[\d;]*m")
SPACE = """
extends: triton
hints: [{instance_count: 64}]
"""


@pytest.fixture(autouse=True)
def database(folder: Path) -> None:
    stored(folder / "studies.db", replace(studies.night(), name="night"))


@pytest.mark.parametrize("width", [20, 60, 200])
@pytest.mark.parametrize(
    "words", [("studies", "show"), ("pareto",), ("status", "night"), ("status", "--trials")]
)
def test_no_name_is_broken(
    tuner: Tuner, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], width: int
) -> None:
    """However narrow the terminal: a name and its value stay on one line."""
    monkeypatch.setenv("COLUMNS", str(width))

    study = ("night",) if "--trials" in words else ()
    found = re.findall(r"max_queue\S*", tuner(*words, *study).out)

    assert found
    assert all(re.fullmatch(r"max_queue_delay_microseconds(=\d+)?,?", each) for each in found)


def test_a_line_of_a_trial_is_one_line(tuner: Tuner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its columns stay below their titles where the terminal is narrower."""
    monkeypatch.setenv("COLUMNS", "50")
    lines = tuner("studies", "show").out.splitlines()

    [title] = [line for line in lines if line.startswith("trial  for ")]
    first = lines[lines.index(title) + 1]
    assert title.endswith("time")
    assert len(first.rstrip()) == len(title)


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color(variables: dict[str, str], *, coloured: bool) -> None:
    """Where a terminal has colours, `NO_COLOR` leaves them out."""
    code = (
        "from tuner.cli.console import print_blocks; from rich.text import Text; "
        "print_blocks([Text('x', style='red')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
        env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", **variables},
    )  # fmt: skip

    assert bool(COLOUR.search(ended.stdout)) == coloured


def test_quiet(tuner: Tuner, folder: Path) -> None:
    """The result and errors are printed, remarks are not."""
    asked = ("studies", "export", "--format", "csv", "--output", "points.csv")
    assert tuner(*asked).err == "written: points.csv\n"
    assert tuner("--quiet", *asked).err == ""
    assert tuner("-q", "studies", "list").out == tuner("studies", "list").out
    assert tuner("-q", "best", "nobody") == error(
        "no study is called `nobody`", "studies here: night"
    )


def test_verbose(tuner: Tuner, folder: Path) -> None:
    """What is done is said on stderr, and only there."""
    (folder / "space.yaml").write_text(SPACE)
    asked = ("plan", "--budget-ms", "50", "--space", "space.yaml")

    usual, verbose = tuner(*asked), tuner("--verbose", *asked)

    assert "tuner.space.resolution" not in usual.err
    assert "tuner.space.resolution: hints[0] is left out on this machine" in verbose.err
    assert verbose.out == usual.out
    assert tuner(*asked).err == usual.err
    assert logging.getLogger("tuner").handlers == []


def test_both(tuner: Tuner) -> None:
    """Nobody can have it quiet and verbose."""
    assert tuner("-q", "-v", "studies", "list") == error(
        "`--quiet` and `--verbose` contradict each other", "leave one out"
    )
