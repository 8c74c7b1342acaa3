"""What single steps of one parameter did."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from tests.report import studies
from tests.report.studies import point
from tuner.analysis.effects import effects
from tuner.analysis.load_curves import load_curves
from tuner.analysis.steps import Step, steps
from tuner.records import StudyRecord, TrialRecord, TrialState
from tuner.space.expressions import Value
from tuner.space.space import Configuration


def trial(number: int, capacity: float, values: Mapping[str, Value], **wishes: Any) -> TrialRecord:
    configuration = Configuration.of(values)
    return studies.trial(number, capacity, configuration=configuration, **wishes)


def study(*tried: tuple[float, Mapping[str, Value]]) -> StudyRecord:
    """The configurations with these capacities, in the order of their trials."""
    return studies.study(
        [trial(n, capacity, values) for n, (capacity, values) in enumerate(tried)]
    )


def found_in(record: StudyRecord, best: Configuration | None = None) -> tuple[Step, ...]:
    curves = load_curves(record, record.budget.percentile)
    return steps(record, effects(record).capacities, curves, best)


def named(found: tuple[Step, ...]) -> list[tuple[str, Value, Value]]:
    return [(each.parameter, each.before, each.after) for each in found]


def test_numbers_that_follow_each_other() -> None:
    """A step goes from one measured number to the next, all else equal; the largest is first."""
    found = found_in(study((100, {"a": 8}), (121, {"a": 16}), (242, {"a": 32})))

    assert named(found) == [("a", 16, 32), ("a", 8, 16)]
    assert [each.ratio.estimate for each in found] == pytest.approx([2.0, 1.21])
    assert [each.trials for each in found] == [(1, 2), (0, 1)]


def test_all_else_is_equal() -> None:
    """Configurations that differ in two parameters are not compared."""
    assert found_in(study((100, {"a": 1, "b": 1}), (200, {"a": 2, "b": 2}))) == ()


def test_a_parameter_that_another_brings_with_it() -> None:
    """What exists only with one value of a parameter differs with it; the fastest counts."""
    found = found_in(
        study(
            (100, {"batching": False}),
            (150, {"batching": True, "size": 4}),
            (300, {"batching": True, "size": 8}),
        )
    )

    assert named(found) == [("batching", False, True), ("size", 4, 8)]
    assert found[0].ratio.estimate == pytest.approx(3.0)
    assert found[0].trials == (0, 2)


def test_what_nobody_tried_is_no_condition() -> None:
    """A parameter that one value lacked by chance must be the same where both have it."""
    found = found_in(study((100, {"a": 1, "b": 5}), (200, {"a": 2, "b": 7}), (300, {"a": 4})))

    assert named(found) == [("a", 2, 4)]


def test_the_choice_of_the_fastest_is_paid_for() -> None:
    """The fastest of three looks fast by chance three times as often, in each of three steps."""
    (alone,) = found_in(study((100, {"on": False}), (130, {"on": True, "size": 4})))
    (first, *others) = found_in(
        study(
            (100, {"on": False}),
            (130, {"on": True, "size": 4}),
            (129, {"on": True, "size": 8}),
            (128, {"on": True, "size": 16}),
        )
    )

    assert (first.parameter, len(others)) == ("on", 2)
    assert first.ratio.p_value == pytest.approx(3 * 3 * alone.ratio.p_value)


def test_words_start_from_the_default() -> None:
    """Values without an order are compared with what the baseline has."""
    record = studies.study(
        [
            studies.baseline(100.0, configuration=Configuration.of({"a": "usual"})),
            trial(1, 110.0, {"a": "best"}),
            trial(2, 120.0, {"a": "other"}),
        ]
    )

    assert set(named(found_in(record))) == {("a", "usual", "best"), ("a", "usual", "other")}


def test_the_mean_of_several_comparisons() -> None:
    """A step that was made with different values of the others counts once, in the mean."""
    (first, *_) = found_in(
        study(
            (100, {"a": 1, "b": 1}),
            (200, {"a": 2, "b": 1}),
            (110, {"a": 1, "b": 2}),
            (275, {"a": 2, "b": 2}),
        )
    )

    assert (first.parameter, first.comparisons) == ("a", 2)
    assert first.ratio.estimate == pytest.approx(math.sqrt(2.0 * 2.5))
    assert first.trials == (2, 3)


def test_steps_of_the_best_are_first() -> None:
    """What leads to the winner and away from it comes before larger steps elsewhere."""
    record = study(
        (100, {"a": 1, "b": 1}),
        (10, {"a": 2, "b": 1}),
        (300, {"a": 1, "b": 2}),
    )
    best = Configuration.of({"a": 1, "b": 2})

    assert [(each.parameter, each.of_best) for each in found_in(record, best)] == [
        ("b", True),
        ("a", False),
    ]


def test_small_steps_are_undecided() -> None:
    """Two starts of the same configuration differ by some per cent; that is no step."""
    small, large = (found_in(study((100, {"a": 1}), (by, {"a": 2})))[0] for by in (108, 200))

    assert not small.ratio.decided
    assert large.ratio.decided


def test_bounds_are_no_capacities() -> None:
    """A configuration that was stopped because beaten is not compared."""
    record = studies.study(
        [trial(0, 100, {"a": 1}), trial(1, 50, {"a": 2}, state=TrialState.PRUNED)]
    )

    assert found_in(record) == ()


def test_latency_between_measured_loads() -> None:
    """The latency is compared at nine tenths of the smaller capacity, if loads were near it."""
    slow = (point(80, 0.020), point(120, 0.060))
    fast = (point(80, 0.010), point(240, 0.060))
    record = studies.study(
        [trial(0, 100, {"a": 1}, points=slow), trial(1, 200, {"a": 2}, points=fast)]
    )

    (step,) = found_in(record)

    assert 80 < step.load < 120
    assert step.slower_s == pytest.approx(-0.016, abs=0.008)


def test_latency_without_load() -> None:
    """Where no load was near enough, it is compared with one request at a time."""
    first = trial(0, 100, {"a": 1}, points=(point(100, 0.05),), unloaded_s=0.004)
    second = trial(1, 200, {"a": 2}, points=(point(200, 0.05),), unloaded_s=0.0065)

    (step,) = found_in(studies.study([first, second]))

    assert step.load == 0.0
    assert step.slower_s == pytest.approx(0.0025)


def test_of_very_many_those_of_the_best() -> None:
    """Of more configurations than anybody reads, only the steps from the best and the baseline."""
    values = [{"a": a, "b": b} for a in range(33) for b in range(33)]
    record = study(*((100.0 + n, each) for n, each in enumerate(values)))
    best = Configuration.of(values[-1])

    found = found_in(record, best)

    places = [divmod(number, 33) for each in found for number in each.trials]
    assert all({0, 32} & set(place) for place in places)
    assert {each.parameter for each in found if each.of_best} == {"a", "b"}
