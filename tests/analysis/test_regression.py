"""The regression of capacities: against what is known on paper, with bounds and without."""

import itertools
import math

import numpy as np
import pytest

from tests.analysis.known import known
from tuner.analysis.regression import Observations, Regression
from tuner.numbers.arrays import FloatArray
from tuner.numbers.distributions import Z, t_quantile

FACTORIAL = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
VALUES = np.array([5.0, 5.1, 4.8, 5.2, 5.5, 5.4, 5.6, 5.9])


def observations(
    factors: FloatArray,
    values: FloatArray,
    *,
    error: float = 0.001,
    bounded: tuple[int, ...] = (),
) -> Observations:
    """An intercept and a column for each factor; the same error everywhere."""
    design = np.hstack([np.ones((len(factors), 1)), factors])
    marked = np.isin(np.arange(len(values)), bounded)
    return Observations(design, values, np.full(len(values), error**2), marked)


def unit(number: int, length: int = 4) -> FloatArray:
    return np.array([float(number == each) for each in range(length)])


@pytest.mark.parametrize("factor", [0, 1, 2])
def test_a_full_factorial_gives_the_classical_main_effects(factor: int) -> None:
    """The difference of two means, with the residuals' variance on n - 4 degrees of freedom."""
    fit = Regression(observations(FACTORIAL, VALUES))
    found = known(fit.estimate(unit(factor + 1)))

    high, low = VALUES[FACTORIAL[:, factor] == 1], VALUES[FACTORIAL[:, factor] == 0]
    signs = 2 * FACTORIAL - 1
    fitted = VALUES.mean() + signs @ (signs.T @ VALUES) / 8
    variance = float(((VALUES - fitted) ** 2).sum()) / 4
    assert found.value == pytest.approx(high.mean() - low.mean())
    assert found.scatter == pytest.approx(math.sqrt(variance * (1 / 4 + 1 / 4)), rel=1e-5)
    assert found.degrees == 4
    assert found.margin == pytest.approx(t_quantile(0.975, 4) * found.scatter)


def test_nothing_is_surer_than_its_measurements() -> None:
    """Values that happen to add up have at least the error that the measurements state."""
    fit = Regression(observations(FACTORIAL, 5 + 0.3 * FACTORIAL[:, 0], error=0.1))
    found = known(fit.estimate(unit(1)))

    assert fit.spread == 0
    assert found.margin == pytest.approx(Z * 0.1 * math.sqrt(1 / 4 + 1 / 4))


def test_values_without_any_error() -> None:
    """A perfect fit has an effect and hardly an interval."""
    fit = Regression(observations(FACTORIAL, 5 + 0.3 * FACTORIAL[:, 0], error=1e-4))
    found = known(fit.estimate(unit(1)))

    assert found.value == pytest.approx(0.3)
    assert found.margin < 0.001


def test_vague_measurements_count_for_less() -> None:
    """One value that is far off and says so hardly moves the effects."""
    off = VALUES + np.eye(8)[0] * 3
    sure = observations(FACTORIAL, off)
    variances = np.where(np.arange(8) == 0, 9.0, sure.variances)
    vague = Observations(sure.design, off, variances, sure.bounded)

    found, plain = (known(Regression(each).estimate(unit(1))) for each in (vague, sure))

    assert abs(found.value - 0.575) < 0.15 < abs(plain.value - 0.575)


def test_a_bound_far_above_says_nothing() -> None:
    """A configuration that is below what nobody expects of it anyway leaves all as it is."""
    without = Regression(observations(FACTORIAL[1:], VALUES[1:]))
    with_bound = Regression(observations(FACTORIAL, VALUES + 9 * np.eye(8)[0], bounded=(0,)))

    one, other = (known(each.estimate(unit(1))) for each in (without, with_bound))

    assert other.value == pytest.approx(one.value, abs=1e-4)
    assert other.margin == pytest.approx(one.margin, rel=0.01)
    assert other.degrees == pytest.approx(3)


def test_a_low_bound_pulls_the_effect_down() -> None:
    """A bound below what the others promise is counted, though not as a measurement."""
    low = VALUES - 2 * np.eye(8)[7]
    bound, exact, dropped = (
        known(Regression(each).estimate(unit(1))).value
        for each in (
            observations(FACTORIAL, low, bounded=(7,)),
            observations(FACTORIAL, low),
            observations(FACTORIAL[:7], VALUES[:7]),
        )
    )

    assert bound < exact < dropped


def test_the_likelihood_of_bounds_is_at_its_highest() -> None:
    """With the spread that was found, no other coefficients make the data more likely (Tobit)."""
    random = np.random.default_rng(5)
    factors = random.integers(0, 2, (40, 2)).astype(float)
    values = 5 + factors @ [0.5, -0.3] + random.normal(0, 0.2, 40)
    bounded = tuple(int(n) for n in np.flatnonzero(values < 4.9))
    seen = observations(factors, np.maximum(values, 4.9), error=0.05, bounded=bounded)
    fit = Regression(seen)
    found = [fit.estimate(unit(n, 3)) for n in range(3)]
    best = np.array([each.value for each in found if each])

    def likelihood(coefficients: FloatArray) -> float:
        gaps = (seen.values - seen.design @ coefficients) / math.hypot(fit.spread, 0.05)
        tails = [math.log(math.erfc(-g / math.sqrt(2)) / 2) for g in gaps[seen.bounded]]
        return sum(tails) - float((gaps[~seen.bounded] ** 2).sum()) / 2

    for n, sign in itertools.product(range(3), (-1, 1)):
        assert likelihood(best + sign * 0.01 * unit(n, 3)) < likelihood(best)


def test_bounds_alone_say_nothing_of_a_column() -> None:
    """What only bounded rows have could be as low as one likes: there is no estimate of it."""
    factors = np.hstack([FACTORIAL, np.zeros((8, 1))])
    rows = np.vstack([factors, [1, 1, 1, 1]])
    fit = Regression(observations(rows, np.append(VALUES, 4.0), bounded=(8,)))
    plain = Regression(observations(FACTORIAL, VALUES))

    assert fit.estimate(unit(4, 5)) is None
    one, other = known(fit.estimate(unit(1, 5))), known(plain.estimate(unit(1)))
    assert one.value == pytest.approx(other.value)


def test_columns_that_go_together_are_named() -> None:
    """Two factors that were only changed together have no estimates; the third has one."""
    factors = FACTORIAL[FACTORIAL[:, 0] == FACTORIAL[:, 1]]
    fit = Regression(observations(factors, VALUES[FACTORIAL[:, 0] == FACTORIAL[:, 1]]))

    assert not fit.estimable(unit(1))
    assert fit.mixed_with(1) == (2,)
    assert fit.estimate(unit(1)) is None
    assert fit.estimate(unit(1) + unit(2)) is not None
    assert fit.estimate(unit(3)) is not None


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_too_few_rows_give_no_estimates(rows: int) -> None:
    """Without a degree of freedom nothing tells the spread, and so nothing is said."""
    chosen = [0, 1, 2, 4][:rows]
    fit = Regression(observations(FACTORIAL[chosen], VALUES[chosen]))

    assert fit.degrees <= 0
    assert math.isnan(fit.spread)
    assert fit.estimate(unit(1)) is None
