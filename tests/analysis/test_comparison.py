"""Student's t, Holm's correction, means over starts, and differences within rounds."""

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
    incomplete_beta,
    mean,
    t_cdf,
    t_quantile,
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


@pytest.mark.parametrize(
    ("share", "degrees", "expected"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 6, 2.447),
        (0.975, 10, 2.228),
        (0.975, 19, 2.093),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.975, math.inf, 1.960),
        (0.95, 2, 2.920),
        (0.95, 8, 1.860),
        (0.995, 4, 4.604),
        (0.9995, 5, 6.869),
        (0.6, 1, 0.325),
    ],
)
def test_quantiles_of_student_s_t(share: float, degrees: float, expected: float) -> None:
    """The quantiles are those of Abramowitz and Stegun, table 26.10, and the signs mirror them."""
    assert t_quantile(share, degrees) == pytest.approx(expected, abs=5.1e-4)
    assert t_quantile(1 - share, degrees) == pytest.approx(-expected, abs=5.1e-4)


@pytest.mark.parametrize("t", [-40.0, -3.0, -0.1, 0.0, 0.7, 2.0, 12.0])
def test_closed_forms_of_student_s_t(t: float) -> None:
    """With one and with two degrees of freedom the distribution has a closed form."""
    assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, rel=1e-9)
    assert t_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), rel=1e-9)


def test_the_far_tail_keeps_its_digits() -> None:
    """Far out the probability is small, and not zero."""
    assert t_cdf(-1e6, 2) == pytest.approx(0.5e-12, rel=1e-5)
    assert t_cdf(-10.0, math.inf) == pytest.approx(7.62e-24, rel=1e-3)
    assert t_cdf(-math.inf, 4) == 0.0
    assert t_cdf(math.inf, 4) == 1.0


@pytest.mark.parametrize("degrees", [1, 2, 5, 60, 5000, math.inf])
def test_the_quantile_is_the_inverse_of_the_distribution(degrees: float) -> None:
    """Whatever the degrees of freedom; with many of them it is nearly the normal one."""
    for share in (0.0005, 0.3, 0.5, 0.9, 0.999):
        assert t_cdf(t_quantile(share, degrees), degrees) == pytest.approx(share, rel=1e-9)
    assert t_quantile(0.975, 5000) == pytest.approx(1.9604, abs=1e-4)


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.2, 0.5, 0.93, 1.0])
def test_the_incomplete_beta_function(x: float) -> None:
    """Known values: powers where one exponent is 1, and the mirror of the other side."""
    assert incomplete_beta(3.5, 1, x) == pytest.approx(x**3.5)
    assert incomplete_beta(1, 4, x) == pytest.approx(1 - (1 - x) ** 4)
    assert incomplete_beta(7, 0.5, x) + incomplete_beta(0.5, 7, 1 - x) == pytest.approx(1)
    # 10 heads or more of 20 coins is I_p(10, 11), a sum of binomial terms.
    heads = sum(math.comb(20, n) * x**n * (1 - x) ** (20 - n) for n in range(10, 21))
    assert incomplete_beta(10, 11, x) == pytest.approx(heads)


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
