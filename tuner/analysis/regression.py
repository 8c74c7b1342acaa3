"""Least squares over configurations, some of which have only an upper bound (pure).

The model is that of a random-effects meta-regression (Berkey et al., Statistics in Medicine 14,
1995): value = design @ coefficients + lack of fit + error. The variance of the errors is known, as
each measurement states it. That of the lack of fit is the same for all, and is estimated from the
residuals: it holds whatever the columns do not explain, interactions and differences between
starts among it. So what does not add up makes intervals wider, not wrong.
"""

import math
from dataclasses import dataclass

import numpy as np

from tuner.analysis.comparison import Estimate
from tuner.numbers.arrays import BoolArray, FloatArray
from tuner.numbers.distributions import normal_hazard

# A singular value below this share of the largest one is zero.
_SINGULAR_ROUNDING = 1e-9
# How far a projection may be from what it projects, absolute, and still be it.
_PROJECTION_ROUNDING = 1e-7
# The fit ends with a step below this, in the unit of the values,
_FIT_PRECISION = 1e-7
# or after this many steps.
_FIT_STEPS = 2000


@dataclass(frozen=True)
class Observations:
    """One row for each of n configurations.

    Attributes:
        design: n x k, one column for each coefficient.
        values: n; what was measured, or the bound that it is below.
        variances: n; of the errors of `values`.
        bounded: n; whether only the bound is known.
    """

    design: FloatArray
    values: FloatArray
    variances: FloatArray
    bounded: BoolArray


class Regression:
    """The fit of `observations`; its estimates are in the unit of the values.

    `degrees` are those of freedom that are left for the lack of fit: without any (0 or less) there
    are no estimates. `spread` is the standard deviation of the lack of fit. `rank` is the number
    of coefficients that the measured rows tell apart.
    """

    def __init__(self, observations: Observations) -> None:
        measured = observations.design[~observations.bounded]
        _, sizes, basis = np.linalg.svd(measured, full_matrices=False)
        kept = sizes > _SINGULAR_ROUNDING * max(sizes.max(initial=0.0), 1.0)
        # Coefficients along these directions, and no others, are known.
        self._basis = basis[kept].T
        self._known = self._basis @ self._basis.T
        self.rank = int(kept.sum())
        self.degrees = float(len(measured) - self.rank)
        self.spread = math.nan
        if self.rank and self.degrees > 0:
            self._fit(self._without_loose(observations))

    def estimable(self, contrast: FloatArray) -> bool:
        """Whether the measured rows tell `contrast` (k) @ coefficients."""
        return bool(np.allclose(self._known @ contrast, contrast, atol=_PROJECTION_ROUNDING))

    def mixed_with(self, column: int) -> tuple[int, ...]:
        """The other columns that a coefficient which is not estimable cannot be told from."""
        shares = np.abs(self._known[column]) > _PROJECTION_ROUNDING
        return tuple(int(n) for n in np.flatnonzero(shares) if n != column)

    def estimate(self, contrast: FloatArray) -> Estimate | None:
        """Of `contrast` (k) @ coefficients; None where it is not estimable.

        Student's t with the variance scaled by the residuals (Knapp and Hartung, Statistics in
        Medicine 22, 2003), but never surer than the errors of the measurements allow.
        """
        if self.degrees <= 0 or not self.estimable(contrast):
            return None
        weights = self._basis.T @ contrast
        variance = float(weights @ self._covariance @ weights)
        return Estimate(
            value=float(weights @ self._position),
            scatter=math.sqrt(self._scale * variance),
            degrees=self.degrees,
            floor=math.sqrt(variance) if self.spread == 0 else 0.0,
        )

    def _without_loose(self, observations: Observations) -> Observations:
        """Without the bounds of what no measured row says anything of: they would fit anything."""
        reached = np.isclose(
            observations.design @ self._known, observations.design, atol=_PROJECTION_ROUNDING
        ).all(axis=1)
        kept = reached | ~observations.bounded
        return Observations(**{name: rows[kept] for name, rows in vars(observations).items()})

    def _fit(self, observations: Observations) -> None:
        """Expectation maximisation for the coefficients, Paule and Mandel for the lack of fit.

        A bound counts as what is expected below it, with the rest of its variance (Tobit's model;
        Dempster, Laird and Rubin, J. R. Statist. Soc. B 39, 1977). The variance of the lack of
        fit makes the weighted squares of the residuals as large as their degrees of freedom
        (Paule and Mandel, J. Res. Natl. Bur. Stand. 87, 1982; DerSimonian and Kacker,
        Contemporary Clinical Trials 28, 2007, for the step).
        """
        rows, measured = observations.design @ self._basis, ~observations.bounded
        # Vague measurements count for less, but no few that seem sure decide alone: an effect is
        # about the average of all configurations, and they differ by more than their errors.
        own = np.maximum(observations.variances, np.median(observations.variances))
        position = np.linalg.lstsq(rows[measured], observations.values[measured], rcond=None)[0]
        residuals = (observations.values - rows @ position)[measured]
        extra, degrees = float(np.mean(residuals**2)), len(rows) - self.rank
        for _ in range(_FIT_STEPS):
            before = position, extra
            deviations = np.sqrt(own + extra)
            values, _, _ = _completed(observations, rows @ position, deviations)
            scaled = rows / deviations[:, None]
            position = np.linalg.solve(scaled.T @ scaled, scaled.T @ (values / deviations))
            _, squares, _ = _completed(observations, rows @ position, deviations)
            step = (squares.sum() - degrees) / (squares / deviations**2).sum()
            extra = max(0.0, extra + float(step))
            if np.abs(position - before[0]).max() + abs(extra - before[1]) < _FIT_PRECISION:
                break
        deviations = np.sqrt(own + extra)
        _, squares, told = _completed(observations, rows @ position, deviations)
        scaled = rows * (np.sqrt(told) / deviations)[:, None]
        self._position = position
        self._covariance = np.linalg.inv(scaled.T @ scaled)
        self._scale = 1.0 if extra else float(squares.sum()) / degrees
        self.spread = math.sqrt(extra)
        self.degrees = float(told.sum()) - self.rank


def _completed(
    observations: Observations, expected: FloatArray, deviations: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What each row counts as, its expected squared residual in units of its variance, its share.

    The share is what it tells of the coefficients: 1 of a measured one; of a bound that the model
    expects it to be below anyway close to 0. Moments of a normal distribution that is cut off
    above (Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions, 13.10).
    """
    gaps = (observations.values - expected) / deviations
    bounded = observations.bounded
    values, squares, told = observations.values.copy(), gaps**2, np.ones(len(gaps))
    pulls = normal_hazard(gaps[bounded])
    values[bounded] = expected[bounded] - deviations[bounded] * pulls
    squares[bounded] = 1 - gaps[bounded] * pulls
    told[bounded] = np.clip(pulls * (pulls + gaps[bounded]), 0.0, 1.0)
    return values, squares, told
