"""What `tuner best --tiers` says."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console  # noqa: TID251 - prints what the command line would

from tests.report import studies, texts
from tests.report.studies import loads
from tuner.analysis.standings import standings
from tuner.analysis.tiers import tiers
from tuner.errors import Reason
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord, TrialRecord
from tuner.report import tiers_text

TIERS = tuple(LatencyBudget(99, limit_s) for limit_s in (0.005, 0.010, 0.050))


def trial(number: int, *places: tuple[float, float]) -> TrialRecord:
    return studies.trial(number, 100.0, points=loads(*places))


def told(study: StudyRecord, budgets: tuple[LatencyBudget, ...] = TIERS) -> Iterator[str]:
    """The table with its sentences, and the remarks (-)."""
    found = tiers(study, budgets)
    console = Console(file=io.StringIO(), width=100)
    console.print(tiers_text.tiers_table(study, found))
    assert isinstance(console.file, io.StringIO)
    yield from console.file.getvalue().splitlines()
    said = tiers_text.remarks(study, found, standings(study))
    yield from (f"- {remark}" for remark in said)


def of_all_kinds() -> StudyRecord:
    """One is the best within 10 ms, one within 50 ms, and one serves both."""
    return studies.study(
        [
            studies.baseline(100.0, points=loads((90, 9.0), (110, 70.0))),
            trial(1, (100, 10.0), (900, 45.0), (940, 60.0)),
            trial(2, (300, 10.0), (330, 60.0)),
            trial(3, (240, 10.0), (720, 40.0)),
        ]
    )


def test_every_kind() -> None:
    """What each tier allows, how that is known, what serves all, and what comes nearest."""
    texts.check(
        "tiers.txt",
        {
            "tiers of all kinds": told(of_all_kinds()),
            "all are met": told(of_all_kinds(), TIERS[1:]),
            "none is met": told(of_all_kinds(), TIERS[:1]),
            "only without load": told(
                studies.study(
                    [
                        studies.trial(
                            12,
                            100.0,
                            unloaded_s=0.0045,
                            points=(
                                studies.point(1, 0.0045, kind="closed", phase="unloaded"),
                                *loads((100, 30.0)),
                            ),
                        )
                    ]
                )
            ),
            "nothing was measured": told(
                studies.study([studies.failed(0, Reason.CRASHED, "it is gone")])
            ),
        },
    )


class TestDocument:
    def test_of_what_is_met_and_what_is_not(self) -> None:
        """A tier has both configurations or the nearest, and the command that measures it."""
        study = of_all_kinds()
        found = tiers(study, TIERS)

        content = tiers_text.tiers_document(study, found, {each: str(each) for each in TIERS})

        missed, quick, bulk = content["tiers"]
        assert (missed["best"], missed["shared"], missed["share"]) == (None, None, None)
        assert missed["nearest"]["over_ms"] == pytest.approx(4.0)
        assert missed["measure"] == "p99 <= 5 ms"
        assert (quick["best"]["trial"], quick["shared"]["trial"]) == (2, 3)
        assert (quick["percentile"], quick["limit_ms"], quick["share"]) == (99, 10.0, 0.8)
        assert (bulk["best"]["trial"], bulk["nearest"]) == (1, None)
        assert content["shared"] == {
            "trial": 3,
            "configuration": dict(studies.configuration(3)),
            "least_share": bulk["share"],
            "meets": 2,
        }

    def test_of_nothing(self) -> None:
        """Where no tier is met nothing serves all."""
        study = of_all_kinds()

        content = tiers_text.tiers_document(study, tiers(study, TIERS[:1]), {TIERS[0]: ""})

        assert content["shared"] is None
