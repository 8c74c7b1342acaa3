"""Answers from stored load points, in words."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report import studies, texts
from tests.report.studies import loads, point
from tuner.analysis.answers import answer
from tuner.analysis.load_curves import load_curves
from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.records import StudyRecord, TrialRecord, Usage
from tuner.report import answer_text

P99_20MS = LatencyBudget(99, 0.020)
MEASURE = "tuner optimize --budget-ms 20"


def trial(number: int, *places: tuple[float, float], **wishes: Any) -> TrialRecord:
    return studies.trial(number, 100.0, points=loads(*places), **wishes)


def study_of(*places: tuple[float, float], **wishes: Any) -> StudyRecord:
    return studies.study([trial(12, *places, **wishes)])


def told(
    study: StudyRecord, *asked: Any, budget: LatencyBudget = P99_20MS, **options: Any
) -> Iterator[str]:
    """Headline, doubts (!) and remarks (-), or the error and its hint."""
    found = answer(study, budget, *asked, **options)
    if found.best is None:
        error = answer_text.nothing_within(study, found, MEASURE)
        yield error.message
        yield f"hint: {error.hint}"
        return
    yield answer_text.headline(found, found.best)
    yield from (f"! {doubt}" for doubt in answer_text.doubts(found, found.best))
    yield from (f"- {remark}" for remark in answer_text.remarks(found, found.best))


def best(number: int, *places: tuple[float, float]) -> TrialRecord:
    return trial(number, *places, configuration=studies.BEST)


def infeasible(*unloaded_s: float) -> list[TrialRecord]:
    return [studies.infeasible(studies.trial(n), unloaded_s=s) for n, s in enumerate(unloaded_s)]


CLEAR = ((100, 10.0), (120, 40.0))
WIDE = study_of((100, 10.0), (400, 40.0), usage=Usage(memory_bytes=1e9))
FREE = study_of((2000, 10.0), usage=Usage(memory_bytes=812.4e6))
TIED = [trial(n, *CLEAR) for n in range(1, 6)]
CLOSED = [
    point(load, ms / 1e3, kind="closed", throughput=throughput)
    for load, ms, throughput in ((16, 18.0, 500.0), (20, 25.0, 510.0))
]
UNLOADED = point(1, 0.008, kind="closed", phase="unloaded")


def test_every_answer() -> None:
    """How good the best is, how that is known, why to doubt it, and what else to know."""
    latency, memory = Objective.LATENCY, Objective.MEMORY
    answers = {
        "a clear answer": told(study_of(*CLEAR)),
        "measured": told(study_of((2200, 17.8), (2450, 24.1))),
        "interpolated": told(study_of((2000, 10.0), (2880, 40.0))),
        "interpolated between trials": told(
            studies.study([best(12, (2000, 10.0)), best(20, (2880, 40.0))])
        ),
        "below an overloaded load": told(study_of((2000, 10.0), (3000, math.inf))),
        "a lower bound": told(FREE),
        "a closed loop": told(
            studies.study([studies.trial(12, 500.0, points=tuple(CLOSED))], arrivals=Loop.CLOSED)
        ),
        "a latency": told(WIDE, latency, least_throughput=200.0),
        "a latency at a lower load": told(WIDE, latency, least_throughput=50.0),
        "memory": told(FREE, memory, least_throughput=1500.0),
        "memory of what carries anything": told(FREE, memory),
        "others may be better": told(
            studies.study([trial(1, *CLEAR), trial(2, (200, 30.0)), trial(3, (90, 5.0))])
        ),
        "too few requests": told(study_of(*CLEAR), budget=LatencyBudget(99.96, 0.020)),
        "just enough requests": told(study_of(*CLEAR), budget=LatencyBudget(99.9, 0.020)),
        "two are as good": told(studies.study(TIED[:2])),
        "four are as good": told(studies.study(TIED[:4])),
        "five are as good": told(studies.study(TIED)),
        "one was not measured": told(studies.study([*infeasible(0.061), trial(12, *CLEAR)])),
        "two were not measured": told(
            studies.study([*infeasible(0.061, 0.061), trial(12, *CLEAR)])
        ),
        "not even without load": told(studies.study(infeasible(0.090, 0.061))),
        "a load that is faster than one request at a time": told(
            study_of((100, 30.0), (200, 25.0))
        ),
        "only without load": told(
            studies.study([studies.trial(12, 100.0, points=(UNLOADED, *loads((100, 30.0))))])
        ),
        "nothing was measured": told(
            studies.study([studies.failed(0, Reason.CRASHED, "it is gone")])
        ),
        "too much to carry": told(WIDE, memory, least_throughput=500.0),
        "too slow there": told(study_of((100, 40.0)), latency, least_throughput=100.0),
        "overloaded there": told(study_of((100, math.inf)), latency, least_throughput=100.0),
    }

    texts.check("answers.txt", answers)


class TestDocument:
    def test_has_the_whole_answer(self) -> None:
        """Every configuration with its capacity, its bounds and the loads around it."""
        study = studies.study([trial(1, (100, 10.0), (400, 40.0)), trial(2, (50, 30.0))])

        content = answer_text.answer_document(study, answer(study, P99_20MS), MEASURE)

        best = {
            "trial": 1,
            "configuration": dict(studies.configuration(1)),
            "kind": "interpolated",
            "throughput": pytest.approx(200.0),
            "low": 100.0,
            "high": 400.0,
            "fresh_starts": 1,
            "between": [
                {"trial": 1, "throughput": t, "concurrency": None, "latency_ms": ms, "requests": n}
                for t, ms, n in ((100.0, 10.0, 5000), (400.0, 40.0, 5000))
            ],
        }
        infeasible = content.pop("infeasible")
        assert content == {
            "study": study.name,
            "latency_budget": "p99 <= 20 ms",
            "objective": "throughput",
            "unit": "inferences/s",
            "least_throughput": None,
            "best": best,
            "nearest": None,
            "ranked": [best],
            "tied": [],
            "undecided": [],
            "unmeasured": 0,
            "doubts": ["the gap between the loads around it is wide (4.00x)"],
            "measure": MEASURE,
        }
        assert [(each["trial"], each["kind"], each["high"]) for each in infeasible] == [
            (2, "none", 50.0)
        ]

    @pytest.mark.parametrize(
        ("objective", "key", "value"),
        [
            (Objective.LATENCY, "latency_ms", 10.0),
            (Objective.MEMORY, "memory_bytes", 1e9),
            (Objective.CPU, "cpu_s", 0.002),
            (Objective.ENERGY, "energy_j", 0.5),
        ],
    )
    def test_has_the_value_of_the_objective(
        self, objective: Objective, key: str, value: float
    ) -> None:
        """The unit is in its name."""
        study = study_of((100, 10.0), usage=Usage(0.002, 1e9, 0.5))
        found = answer(study, P99_20MS, objective, least_throughput=100.0)

        assert answer_text.answer_document(study, found, MEASURE)["best"][key] == pytest.approx(
            value
        )

    def test_of_nothing(self) -> None:
        """Without a best configuration there is none in it."""
        study = study_of((100, 30.0))

        assert answer_text.answer_document(study, answer(study, P99_20MS), MEASURE)["best"] is None


def test_about_limits() -> None:
    """What half the limit and twice the limit would allow, as far as it is known."""
    study, over = study_of((100, 12.5), (200, 50.0)), study_of((100, 30.0))

    assert answer_text.about_limits(study, load_curves(study, 99)) == (
        "Another latency limit would allow: 141 inferences/s within 25 ms, at least 200 "
        "inferences/s within 100 ms"
    )
    assert answer_text.about_limits(over, load_curves(over, 99)) == (
        "Another latency limit would allow: nothing that was measured within 25 ms, at least 100 "
        "inferences/s within 100 ms"
    )
