"""Objectives and their Pareto front, in words."""

import math
from typing import Any

import pytest

from tests.report import studies
from tuner.analysis.pareto import objectives_front
from tuner.analysis.rate_unit import RateUnit
from tuner.goals import Objective
from tuner.records import StudyRecord, TrialRecord, TrialState, Usage
from tuner.report.amounts import amount
from tuner.report.objective_text import about_hypervolume, front_rows

BOTH = (Objective.THROUGHPUT, Objective.MEMORY)
UNIT = RateUnit.INFERENCES


def study_of(*memories_mb: float, **wishes: Any) -> StudyRecord:
    """The baseline carries 100, trial n n + 1 times that, with these memories."""
    usages = [Usage(memory_bytes=mb * 1e6) for mb in memories_mb]
    return studies.study(
        [
            studies.baseline(100.0, usage=usages[0]),
            *(studies.trial(n, 100.0 * (n + 1), usage=u) for n, u in enumerate(usages[1:], 1)),
        ],
        **({"objectives": BOTH} | wishes),
    )


@pytest.mark.parametrize(
    ("objective", "value", "unit", "said"),
    [
        (Objective.THROUGHPUT, 2310.4, UNIT, "2,310 inferences/s"),
        (Objective.LATENCY, 0.0178, UNIT, "17.8 ms"),
        (Objective.MEMORY, 1234.5e6, UNIT, "1,234 MB"),
        (Objective.CPU, 0.00123, UNIT, "1.23 ms of processor time an inference"),
        (Objective.ENERGY, 0.12345, UNIT, "0.123 J an inference"),
        (Objective.CPU, 0.00123, RateUnit.REQUESTS, "1.23 ms of processor time a request"),
        (Objective.LATENCY, math.inf, UNIT, "-"),
        (Objective.MEMORY, math.nan, UNIT, "-"),
    ],
)
def test_amount(objective: Objective, value: float, unit: RateUnit, said: str) -> None:
    """Values come with their unit; what is not known is a dash."""
    assert amount(objective, value, unit) == said


def test_front_rows() -> None:
    """The front as a table: the trial, what it has of each objective, its configuration."""
    study = study_of(800, 400)

    assert front_rows(study, objectives_front(study)) == [
        {
            "trial": "1",
            "throughput": "200 inferences/s",
            "memory": "400 MB",
            "configuration": str(studies.configuration(1)),
        }
    ]


class TestAboutHypervolume:
    def test_names_its_reference_point(self) -> None:
        """A volume means nothing without the corner from which it is measured."""
        assert about_hypervolume(study_of(800, 400)) == (
            "Hypervolume 0.5 over the server's defaults as the reference point (throughput 100 "
            "inferences/s, memory 800 MB), each objective in units of theirs"
        )

    def test_of_no_gain_in_all_objectives(self) -> None:
        """A volume of nothing is explained."""
        assert about_hypervolume(study_of(800, 900)).endswith(
            "in units of theirs: no trial is better in every objective"
        )

    @pytest.mark.parametrize(
        ("baseline", "reason"),
        [
            ((), "have no throughput and no memory"),
            ((studies.baseline(100.0),), "have no memory"),
            (
                (
                    studies.baseline(
                        100.0, usage=Usage(memory_bytes=8e8), state=TrialState.INFEASIBLE
                    ),
                ),
                "are not feasible",
            ),
        ],
    )
    def test_without_a_reference_point(
        self, baseline: tuple[TrialRecord, ...], reason: str
    ) -> None:
        """It is said what the defaults lack."""
        study = studies.study([*baseline, *study_of(800, 400).trials[1:]], objectives=BOTH)

        assert about_hypervolume(study) == (
            f"No hypervolume: its reference point is the server's defaults, which {reason}"
        )
