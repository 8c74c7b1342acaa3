"""How many copies of a server carry a demand."""

import math
import re
from pathlib import Path

import pytest

from tests.report import studies
from tuner.analysis.standings import standings
from tuner.report import findings, replicas


@pytest.mark.parametrize(
    ("demand", "capacity_low", "headroom", "spare", "number"),
    [
        (1200, 300, 0.0, 0, 4),
        (1201, 300, 0.0, 0, 5),
        (1200, 300, 0.25, 0, 6),
        (1200, 300, 0.2, 1, 6),
        (0.3, 0.1, 0.0, 0, 3),
        (0, 300, 0.2, 1, 1),
        (1200, 0.0, 0.2, 1, None),
        (1200, math.nan, 0.2, 1, None),
    ],
    ids=[
        "just enough",
        "one more",
        "a quarter kept free",
        "a spare one",
        "no more for the last digit of a float",
        "no demand",
        "no capacity",
        "a capacity that is not known",
    ],
)
def test_replicas(
    demand: float, capacity_low: float, headroom: float, spare: int, number: int | None
) -> None:
    """The demand over what may be used of the lower end of a capacity, rounded up."""
    assert replicas.replicas(demand, capacity_low, headroom, spare) == number


def test_round_demands() -> None:
    """A row for each, with the share of the capacity that it takes; a dash without a capacity."""
    study = studies.study(
        [studies.infeasible(studies.baseline(), unloaded_s=0.061), studies.trial(1, 410.0)]
    )
    found = standings(study)
    assert found.winner is not None

    sheet = replicas.sheet(findings.compared(study, found), found.winner)

    assert sheet.headings == ("Inferences/s", "Best configuration", "Server's defaults")
    assert [row[0] for row in sheet.rows] == ["500", "1,000", "2,000", "5,000", "10,000"]
    assert sheet.rows[1][1:] == ("5 (49 %)", "-")


def test_the_page_has_the_same_rule() -> None:
    """What the reader's own demand is answered with is the formula of the table."""
    script = Path(replicas.__file__).with_name("replicas.js").read_text(encoding="utf-8")

    assert "const usable = low * (1 - headroom / 100);" in script
    assert re.search(r"Math\.ceil\(demand / usable - 1e-9\) \+ spare", script)
