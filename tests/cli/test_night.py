"""`tuner jobs`: what a file of studies may say, and how the time is shared among them."""

from pathlib import Path

import pytest

from tests.command_line import Tuner, error
from tuner.cli.jobs import Night, time_of

BUDGET = {"budget_ms": 50}
EXAMPLE = "for example: `resnet: {budget-ms: 50}`"


@pytest.mark.parametrize(
    ("nights", "wanted_s"),
    [
        ([Night("a", BUDGET), Night("b", BUDGET)], 500.0),
        ([Night("a", BUDGET, share=3), Night("b", BUDGET)], 750.0),
        ([Night("a", BUDGET), Night("b", BUDGET | {"timeout": "10m"})], 400.0),
        ([Night("a", BUDGET | {"timeout": "10m"}), Night("b", BUDGET)], 600.0),
        ([Night("a", BUDGET | {"timeout": "10h"})], 1000.0),
        ([Night("a", BUDGET), Night("b", BUDGET | {"timeout": "10h"})], 0.0),
    ],
)
def test_the_time_of_the_next_one(nights: list[Night], wanted_s: float) -> None:
    """Its share of what the others do not have for themselves; never more than is left."""
    assert time_of(nights, 1000.0) == pytest.approx(wanted_s)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "studies were expected, but got nothing", EXAMPLE),
        ("{}", "studies were expected, but got an empty mapping", EXAMPLE),
        ("[a]", "studies were expected, but got a list", EXAMPLE),
        (
            "a: 7",
            "a: the options of `tuner optimize` were expected, but got 7",
            "for example: `budget-ms: 50`",
        ),
        ("a: {model: b}", "a: has no latency budget", "add `budget-ms: 50`"),
        (
            "a: {budget-ttft-ms: 200, budget-itl-ms: fast}",
            "a: Invalid value for '--budget-itl-ms'",
            None,
        ),
        (
            "a: {budget-ms: 50, timout: 1h}",
            "a: `timout` is no option of a study",
            "did you mean `timeout`?",
        ),
        ("a: {budget-ms: 50, db: x}", "a: `db` is no option of a study", None),
        ("a: {budget-ms: 50, sampler: bayes}", "a: Invalid value for '--sampler'", None),
        (
            "a: {budget-ms: 50, pull: 7}",
            "a: pull: true or false was expected, but got 7",
            "",
        ),
        (
            "a: {budget-ms: 50, model: true}",
            "a: model: a value was expected, but got true",
            "",
        ),
        (
            "a: {budget-ms: 50, share: 0}",
            "a: share: a number above 0 was expected, but got 0",
            "",
        ),
    ],
)
def test_a_file_that_cannot_be_used(
    tuner: Tuner, folder: Path, text: str, message: str, hint: str | None
) -> None:
    """It is said where, what was expected and what came, before anything begins."""
    (folder / "night.yaml").write_text(text)
    found = tuner("jobs", "night.yaml")
    if hint is None:
        assert found.status == 2
        assert found.err.startswith(f"error: night.yaml: {message}")
    else:
        assert found == error(f"night.yaml: {message}", hint)


def test_two_ends(tuner: Tuner, folder: Path) -> None:
    (folder / "night.yaml").write_text("a: {budget-ms: 50}")
    assert tuner("jobs", "night.yaml", "--until", "07:00", "--timeout", "8h") == error(
        "`--timeout` and `--until` exclude each other", "leave one of them out"
    )


def test_flags(tuner: Tuner, folder: Path) -> None:
    """One that is false is one that is left out; the study that cannot begin says why."""
    (folder / "night.yaml").write_text("a: {budget-ms: 50, pull: false, space: nothing.yaml}")
    found = tuner("jobs", "night.yaml")
    assert found.status == 1
    assert found.err.splitlines()[0] == (
        "error: a: nothing.yaml: cannot be read: No such file or directory"
    )
    assert found.err.splitlines()[-1] == "error: these studies failed: a"


def test_no_time_left(tuner: Tuner, folder: Path) -> None:
    """A study is not begun for the sake of a second."""
    (folder / "night.yaml").write_text("a: {budget-ms: 50}")
    found = tuner("jobs", "night.yaml", "--timeout", "0.5s")
    assert found.err == (
        "error: a: no time is left for it\nhint: give all of them more\n"
        "error: these studies failed: a\n"
    )
