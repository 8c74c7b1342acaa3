"""Where nothing meets the latency budget, every command names the nearest with by how much."""

from pathlib import Path

import pytest

from tests.cli.test_results import slow
from tests.command_line import Tuner
from tests.report import studies
from tests.store.test_storage import stored

NEAREST = {
    "trial": 1,
    "configuration": dict(studies.configuration(1)),
    "latency_ms": 61.0,
    "over_ms": pytest.approx(11.0),
    "factor": pytest.approx(1.22),
    "throughput": None,
    "unit": "inferences/s",
    "concurrency": None,
}
SAID = "p99 = 61 ms without load, 11 ms over the limit (1.22x)"


@pytest.fixture(autouse=True)
def with_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    stored(folder / "studies.db", slow())


@pytest.mark.parametrize("command", ["report", "pareto", "status", "studies show"])
def test_is_shown(tuner: Tuner, command: str) -> None:
    """Commands that succeed have it in their text and in their document."""
    text, document = tuner.both(*command.split(), "slow")

    assert SAID in text
    assert document["nearest"] == NEAREST


def test_of_best(tuner: Tuner) -> None:
    """A document names it though there is no best; the error does so, too."""
    result = tuner("best", "slow", "--json")

    assert (result.status, result.json["best"]) == (3, None)
    assert result.json["nearest"] == NEAREST
    assert SAID in result.err


def test_of_all_studies(tuner: Tuner) -> None:
    """The list has it in its document."""
    assert tuner("studies", "list", "--json").json[0]["nearest"] == NEAREST


@pytest.mark.parametrize(
    ("command", "status"), [("studies export --format csv", 0), ("effects", 2)]
)
def test_of_tables_of_something_else(tuner: Tuner, command: str, status: int) -> None:
    """It is a remark on stderr."""
    result = tuner(*command.split(), "slow")

    assert result.status == status
    assert result.err.startswith(
        f"no configuration meets p99 <= 50 ms. The nearest is trial 1: {SAID}.\n"
    )
