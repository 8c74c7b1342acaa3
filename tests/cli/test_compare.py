"""`tuner compare`: two or more studies."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.test_study_comparison import night
from tests.command_line import Tuner, error
from tests.report import studies
from tests.store.test_storage import stored


@pytest.fixture(autouse=True)
def with_studies(folder: Path) -> None:
    slow = studies.study([studies.infeasible(studies.baseline(), unloaded_s=0.061)], name="slow")
    stored(folder / "studies.db", night(name="one"), night(1.2, name="two"), slow)
    stored(folder / "other.db", night(0.8, name="one"))


def test_two(tuner: Tuner) -> None:
    """Who carries more, in words and as a document."""
    text, content = tuner.both("compare", "one", "two")

    assert "two against one, within p99 <= 50 ms" in text
    assert "two carries 1.20x" in text
    (only,) = content["comparisons"]
    assert round(only["winners"]["ratio"]["estimate"], 3) == 1.2


def test_more_than_two(tuner: Tuner) -> None:
    """Each of the others is compared with the first."""
    text, content = tuner.both("compare", "two", "one", "slow")

    assert [each["other"]["study"] for each in content["comparisons"]] == ["one", "slow"]
    assert {each["first"]["study"] for each in content["comparisons"]} == {"two"}
    assert "slow against two" in text
    assert "the nearest is trial 0: p99 = 61 ms without load" in " ".join(text.split())


def test_of_another_database(tuner: Tuner, folder: Path) -> None:
    """URL#NAME is one of another database; equal names are told apart by it."""
    other = f"sqlite:///{folder}/other.db#one"

    content = tuner("compare", "one", other, "--json").json["comparisons"][0]

    assert content["other"]["study"] == other
    assert round(content["winners"]["ratio"]["estimate"], 3) == 0.8


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (
            ("one",),
            "a comparison takes two studies or more, but got only `one`",
            "`tuner studies list` lists them",
        ),
        (("one", "two", "one"), "`one` was named twice", "name each study once"),
        (("one", "three"), "no study is called `three`", "studies here: one, slow, two"),
    ],
)
def test_what_cannot_be_compared(
    tuner: Tuner, given: tuple[str, ...], message: str, hint: str
) -> None:
    """It is said what is missing, with status 2."""
    assert tuner("compare", *given) == error(message, hint)


def test_names_are_no_markup(tuner: Tuner, folder: Path) -> None:
    """A name is printed as it is."""
    stored(folder / "more.db", night(), replace(night(1.2), name="odd [bold]"))

    result = tuner("compare", "night", "odd [bold]", "--db", "more.db")

    assert "odd [bold] against night" in result.out
