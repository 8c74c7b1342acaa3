"""Answers from stored load points, in words."""

import math
from typing import Any

import pytest

from tests.report import studies
from tests.report.studies import point
from tuner.analysis.answers import Answer, answer
from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.records import PointRecord, StudyRecord, TrialRecord, Usage
from tuner.report import answer_text

P99_20MS = LatencyBudget(99, 0.020)
MEASURE = "tuner optimize --budget-ms 20"


def loads(*places: tuple[float, float], **wishes: Any) -> tuple[PointRecord, ...]:
    return tuple(
        point(load, latency_ms / 1e3, **({"requests": 5000} | wishes))
        for load, latency_ms in places
    )


def trial(number: int, *places: tuple[float, float], **wishes: Any) -> TrialRecord:
    return studies.trial(number, 100.0, points=loads(*places), **wishes)


def study_of(*places: tuple[float, float], **wishes: Any) -> StudyRecord:
    return studies.study([trial(12, *places, **wishes)])


def headline(study: StudyRecord, *asked: Any, **options: Any) -> str:
    found = answer(study, P99_20MS, *asked, **options)
    assert found.best is not None
    return answer_text.headline(found, found.best)


def doubts(study: StudyRecord, *asked: Any, **options: Any) -> tuple[str, ...]:
    found = answer(study, P99_20MS, *asked, **options)
    assert found.best is not None
    return answer_text.doubts(found, found.best)


def remarks(study: StudyRecord, budget: LatencyBudget = P99_20MS) -> tuple[str, ...]:
    found = answer(study, budget)
    assert found.best is not None
    return answer_text.remarks(found, found.best)


class TestHeadline:
    def test_interpolated(self) -> None:
        """Both loads are named, with their latencies and their trial."""
        assert headline(study_of((2200, 17.8), (2450, 24.1))) == (
            "p99 <= 20 ms: 2,293 inferences/s, measured at 2,200/s (17.8 ms) of trial 12"
        )
        assert headline(study_of((2000, 10.0), (2880, 40.0))) == (
            "p99 <= 20 ms: 2,400 inferences/s, interpolated between 2,000/s (10.0 ms) and 2,880/s "
            "(40.0 ms) of trial 12; not measured at that load"
        )

    def test_interpolated_between_trials(self) -> None:
        """Each load comes with its trial."""
        best = {"configuration": studies.BEST}
        study = studies.study([trial(12, (2000, 10.0), **best), trial(20, (2880, 40.0), **best)])

        assert headline(study).endswith(
            "between 2,000/s (10.0 ms) of trial 12 and 2,880/s (40.0 ms) of trial 20; not "
            "measured at that load"
        )

    def test_below_an_overloaded_load(self) -> None:
        """A load at which the server fell behind has no latency."""
        assert "and 3,000/s (overloaded) of trial 12" in headline(
            study_of((2000, 10.0), (3000, math.inf))
        )

    def test_a_lower_bound(self) -> None:
        """Where no load was over it is said how far one looked."""
        assert headline(study_of((2000, 10.0))) == (
            "p99 <= 20 ms: at least 2,000 inferences/s, the highest load that was measured: "
            "2,000/s (10.0 ms) of trial 12"
        )

    def test_a_closed_loop(self) -> None:
        """Its load is a concurrency."""
        points = [
            point(load, ms / 1e3, kind="closed", throughput=throughput)
            for load, ms, throughput in ((16, 18.0, 500.0), (20, 25.0, 510.0))
        ]
        study = studies.study(
            [studies.trial(12, 500.0, points=tuple(points))], arrivals=Loop.CLOSED
        )

        assert headline(study) == (
            "p99 <= 20 ms: 500 inferences/s, measured at concurrency 16 (18.0 ms) of trial 12"
        )

    def test_a_latency(self) -> None:
        """It is that at the load that was asked about."""
        study = study_of((100, 10.0), (400, 40.0))

        assert headline(study, Objective.LATENCY, least_throughput=200.0) == (
            "p99 at 200 inferences/s: 20.0 ms, interpolated between 100/s (10.0 ms) and 400/s "
            "(40.0 ms) of trial 12; not measured at that load"
        )
        assert headline(study, Objective.LATENCY, least_throughput=50.0) == (
            "p99 at 50.0 inferences/s: at most 10.0 ms, only higher loads were measured, the "
            "lowest: 100/s (10.0 ms) of trial 12"
        )

    def test_what_is_taken_of_the_machine(self) -> None:
        """It is said among which configurations it is the least, and what it carries."""
        study = study_of((2000, 10.0), usage=Usage(memory_bytes=812.4e6))

        assert headline(study, Objective.MEMORY, least_throughput=1500.0) == (
            "memory: 812 MB, the least of what carries 1,500 inferences/s within p99 <= 20 ms; "
            "this carries at least 2,000 inferences/s, the highest load that was measured: "
            "2,000/s (10.0 ms) of trial 12"
        )
        assert "the least of what carries anything within" in headline(study, Objective.MEMORY)


class TestDoubts:
    def test_a_wide_gap(self) -> None:
        """Loads that are far apart say little of what is between."""
        assert doubts(study_of((100, 10.0), (200, 40.0))) == (
            "the gap between the loads around it is wide (2.00x)",
        )

    def test_a_lower_bound(self) -> None:
        """What was never loaded more may carry more."""
        study = study_of((100, 10.0), usage=Usage(memory_bytes=1e9))

        assert doubts(study) == ("no load that was measured is over the limit: it may carry more",)
        assert doubts(study, Objective.MEMORY) == ()

    def test_an_upper_bound(self) -> None:
        """A latency at a higher load is no measurement."""
        assert doubts(study_of((100, 10.0)), Objective.LATENCY, least_throughput=50.0) == (
            "the latency at that load itself was not measured",
        )

    def test_configurations_that_may_be_better(self) -> None:
        """What was measured at other loads only may be better."""
        study = studies.study(
            [trial(1, (100, 10.0), (120, 40.0)), trial(2, (200, 30.0)), trial(3, (90, 5.0))]
        )

        assert doubts(study) == ("not measured near enough to be compared: trial 3 and trial 2",)

    def test_none(self) -> None:
        """Loads that are close leave none."""
        assert doubts(study_of((100, 10.0), (120, 40.0))) == ()


class TestRemarks:
    def test_none(self) -> None:
        """A clear answer needs none."""
        assert remarks(study_of((100, 10.0), (120, 40.0))) == ()

    def test_few_requests(self) -> None:
        """A percentile needs requests beyond it."""
        study = study_of((100, 10.0), (120, 40.0))

        assert remarks(study, LatencyBudget(99.96, 0.020)) == (
            "p99.96 is vague: one of these loads has 5,000 requests, fewer than 3 beyond it",
        )
        assert remarks(study, LatencyBudget(99.9, 0.020)) == ()

    def test_ties(self) -> None:
        """Some are named, the others counted."""
        tied = [trial(n, (100, 10.0), (120, 40.0)) for n in range(1, 6)]

        def said(count: int) -> tuple[str, ...]:
            return remarks(studies.study(tied[:count]))

        assert said(2) == ("as good within the uncertainty: trial 2",)
        assert said(4) == ("as good within the uncertainty: trial 2, trial 3 and trial 4",)
        assert said(5) == ("as good within the uncertainty: trial 2, trial 3, trial 4 and 1 more",)

    @pytest.mark.parametrize(
        ("count", "said"),
        [
            (1, "1 configuration is not ranked: no load point says anything of it"),
            (2, "2 configurations are not ranked: no load point says anything of them"),
        ],
    )
    def test_what_was_dropped_before(self, count: int, said: str) -> None:
        """The configurations of which nothing is known are counted."""
        slow = [studies.infeasible(studies.trial(n), unloaded_s=0.061) for n in range(count)]

        assert remarks(studies.study([*slow, trial(12, (100, 10.0), (120, 40.0))])) == (said,)


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
            "least_throughput": None,
            "best": best,
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


class TestNothingWithin:
    def said(self, study: StudyRecord, found: Answer) -> tuple[str, str]:
        error = answer_text.nothing_within(study, found, MEASURE)
        return error.message, error.hint

    def test_not_even_without_load(self) -> None:
        """The nearest configuration is named with its lowest latency."""
        study = studies.study(
            [
                studies.infeasible(studies.baseline(), unloaded_s=0.090),
                studies.infeasible(studies.trial(1), unloaded_s=0.061),
            ]
        )

        message, hint = self.said(study, answer(study, P99_20MS))
        assert message == (
            "no configuration meets p99 <= 20 ms; the nearest has p99 = 61 ms without load: "
            f"{studies.configuration(1)}"
        )
        assert hint == "try `--budget-ms 122`, or a faster model"

    def test_under_load(self) -> None:
        """A load may be faster than one request at a time."""
        study = study_of((100, 30.0), (200, 25.0))

        message, hint = self.said(study, answer(study, P99_20MS))
        assert "the nearest has p99 = 25 ms at 200 inferences/s: " in message
        assert hint == "try `--budget-ms 50`, or a faster model"

    def test_only_without_load(self) -> None:
        """Where one request at a time is within, lower loads were not measured."""
        unloaded = point(1, 0.008, kind="closed", phase="unloaded")
        slow = trial(12, (100, 30.0), unloaded_s=0.008)
        study = studies.study([studies.trial(12, 100.0, points=(unloaded, *slow.points))])

        message, hint = self.said(study, answer(study, P99_20MS))
        assert message == (
            "no load that was measured meets p99 <= 20 ms; the nearest configuration has p99 = "
            f"7.5 ms without load: {studies.configuration(12)}"
        )
        assert hint == f"lower loads must be measured: `{MEASURE}`"

    def test_nothing_measured(self) -> None:
        """Where everything failed there is no nearest one."""
        study = studies.study([studies.failed(0, Reason.CRASHED, "it is gone")])

        assert self.said(study, answer(study, P99_20MS)) == (
            "no configuration of study `encoder-p99-50ms` could be measured",
            "`tuner report encoder-p99-50ms` shows how each trial failed",
        )

    def test_too_much_to_carry(self) -> None:
        """What carries most is named."""
        study = study_of((100, 10.0), (400, 40.0), usage=Usage(memory_bytes=1e9))
        found = answer(study, P99_20MS, Objective.MEMORY, least_throughput=500.0)

        message, hint = self.said(study, found)
        assert message == (
            "no configuration is known to carry 500 inferences/s within p99 <= 20 ms; the nearest "
            f"carries 200 inferences/s: {studies.configuration(12)}"
        )
        assert hint == "try `--min-throughput 200`"

    @pytest.mark.parametrize(("latency_ms", "said"), [(40.0, "40 ms"), (math.inf, "infinite")])
    def test_too_slow_there(self, latency_ms: float, said: str) -> None:
        """Of latencies at a load the lowest is named."""
        study = study_of((100, latency_ms))
        found = answer(study, P99_20MS, Objective.LATENCY, least_throughput=100.0)

        message, hint = self.said(study, found)
        assert message == (
            "no configuration meets p99 <= 20 ms at 100 inferences/s; the nearest has p99 = "
            f"{said} there: {studies.configuration(12)}"
        )
        assert hint == "try a larger `--budget-ms`, or a smaller `--min-throughput`"


def test_about_limits() -> None:
    """What half the limit and twice the limit would allow, as far as it is known."""
    study = study_of((100, 12.5), (200, 50.0))

    assert answer_text.about_limits(study) == (
        "Another latency limit would allow: 141 inferences/s within 25 ms, at least 200 "
        "inferences/s within 100 ms"
    )
    assert answer_text.about_limits(study_of((100, 30.0))) == (
        "Another latency limit would allow: nothing that was measured within 25 ms, at least 100 "
        "inferences/s within 100 ms"
    )
