"""What proofs say of a configuration (those of a fleet: tests/fleet/test_study.py)."""

import math

import pytest

from tests.analysis.known import known
from tests.report import studies
from tuner.analysis.standings import standings
from tuner.planning.proved import Proved, proved
from tuner.records import Interval, StudyRecord, TrialState
from tuner.space.space import Configuration

NIGHT = studies.night()
WINNER = known(standings(NIGHT).winner)


def night(
    *proofs: tuple[float, str],
    of: Configuration = WINNER.configuration,
    state: TrialState = TrialState.FEASIBLE,
) -> StudyRecord:
    """The night after these loads were put to the proof."""
    return studies.proved(NIGHT, *proofs, of=of, state=state)


@pytest.mark.parametrize(
    ("proofs", "found"),
    [
        ([], Proved()),
        ([(378.0, "within")], Proved(within=378.0)),
        ([(378.0, "undecided")], Proved()),
        ([(378.0, "over")], Proved(over=378.0)),
        ([(378.0, "over"), (338.0, "over"), (278.0, "within")], Proved(278.0, 338.0)),
        ([(378.0, "undecided"), (338.0, "within")], Proved(within=338.0)),
        ([(378.0, "within"), (338.0, "over")], Proved(over=338.0)),
    ],
)
def test_what_was_proved(proofs: list[tuple[float, str]], found: Proved) -> None:
    """The highest load within the budget and the lowest one over it."""
    assert proved(night(*proofs), WINNER.configuration) == found
    assert found.contradicts is (found.over < math.inf)


def test_proofs_that_say_nothing() -> None:
    """Those of another configuration, and those that failed."""
    of_others = night((378.0, "over"), of=studies.DEFAULTS)
    failed = night((0.0, "over"), state=TrialState.FAILED)

    assert proved(of_others, WINNER.configuration) == Proved()
    assert proved(failed, WINNER.configuration) == Proved()


@pytest.mark.parametrize(
    ("found", "interval"),
    [
        (Proved(within=378.0), Interval(WINNER.low, WINNER.throughput, WINNER.high)),
        (Proved(338.0, 378.0), Interval(338.0, 338.0, 378.0)),
        (Proved(over=378.0), Interval(378.0, 378.0, 378.0)),
    ],
)
def test_what_is_planned_with(found: Proved, interval: Interval) -> None:
    """What the finals said, as long as nothing of it was found over the budget."""
    assert found.planned_with(WINNER) == interval
