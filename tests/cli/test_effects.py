"""`tuner effects`: the table, JSON and CSV, and what a study that is too short is told."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.test_effects import factorial
from tests.command_line import Tuner, error
from tests.report import studies
from tests.store.test_storage import stored

FACTORIAL = replace(factorial(), name="factorial")
SHORT = replace(FACTORIAL, name="short", trials=FACTORIAL.trials[:3], created_at=studies.BEGAN)
ALONE = replace(FACTORIAL, name="alone", trials=FACTORIAL.trials[:1])

TOO_SHORT = {
    "short": "study `short` measured the capacity of 3 configurations, but to tell the 2 effects "
    "apart takes at least 4",
    "alone": "in study `alone` no parameter has two values to compare",
}


@pytest.fixture
def tuner(tuner: Tuner, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Tuner:
    """The command in a folder whose `studies.db` has a whole factorial, a part, and a baseline."""
    monkeypatch.setenv("COLUMNS", "80")
    stored(folder / "studies.db", FACTORIAL, SHORT, ALONE)
    return tuner


def test_the_table(tuner: Tuner) -> None:
    """Each value under its parameter, and below what the numbers rest on."""
    result = tuner("effects", "factorial")

    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[:3] == [
        "                 ratio (95 % interval)   verdict           pairs        measured",
        "a, instead of false",
        "  true           1.64x (1.56 to 1.73)    helped            8 (1.64x)         8/8",
    ]
    assert "From 16 configurations with a measured capacity." in result.out


@pytest.mark.parametrize("options", [["--json"], ["--format", "json"]])
def test_json(tuner: Tuner, options: list[str]) -> None:
    """All of it as numbers, with the product of the best configuration's effects."""
    content = tuner("effects", "factorial", *options).json

    first, second, third, _ = content["effects"]
    assert (content["study"], content["measured"]) == ("factorial", 16)
    assert (first["parameter"], first["value"], first["reference"]) == ("a", True, False)
    assert [each["verdict"] for each in (first, second, third)] == [
        "helped",
        "hurt",
        "no proven effect",
    ]
    assert first["low"] < first["ratio"] < first["high"]
    assert first["ratio_of_pairs"] == pytest.approx(first["ratio"])
    low, product, high = content["best_multiplied"]
    assert low < product < high
    assert content["best_together"] > 1


def test_csv(tuner: Tuner) -> None:
    """One line for each effect, with the names of the JSON."""
    result = tuner("effects", "factorial", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.out)))

    assert [row["parameter"] for row in rows] == ["a", "b", "c", "d"]
    assert list(rows[0]) == list(tuner("effects", "factorial", "--json").json["effects"][0])
    assert (rows[0]["verdict"], rows[0]["pairs"]) == ("helped", "8")


def test_other_commands_have_the_effects(tuner: Tuner) -> None:
    """`studies show` and `report` print the decided ones; their JSON has all of them."""
    shown, reported = tuner("studies", "show", "factorial"), tuner("report", "factorial")
    content = tuner("studies", "show", "factorial", "--json").json

    assert "What mattered for the capacity: a=true 1.64x, b=true 0.69x" in shown.out
    assert "`tuner effects factorial` shows all." in reported.out
    assert content["effects"] == tuner("effects", "factorial", "--json").json["effects"]


@pytest.mark.parametrize("options", [[], ["--json"], ["--format", "csv"]])
@pytest.mark.parametrize(("study", "message"), TOO_SHORT.items())
def test_a_study_that_is_too_short(
    tuner: Tuner, study: str, message: str, options: list[str]
) -> None:
    """What it has, what it takes, and how to go on, with status 2 and nothing on stdout."""
    assert tuner("effects", study, *options) == error(
        message,
        f"run its `tuner optimize` again with `--study {study}` and more `--trials`",
    )
