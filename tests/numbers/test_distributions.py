"""Distributions against published tables, closed forms and each other."""

import math

import numpy as np
import pytest

from tuner.numbers.distributions import (
    Z_ONE_SIDED,
    Z,
    incomplete_beta,
    normal_cdf,
    normal_hazard,
    normal_pdf,
    t_cdf,
    t_quantile,
)


@pytest.mark.parametrize(
    ("x", "density", "below"),
    [
        (0.0, 0.39894_22804, 0.50000_00000),
        (0.5, 0.35206_53268, 0.69146_24613),
        (1.0, 0.24197_07245, 0.84134_47461),
        (2.0, 0.05399_09665, 0.97724_98681),
        (3.0, 0.00443_18484, 0.99865_01020),
    ],
)
def test_the_normal_distribution(x: float, density: float, below: float) -> None:
    """Abramowitz and Stegun, table 26.1; the hazard is the ratio of its columns."""
    both = np.array([x, -x])

    assert normal_pdf(both) == pytest.approx([density, density], abs=1e-10)
    assert normal_cdf(both) == pytest.approx([below, 1 - below], abs=1e-10)
    assert normal_hazard(both) == pytest.approx([density / below, density / (1 - below)], rel=1e-6)


def test_normal_quantiles() -> None:
    """Abramowitz and Stegun, table 26.5: beyond them are 2.5 and 5 %."""
    assert pytest.approx(1.95996, abs=5e-6) == Z
    assert pytest.approx(1.64485, abs=5e-6) == Z_ONE_SIDED


def test_the_hazard_far_out() -> None:
    """Where both parts of the ratio underflow it is the asymptote, to which it leads smoothly."""
    near, far, farthest = normal_hazard(np.array([-29.999, -30.001, -1e4]))

    assert far - near == pytest.approx(0.002, rel=0.05)
    assert farthest == pytest.approx(1e4)
    assert normal_hazard(np.array([])).size == 0


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
