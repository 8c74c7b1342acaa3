"""Load points, Pareto fronts, and how much they gain."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report import studies
from tuner.analysis.pareto import (
    Row,
    dominates,
    front,
    hypervolume,
    hypervolume_over_baseline,
    load_points,
    objectives_front,
    trade_off,
)
from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.records import StudyRecord, TrialRecord, TrialState, Usage


def points(*pairs: tuple[float, float]) -> list[Row]:
    return [{"throughput": throughput, "latency_ms": ms} for throughput, ms in pairs]


def column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((200, 10), (100, 20), True, id="better in both"),
        pytest.param((200, 20), (100, 20), True, id="better in one, equal in the other"),
        pytest.param((100, 10), (100, 20), True, id="equal in one, better in the other"),
        pytest.param((100, 20), (100, 20), False, id="equal in both"),
        pytest.param((200, 30), (100, 20), False, id="better in one, worse in the other"),
        pytest.param((100, 20), (200, 10), False, id="worse in both"),
        pytest.param((100, 20), (100, math.inf), True, id="finite against infinite"),
        pytest.param((100, math.inf), (100, math.inf), False, id="infinite against infinite"),
    ],
)
def test_dominates(a: tuple[float, float], b: tuple[float, float], *, expected: bool) -> None:
    """A point dominates another if it is nowhere worse and somewhere better."""
    assert bool(dominates(a, b, [True, False])) is expected


def test_dominates_broadcasts() -> None:
    """Many points are compared with one at once."""
    many = np.array([[200.0, 10.0], [50.0, 10.0]])

    assert dominates(many, [100.0, 20.0], [True, False]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        pytest.param(
            [(300, 40), (100, 10), (90, 15), (200, 20), (250, 60)],
            [(100, 10), (200, 20), (300, 40)],
            id="what nothing beats, ascending in throughput and so in latency",
        ),
        pytest.param([(100, 10), (100, 10)], [(100, 10)], id="of equal points the first one"),
        pytest.param(
            [(100, 10), (500, math.inf), (500, math.nan), (math.inf, 5)],
            [(100, 10)],
            id="nothing with an infinite or a missing objective",
        ),
    ],
)
def test_front(pairs: list[tuple[float, float]], kept: list[tuple[float, float]]) -> None:
    """What is on the front."""
    found = front(points(*pairs), maximize=["throughput"], minimize=["latency_ms"])

    assert [(row["throughput"], row["latency_ms"]) for row in found] == kept


def test_front_of_nothing_is_empty() -> None:
    """There is no front of no rows."""
    assert front([], maximize=["throughput"], minimize=["latency_ms"]) == []


def test_front_agrees_with_the_definition() -> None:
    """A row is on the front exactly if no other row dominates it."""
    random = np.random.default_rng(7)
    values = random.integers(0, 12, size=(60, 3)).astype(float)
    names = ["throughput", "goodput", "latency_ms"]
    rows = [dict(zip(names, row, strict=True)) for row in values.tolist()]
    directions = [True, True, False]

    kept = front(rows, maximize=["throughput", "goodput"], minimize=["latency_ms"])

    expected = {
        tuple(row)
        for row in values
        if not any(bool(dominates(other, row, directions)) for other in values)
    }
    assert {tuple(row.values()) for row in kept} == expected
    assert len(kept) == len(expected)


def test_load_points_of_a_trial() -> None:
    """There is a row for each open-loop load point, in units for people."""
    slow = studies.point(120.0, 0.060, errors={"timeout": 2, "http_503": 1})
    fast = studies.point(80.0, 0.020, throughput=160.0)
    warm = studies.point(1, 0.01, kind="closed", phase="unloaded")
    study = studies.study([studies.baseline(points=(warm, fast, slow))])

    frame = load_points(study)

    assert column(frame, "load") == [80.0, 120.0]
    assert column(frame, "throughput") == [160.0, 120.0]
    assert column(frame, "latency_ms") == pytest.approx([20.0, 60.0])
    assert column(frame, "p99_ms") == column(frame, "latency_ms")
    assert column(frame, "within") == [True, False]
    assert column(frame, "errors") == [0, 3]
    assert set(column(frame, "purpose")) == {"baseline"}
    assert set(column(frame, "configuration")) == {str(studies.DEFAULTS)}


def test_load_points_follow_the_budget_percentile() -> None:
    """The latency is the exact one that the budget limits, whatever its percentile."""
    point = studies.point(80.0, 0.100, latency_s=0.0987)
    study = studies.study(
        [studies.baseline(points=(point,))], budget=LatencyBudget(98, limit_s=0.2)
    )

    assert column(load_points(study), "latency_ms") == [98.7]


def test_load_points_leave_out_failed_trials() -> None:
    """A fast wrong server never wins."""
    wrong = replace(studies.trial(1, 900.0), state=TrialState.FAILED, reason=Reason.WRONG_OUTPUT)
    study = studies.study([studies.baseline(), wrong])

    assert set(column(load_points(study), "trial")) == {0}


def test_trade_off_leaves_out_what_was_stopped_early() -> None:
    """Behind an endless queue a latency says only how long one looked."""
    steady = studies.point(100.0, 0.020)
    lost = studies.point(300.0, 0.045, stopped_early="overload")
    study = studies.study([studies.baseline(points=(steady, lost))])

    assert column(trade_off(study), "throughput") == [100.0]


def test_load_points_of_closed_loops() -> None:
    """Where the study loads in a closed loop, the search over the concurrency counts."""
    unloaded = studies.point(1, 0.004, kind="closed", phase="unloaded")
    searched = studies.point(16, 0.040, kind="closed", throughput=500.0)
    reference = studies.point(80.0, 0.006, phase="reference")
    study = studies.study(
        [studies.baseline(points=(unloaded, searched, reference))], arrivals=Loop.CLOSED
    )

    frame = load_points(study)

    assert column(frame, "load") == [16.0]
    assert column(trade_off(study), "throughput") == [500.0]


def measured(number: int, throughput: float, memory_bytes: float) -> TrialRecord:
    return studies.trial(number, throughput, usage=Usage(memory_bytes=memory_bytes))


def of_memory(*trials: TrialRecord, **wishes: object) -> StudyRecord:
    baseline = studies.baseline(100.0, usage=Usage(memory_bytes=8e8))
    objectives = (Objective.THROUGHPUT, Objective.MEMORY)
    return studies.study([baseline, *trials], **({"objectives": objectives} | wishes))


class TestObjectivesFront:
    def test_keeps_what_no_trial_beats_in_all_objectives(self) -> None:
        """More throughput or less memory than any other, in their units."""
        study = of_memory(
            measured(1, 300.0, 9e8), measured(2, 200.0, 4e8), measured(3, 150.0, 5e8)
        )

        found = objectives_front(study)

        assert list(found[0]) == ["trial", "configuration", "throughput", "memory"]
        assert column(found, "trial") == [2, 1]
        assert column(found, "throughput") == [200.0, 300.0]
        assert column(found, "memory") == [4e8, 9e8]
        assert column(found, "configuration")[0] == str(studies.configuration(2))

    @pytest.mark.parametrize(
        "others",
        [
            # Pruned and infeasible trials, and those that failed.
            [
                replace(measured(1, 900.0, 1e8), state=TrialState.PRUNED),
                replace(measured(2, 900.0, 1e8), state=TrialState.INFEASIBLE),
                replace(measured(3, 900.0, 1e8), state=TrialState.FAILED, reason=Reason.CRASHED),
            ],
            # A trial without a value of every objective cannot be compared.
            [measured(1, 900.0, math.nan), measured(2, 50.0, math.inf)],
            # What was measured again is the same configuration: the search's trials count.
            [replace(studies.final(1, studies.BEST, 500.0), usage=Usage(memory_bytes=1e8))],
        ],
        ids=["not feasible", "not measured", "finals"],
    )
    def test_leaves_out(self, others: list[TrialRecord]) -> None:
        """The baseline alone is on the front."""
        assert column(objectives_front(of_memory(*others)), "trial") == [0]

    def test_of_objectives_that_are_all_to_be_small(self) -> None:
        """Throughput need not be among them."""
        trials = [
            studies.trial(n, 100.0, reference_s=s, usage=Usage(cpu_s=cpu_s))
            for n, s, cpu_s in ((1, 0.010, 0.004), (2, 0.020, 0.002), (3, 0.030, 0.003))
        ]

        found = objectives_front(
            studies.study(trials, objectives=(Objective.LATENCY, Objective.CPU))
        )

        assert column(found, "trial") == [1, 2]
        assert column(found, "latency") == [0.010, 0.020]

    def test_of_an_empty_study(self) -> None:
        """There is no front."""
        assert objectives_front(studies.study()) == []


def by_inclusion_and_exclusion(values: list[tuple[float, ...]]) -> float:
    """The volume of the union of boxes from the origin, by counting every intersection."""
    return math.fsum(
        (-1) ** (count + 1) * math.prod(map(min, zip(*chosen, strict=True)))
        for count in range(1, len(values) + 1)
        for chosen in itertools.combinations(values, count)
    )


class TestHypervolume:
    @pytest.mark.parametrize(
        ("values", "reference", "maximize", "volume"),
        [
            # The area of a rectangle.
            ([[3.0, 2.0]], [1.0, 0.0], [True, True], 4.0),
            # For throughput and latency the reference is a low throughput at a high latency.
            ([[200.0, 30.0], [300.0, 40.0]], [100.0, 50.0], [True, False], 100 * 20 + 100 * 10),
            # What is not better than the reference, however good it is in the other objective.
            ([[9.0, 0.0], [-1.0, 9.0]], [0.0, 0.0], [True, True], 0.0),
            # NaN is not better than anything.
            ([[math.nan, 5.0], [2.0, 2.0]], [0.0, 0.0], [True, True], 4.0),
        ],
    )
    def test_by_hand(
        self,
        values: list[list[float]],
        reference: list[float],
        maximize: list[bool],
        volume: float,
    ) -> None:
        """Boxes that can be counted on paper."""
        assert hypervolume(values, reference, maximize) == volume

    @pytest.mark.parametrize("objectives", [2, 3, 4])
    @given(data=st.data())
    def test_agrees_with_inclusion_and_exclusion(
        self, objectives: int, data: st.DataObject
    ) -> None:
        """The volume of a union of boxes can be counted without any slicing."""
        number = st.integers(1, 6).map(float)
        values = data.draw(st.lists(st.tuples(*[number] * objectives), max_size=6))

        found = hypervolume(values, [0.0] * objectives, [True] * objectives)

        assert found == pytest.approx(by_inclusion_and_exclusion(values))


class TestHypervolumeOverBaseline:
    def test_is_in_units_of_the_baseline(self) -> None:
        """Twice more throughput at half the memory is a box of 2 by 1/2."""
        assert hypervolume_over_baseline(of_memory(measured(1, 300.0, 4e8))) == pytest.approx(1.0)

    def test_of_nothing_that_is_better_in_all_objectives(self) -> None:
        """What gives up one objective for another adds nothing."""
        assert hypervolume_over_baseline(of_memory(measured(1, 900.0, 9e8))) == 0.0

    @pytest.mark.parametrize(
        "baseline",
        [
            pytest.param(studies.baseline(100.0), id="without a value"),
            pytest.param(
                studies.infeasible(
                    studies.baseline(usage=Usage(memory_bytes=8e8)), unloaded_s=0.06
                ),
                id="infeasible",
            ),
            pytest.param(
                studies.baseline(0.0, usage=Usage(memory_bytes=8e8)), id="that carries nothing"
            ),
        ],
    )
    def test_of_a_baseline(self, baseline: TrialRecord) -> None:
        """Without a reference point it is not known."""
        study = of_memory(measured(1, 300.0, 4e8))
        others = replace(study, trials=(baseline, *study.trials[1:]))

        assert math.isnan(hypervolume_over_baseline(others))
        assert math.isnan(hypervolume_over_baseline(replace(study, trials=study.trials[1:])))
