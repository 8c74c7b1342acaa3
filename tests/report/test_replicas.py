"""How many copies of a server carry a demand."""

from pathlib import Path

from tests.report import studies
from tuner.analysis.standings import standings
from tuner.records import Interval
from tuner.report import findings, replicas


def test_round_demands() -> None:
    """A row for each, with the share of the capacity that it takes; a dash without a capacity."""
    study = studies.study(
        [studies.infeasible(studies.baseline(), unloaded_s=0.061), studies.trial(1, 410.0)]
    )
    found = standings(study)
    assert found.winner is not None

    sheet = replicas.sheet(study, findings.compared(study, found), found.winner)

    assert sheet.headings == ("Inferences/s", "Best configuration", "Server's defaults")
    assert [row[0] for row in sheet.rows] == ["500", "1,000", "2,000", "5,000", "10,000"]
    assert sheet.rows[1][1:] == ("5 (49 %)", "-")


def test_what_was_proved_counts() -> None:
    """Where a proof found less than the finals said, which the sentences say."""
    found = studies.trial(1, 410.0)
    study = studies.proved(
        studies.study([studies.baseline(), found]),
        *((390.0, "over"), (348.0, "within")),
        of=found.configuration,
    )
    winner = standings(study).winner
    assert winner

    assert replicas.carries(study, winner) == Interval(348.0, 348.0, 390.0)
    assert replicas.assumptions(study, winner)[1] == (
        "Of the best configuration 390 inferences/s were found over p99 <= 50 ms on one more "
        "start: it is planned with 348 inferences/s, which were proved to be within it on another."
    )


def test_the_page_has_the_same_rule() -> None:
    """What the reader's own demand is answered with is the formula of the plan."""
    script = Path(replicas.__file__).with_name("replicas.js").read_text(encoding="utf-8")

    assert "const usable = low * (1 - headroom / 100);" in script
    assert "Math.max(1, Math.ceil(demand / usable * (1 - 1e-9))) + spare" in script
