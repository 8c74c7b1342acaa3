"""The facts of a study: from its records alone, each by hand."""

from dataclasses import replace
from typing import Any

import pytest

from tests.hints.demo import SPACE, best, demo
from tests.report import studies
from tests.report.studies import BEST, loads, point
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.hints.results import needed_trials, result_facts
from tuner.records import Grade, ServerStatistics, SettingVerdict, StudyRecord, TrialRecord, Usage
from tuner.space.space import Configuration


def facts(study: StudyRecord) -> dict[str, Any]:
    return result_facts(study, standings(study))


def of_best(**wishes: Any) -> dict[str, Any]:
    """The facts of the demo with another record of its winner."""
    return facts(demo(best(**wishes)))


class TestTheWinnersLoad:
    def test_at_its_best_load(self) -> None:
        """Processor time, memory, lateness and requests under way are of the best point within."""
        usage = Usage(cpu_s=4.0, memory_bytes=float(2 << 30))
        points = (
            point(400.0, 0.040, usage=usage, mean_s=0.020, requests=1000, send_lag_p99_s=0.004),
            point(500.0, 0.090, usage=Usage(cpu_s=5.0), mean_s=0.060),
        )

        found = of_best(points=points)

        assert found["result.busy"] == pytest.approx(4.0 / 2.5 / 2)
        assert found["result.memory_share"] == pytest.approx(2 / 8)
        assert found["result.in_flight"] == pytest.approx(1000 / 2.5 * 0.020)
        assert found["result.late_share"] == pytest.approx(0.1)

    def test_inferences_under_way(self) -> None:
        """Each request may carry several."""
        found = facts(demo(best(), request={"batch": 4}))

        assert found["result.inferences_in_flight"] == 4 * found["result.in_flight"]

    def test_what_was_not_measured_is_not_there(self) -> None:
        """NaN is no fact."""
        found = of_best(points=(point(400.0, 0.040),))

        assert "result.busy" not in found
        assert "result.memory_share" not in found

    def test_disturbed_points(self) -> None:
        """The share of the winner's points that the machine disturbed."""
        points = (point(300.0, 0.02, disturbed=("steal",)), point(400.0, 0.04))

        assert of_best(points=points)["result.disturbed"] == 0.5


class TestTheServersCounters:
    def test_batches_and_the_bottleneck(self) -> None:
        """The mean batch, and what the report calls the bottleneck of the same trial."""
        told = ServerStatistics(
            inferences=800, executions=100, requests=1000, queue_s=6.0, compute_infer_s=2.0
        )
        points = (point(400.0, 0.040, mean_s=0.009, requests=1000),)

        found = of_best(statistics=told, points=points)

        assert found["result.mean_batch"] == 8
        assert found["result.bottleneck"] == "queue"

    def test_a_server_that_counts_nothing(self) -> None:
        """Nothing is known then."""
        found = of_best(statistics=ServerStatistics())

        assert {"result.mean_batch", "result.bottleneck"}.isdisjoint(found)


class TestOtherLimits:
    def test_between_load_points(self) -> None:
        """Half as much latency again gives a quarter more; half the latency takes a quarter."""
        points = loads((300, 24), (310, 30), (400, 49), (410, 55), (500, 74), (510, 90))

        found = of_best(points=points)

        assert found["result.looser"] == pytest.approx(500 / 401, rel=0.02)
        assert found["result.tighter"] == pytest.approx(302 / 401, rel=0.02)

    def test_without_points_on_both_sides(self) -> None:
        """A load that was never exceeded tells no capacity."""
        found = of_best(points=loads((400, 49), (410, 55)))

        assert "result.looser" not in found


class TestFailures:
    def test_refuted_parameters_are_named_once(self) -> None:
        """Whatever the number of trials, and only those that were refuted."""
        verdicts = {
            "threads": SettingVerdict(Grade.REFUTED, "the log says 2"),
            "instance_count": SettingVerdict(Grade.CONFIRMED),
        }
        refuted = [
            replace(studies.failed(n, Reason.REFUTED, "refuted"), verdicts=verdicts)
            for n in (3, 4)
        ]

        assert facts(demo(best(), *refuted))["result.refuted"] == "threads"
        assert facts(demo(best()))["result.refuted"] == ""

    def test_a_region(self) -> None:
        """Where nearly every trial failed, in words, and the share of all that failed."""
        bad = [_failed(n, 64) for n in (3, 4, 5)]

        found = facts(demo(best(), *bad))

        assert found["result.failing"].startswith("max_batch_size")
        assert found["result.failures"] == pytest.approx(3 / 5)

    def test_overloads_of_the_client(self) -> None:
        """They are counted: such a trial says nothing of the server."""
        late = studies.failed(3, Reason.CLIENT_OVERLOADED, "late")

        found = facts(demo(best(), late))

        assert found["result.overloads"] == 1
        assert found["result.failures"] == 0

    def test_no_winner(self) -> None:
        """A study in which all failed has facts about failures, and no others."""
        study = studies.study([_failed(0, 64), _failed(1, 64)], space=SPACE)

        assert set(facts(study)) == {
            "result.budget_ms",
            "result.overloads",
            "result.refuted",
            "result.failures",
            "result.failing",
        }


class TestEdges:
    def test_the_end_of_a_range(self) -> None:
        """A winner at the highest number that was allowed, where rules allow the next one."""
        tried = Configuration.of({**BEST, "max_batch_size": 64})

        assert (
            of_best(configuration=tried)["result.edge"]
            == "max_batch_size=64 (of 2 to 64, doubling)"
        )

    def test_what_nobody_chose_is_no_edge(self) -> None:
        """A default at the end of its range, as where a model takes no larger batch."""
        tried = Configuration.of({**BEST, "max_batch_size": 64})
        study = demo(best(configuration=tried), space=SPACE.with_default("max_batch_size", 64))

        assert facts(study)["result.edge"] == ""

    def test_the_low_end_is_no_edge(self) -> None:
        """Below the smallest number that makes sense there is nothing to try."""
        tried = Configuration.of({**BEST, "max_batch_size": 2, "preferred_batch_size": 0})

        assert of_best(configuration=tried)["result.edge"] == ""

    def test_a_rule_is_no_edge(self) -> None:
        """What a rule keeps from going on is at no end: nor is 1, below which nothing is."""
        tried = Configuration.of({**BEST, "instance_count": 4, "threads": 1})

        assert of_best(configuration=tried)["result.edge"] == ""

    def test_all_processors_are_no_edge(self) -> None:
        """A winner with as many threads as there are processors has no use for more."""
        tried = Configuration.of({**BEST, "instance_count": 1, "threads": 2})

        assert of_best(configuration=tried)["result.edge"] == ""


def test_gain() -> None:
    """The winner's throughput over that of the defaults."""
    assert facts(demo(best()))["result.gain"] == pytest.approx(401 / 152, rel=0.01)


def test_needed_trials() -> None:
    """The baseline, the winner's own, and those that name what was refuted."""
    refuted = studies.failed(3, Reason.REFUTED, "refuted")
    study = demo(best(), refuted, studies.trial(4, 200.0))

    assert needed_trials(study, standings(study)) == {0, 2, 3}


def _failed(number: int, batch: int) -> TrialRecord:
    tried = Configuration.of({**BEST, "max_batch_size": batch, "instance_count": 1 + number % 3})
    return replace(studies.failed(number, Reason.OUT_OF_MEMORY, "killed"), configuration=tried)
