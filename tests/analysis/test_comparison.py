"""Holm's correction, means over starts, and differences within rounds."""

import math
from statistics import fmean, stdev

import numpy as np
import pytest

from tuner.analysis.comparison import (
    Estimate,
    Start,
    adjusted_means,
    differences,
    holm,
    mean,
    weighted_mean,
)


def starts(values: list[list[float]], error: float = 0.0) -> list[Start]:
    """One row for each round, one column for each finalist; NaN for a start that is missing."""
    return [
        Start(finalist, number, value, error)
        for number, row in enumerate(values)
        for finalist, value in enumerate(row)
        if not math.isnan(value)
    ]


def test_holm_s_correction() -> None:
    """Each p-value is multiplied by how many are not smaller, and never falls below a smaller."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([0.02]) == (0.02,)
    assert holm([]) == ()


def test_the_mean_of_repetitions() -> None:
    """The interval is Student's over the scatter."""
    found = mean([1.0, 1.2, 1.1], [0.0, 0.0, 0.0])

    assert found.value == pytest.approx(1.1)
    assert found.margin == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)


def test_repetitions_that_agree_are_no_surer_than_their_errors() -> None:
    """Three equal values do not make an error of zero."""
    found = mean([1.0, 1.0, 1.0], [0.03, 0.03, 0.06])

    assert found.scatter == 0.0
    assert found.margin == pytest.approx(1.96 * math.sqrt(0.0054) / 3, rel=1e-4)


def test_the_weighted_mean() -> None:
    """Half the error is four times the weight."""
    found = weighted_mean([1.0, 2.0], [0.1, 0.2])

    assert found.value == pytest.approx(1.2)
    assert found.scatter == pytest.approx(0.1 / math.sqrt(1.25))
    assert found.margin == pytest.approx(1.96 * found.scatter, rel=1e-4)


def test_p_values() -> None:
    """Two-sided, from the scatter or from the floor, whichever makes the value less sure."""
    assert Estimate(1.96, 1.0).p_value == pytest.approx(0.05, abs=1e-4)
    assert Estimate(-4.3027, 1.0, degrees=2).p_value == pytest.approx(0.05, abs=1e-5)
    assert Estimate(1.96, 0.1, degrees=2, floor=1.0).p_value == pytest.approx(0.05, abs=1e-4)
    assert Estimate(0.0, 0.0).p_value == 1.0
    assert Estimate(0.1, 0.0).p_value == 0.0


def test_two_finalists_are_a_paired_t_test() -> None:
    """Of two, the difference is the mean of the rounds' differences, with their scatter."""
    one, other = [1.0, 1.3, 1.1], [0.9, 1.0, 1.05]
    paired = [a - b for a, b in zip(one, other, strict=True)]

    found = differences(starts([[a, b] for a, b in zip(one, other, strict=True)]))[0, 1]

    assert found.value == pytest.approx(fmean(paired))
    assert found.scatter == pytest.approx(stdev(paired) / math.sqrt(3))
    assert (found.degrees, found.rounds) == (2, 3)


def test_more_finalists_share_their_variance() -> None:
    """What is left after the means of finalists and rounds is the error of all of them."""
    values = np.array([[1.0, 0.8, 0.3, 0.5], [1.3, 0.9, 0.6, 0.6], [1.1, 1.0, 0.4, 0.7]])
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    variance = float((rest**2).sum()) / 6

    found = differences(starts(values.tolist(), error=0.01))

    assert len(found) == 6
    for (a, b), difference in found.items():
        assert difference.value == pytest.approx(values[:, a].mean() - values[:, b].mean())
        assert difference.scatter == pytest.approx(math.sqrt(2 / 3 * variance))
        assert difference.floor == pytest.approx(0.01 * math.sqrt(2 / 3))
        assert (difference.degrees, difference.rounds) == (6, 3)


def test_a_slow_round_is_taken_off() -> None:
    """A round in which the machine was slow takes nothing from who missed it."""
    finalists, slow = np.array([1.0, 0.7, 0.4]), np.array([0.0, -0.5, 0.1, 0.0])
    values = finalists + slow[:, None]
    values[1, 0] = math.nan

    found = differences(starts(values.tolist()))
    means = adjusted_means(starts(values.tolist()))

    assert list(means.values()) == pytest.approx([0.9, 0.6, 0.3])
    assert found[0, 1].value == pytest.approx(0.3)
    assert found[0, 1].scatter == pytest.approx(0.0, abs=1e-12)
    assert [found[pair].rounds for pair in ((0, 1), (0, 2), (1, 2))] == [3, 3, 4]
    assert found[0, 1].degrees == 11 - (3 + 4 - 1)


def test_one_round_tells_no_variance() -> None:
    """Without a second round, and without any repetition, nothing is compared."""
    assert differences(starts([[1.0, 0.8, 0.3]])) == {}


def test_finalists_that_never_met() -> None:
    """Two that share no round are not compared."""
    values = [[1.0, 0.5, math.nan], [1.2, 0.8, math.nan], [math.nan, 0.7, 0.4]]
    apart = [[1.0, 0.5, math.nan], [1.2, 0.8, math.nan], [math.nan, math.nan, 0.4]]

    assert set(differences(starts(values))) == {(0, 1), (1, 2)}
    assert list(adjusted_means(starts(values))) == [0, 1, 2]
    assert adjusted_means(starts(apart)) == {}


def test_means_of_whole_rounds() -> None:
    """With nothing missing the adjusted mean is the mean."""
    values = [[1.0, 0.5, 0.1], [1.2, 0.8, 0.6], [1.1, 0.7, 0.4], [0.9, 0.6, 0.2]]

    assert list(adjusted_means(starts(values)).values()) == pytest.approx(np.mean(values, axis=0))


def test_the_interval_of_a_mean_covers() -> None:
    """Over many repeated finals, 95 % of the intervals have the true value in them."""
    draws = np.random.default_rng(4).normal(0.0, 0.05, (4000, 3)).tolist()
    found = [mean(each, [0.01] * 3) for each in draws]
    misses = sum(abs(each.value) > each.margin for each in found)

    assert misses / len(draws) == pytest.approx(0.05, abs=0.01)
