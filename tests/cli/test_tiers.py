"""`tuner best --tiers`: several latency budgets at once."""

from pathlib import Path

import pytest
import yaml

from tests.cli.test_answers import study
from tests.command_line import Tuner, error
from tests.report import studies
from tests.store.test_storage import stored
from tuner.errors import Reason

FORM = "in quotes, for example: `--tiers 'p99<=20,p99<=50,p95<=10'`"
LIST = "`--tiers` must be a list of pPERCENTILE<=MILLISECONDS, but got "
# What is given, what is said, and the hint.
BAD = [
    ("", f"{LIST}``", FORM),
    ("20", f"{LIST}`20`", FORM),
    ("p99<20", f"{LIST}`p99<20`", FORM),
    ("p99<=20,", f"{LIST}``", FORM),
    ("p99<=20 s", f"{LIST}`p99<=20 s`", FORM),
    (
        "p99<=0",
        "`--tiers` p99<=0: `--budget-ms` must be above 0 and below 3600000, but got 0",
        "for example: `--budget-ms 50`",
    ),
    (
        "p100<=5",
        "`--tiers` p100<=5: `--percentile` must be from 1 to 99.99, but got 100",
        "for example: `--percentile 99`",
    ),
    ("p99<=20,p99=20.0ms", "`--tiers` names p99 <= 20 ms twice", "name each tier once"),
]


@pytest.fixture(autouse=True)
def with_studies(folder: Path) -> None:
    broken = studies.failed(0, Reason.CRASHED, "it is gone")
    early = studies.BEGAN.replace(year=2020)
    empty = studies.study([broken], name="broken", created_at=early)
    stored(folder / "studies.db", study(), empty)


@pytest.mark.parametrize(("given", "message", "hint"), BAD)
def test_what_cannot_be_read(tuner: Tuner, given: str, message: str, hint: str) -> None:
    """It is said what was expected and what came, with status 2."""
    assert tuner("best", "one", "--tiers", given) == error(message, hint)


@pytest.mark.parametrize(
    "options",
    [
        ("--budget-ms", "20"),
        ("--percentile", "95"),
        ("--objective", "memory"),
        ("--min-throughput", "5"),
    ],
)
def test_what_says_the_same(tuner: Tuner, options: tuple[str, str]) -> None:
    """Options of a single budget would not be heeded, so they are refused."""
    assert tuner("best", "one", "--tiers", "p99<=20", *options) == error(
        f"`{options[0]}` means nothing to `--tiers`", "leave one of them out"
    )


def test_a_table_and_a_document(tuner: Tuner) -> None:
    """Each tier has a row; what is in doubt is said on stderr, with what measures it."""
    asked = ("best", "one", "--tiers", "p99<=20, p99 = 50ms")
    text, content = tuner(*asked), tuner(*asked, "--json")

    assert (text.status, content.status, content.err) == (0, 0, "")
    assert "Trial 2 carries the most in all tiers." in text.out
    assert "p99 <= 50 ms is the budget of the study, whose own result is another" in text.err
    assert [each["latency_budget"] for each in content.json["tiers"]] == [
        "p99 <= 20 ms",
        "p99 <= 50 ms",
    ]
    assert content.json["shared"]["trial"] == 2
    assert content.json["tiers"][0]["measure"] == (
        "tuner optimize --budget-ms 20 --warm-start one"
    )
    assert yaml.safe_load(tuner(*asked, "--format", "yaml").out) == content.json


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_tier_is_met(tuner: Tuner, options: list[str]) -> None:
    """The nearest of each is told all the same; the one that is missed by least is the error."""
    result = tuner("best", "one", "--tiers", "p99<=2,p99<=5", *options)

    assert result.status == 3
    assert result.err.startswith(
        "error: no configuration meets p99 <= 5 ms; the nearest has p99 = 10 ms at 100 "
    )
    if options:
        factors = [each["nearest"]["factor"] for each in result.json["tiers"]]
        assert factors == pytest.approx([5.0, 2.0])
    else:
        assert "p99 <= 2 ms: no configuration meets it. The nearest is trial 0: " in result.out


def test_what_should_be_measured(tuner: Tuner) -> None:
    """Where load points are missing, the command that measures them is told."""
    result = tuner("best", "one", "--tiers", "p99<=5,p99<=20,p99<=200")

    assert result.status == 0
    assert [line for line in result.err.splitlines() if line.startswith("to measure")] == [
        "to measure p99 <= 200 ms: tuner optimize --budget-ms 200 --warm-start one"
    ]


def test_nothing_was_measured(tuner: Tuner) -> None:
    """There is no nearest one then, with status 3."""
    result = tuner("best", "broken", "--tiers", "p99<=20")

    assert result.status == 3
    assert "p99 <= 20 ms: nothing was measured." in result.out
    assert "no configuration of study `broken` could be measured" in result.err
