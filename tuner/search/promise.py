"""What an untried configuration promises: its expected improvement on the best (pure).

A Gaussian process of the throughput's logarithm (Rasmussen and Williams 2006, algorithm 2.1),
whose kernels are Matern 5/2 with a lengthscale for each parameter, which coordinate ascent of the
marginal likelihood chooses from a few. Half of it is additive (Duvenaud, Nickisch and Rasmussen
2011): what a parameter is worth in one configuration it is mostly worth in others, too, and a few
trials show that. The expected improvement is that of Jones, Schonlau and Welch (1998).
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

import numpy as np

from tuner.numbers.arrays import FloatArray
from tuner.numbers.distributions import normal_cdf
from tuner.records import NOT_ITS_FAULT, TrialRecord, TrialState
from tuner.search.steps import ordinals, share
from tuner.space.space import Configuration, FloatParameter, Parameter, SearchSpace

# The lengthscales to choose from, in domains of a parameter; under the last one it hardly matters.
_LENGTHS = (0.25, 0.5, 1.0, 2.0, 10.0)
# The noises to choose from, in variances of what was measured.
# Noise of a third of the variance is common where starts scatter by a fifth.
_NOISES = (1e-3, 1e-2, 1e-1, 0.3)
# Rounds of the coordinate ascent that chooses.
_SWEEPS = 2
# It looks at this many trials at most,
_MOST_FITTED = 60
# and the prediction rests on no more than this many.
_MOST_KNOWN = 200
# What was not tried may differ by as much as what was, and by this factor (log) at least.
_LEAST_SPREAD = 0.1
# What carries less than this share of the best is no worse.
_LEAST_SHARE = 1e-3
# What failed, or is infeasible, counts as the worst that was measured, or as this share of the
# best if that is less: as nothing at all, it would hide a best one right beside it.
_USELESS = 0.5

_Item = TypeVar("_Item")


class Prospects:
    """What a study may still try: `candidates`."""

    def __init__(self, space: SearchSpace, candidates: Sequence[Configuration]) -> None:
        self._space = space
        self._candidates = tuple(candidates)
        self._features = _features(space, self._candidates)

    def expected(
        self,
        trials: Sequence[TrialRecord],
        tried: Collection[Configuration],
        more: Sequence[Configuration] = (),
    ) -> dict[Configuration, float]:
        """What each candidate, and each one of `more`, promises, but for those that were `tried`.

        The expected improvement on the best of `trials`, as a fraction of its capacity; nothing
        for anybody as long as none is feasible. A pruned trial counts with its bound.
        """
        telling = [t for t in trials if t.reason not in NOT_ITS_FAULT]
        best = max((t.throughput for t in telling if t.state is TrialState.FEASIBLE), default=0.0)
        fresh = np.array([c not in tried for c in self._candidates], dtype=np.bool_)
        left = [c for c, each in zip(self._candidates, fresh, strict=True) if each]
        left += (others := [c for c in more if c not in tried])
        if not best or not left:
            return {}
        known = sorted(zip(_values(telling, best), telling, strict=True), key=lambda k: k[0])
        known = evenly(known, _MOST_KNOWN)
        process = _Process(
            _features(self._space, [t.configuration for _, t in known]),
            np.array([value for value, _ in known]),
        )
        features = np.vstack([self._features[fresh], _features(self._space, others)])
        gains = _improvement(*process.predict(features))
        return dict(zip(left, map(float, gains), strict=True))


def _values(trials: Sequence[TrialRecord], best: float) -> list[float]:
    """The logarithm of the share of the best that each carries."""
    useful = [t.state in (TrialState.FEASIBLE, TrialState.PRUNED) for t in trials]
    measured = [t.throughput for t, each in zip(trials, useful, strict=True) if each]
    useless = min(_USELESS * best, *measured)
    return [
        math.log(max((t.throughput if each else useless) / best, _LEAST_SHARE))
        for t, each in zip(trials, useful, strict=True)
    ]


class _Process:
    """A Gaussian process through `values` at `features` (one row each), fitted to them."""

    def __init__(self, features: FloatArray, values: FloatArray) -> None:
        self._features = features
        self._mean = values.mean()
        self._scale = max(float(values.std()), _LEAST_SPREAD)
        standard = (values - self._mean) / self._scale
        few = evenly(range(len(values)), _MOST_FITTED)
        self._lengths, self._noise = _fitted(features[few], standard[few])
        covariance = self.kernel(features, features) + self._noise * np.eye(len(values))
        self._precision = np.linalg.inv(covariance)
        self._weights = self._precision @ standard

    def kernel(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """How much alike each row of `left` is to each one of `right`, from 0 to 1."""
        return _likeness(_squares(left, right), self._lengths)

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The mean and the standard deviation of what would be measured there without noise."""
        cross = self.kernel(features, self._features)
        variance = 1 - np.einsum("ij,ij->i", cross @ self._precision, cross)
        deviation = self._scale * np.sqrt(np.maximum(variance, 1e-9))
        return self._mean + self._scale * (cross @ self._weights), deviation


def _fitted(features: FloatArray, values: FloatArray) -> tuple[FloatArray, float]:
    """The lengthscales and the noise under which `values` are most likely."""
    squares = _squares(features, features)
    columns = features.shape[1]
    chosen = [_LENGTHS.index(1.0)] * columns + [1]
    choices = [_LENGTHS] * columns + [_NOISES]

    def likelihood(which: Sequence[int]) -> float:
        lengths = np.array([_LENGTHS[each] for each in which[:-1]])
        covariance = _likeness(squares, lengths)
        covariance[np.diag_indices_from(covariance)] += _NOISES[which[-1]]
        factor = np.linalg.cholesky(covariance)
        solved = np.linalg.solve(factor, values)
        # As long as little is known, a parameter matters as much as another: a weak prior.
        prior = (np.log(lengths) ** 2).sum()
        return float(-0.5 * (solved @ solved + prior) - np.log(np.diag(factor)).sum())

    best = likelihood(chosen)
    for _ in range(_SWEEPS):
        for at, options in enumerate(choices):
            for option in range(len(options)):
                tried = [*chosen[:at], option, *chosen[at + 1 :]]
                if (found := likelihood(tried)) > best:
                    best, chosen = found, tried
    return np.array([_LENGTHS[each] for each in chosen[:-1]]), _NOISES[chosen[-1]]


def _squares(left: FloatArray, right: FloatArray) -> FloatArray:
    """Of the difference of each row to each other one, column by column."""
    differences: FloatArray = left[:, None, :] - right[None, :, :]
    return np.square(differences)


def _likeness(squares: FloatArray, lengths: FloatArray) -> FloatArray:
    """Half by all parameters together, half by each alone; squares of differences, in columns."""
    scaled = squares / lengths**2
    together: FloatArray = _matern(scaled.sum(axis=-1))
    alone: FloatArray = _matern(scaled).mean(axis=-1)
    return (together + alone) / 2


def _matern(squares: FloatArray) -> FloatArray:
    """The Matern 5/2 kernel of squared distances."""
    scaled = np.sqrt(5 * np.maximum(squares, 0.0))
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def _improvement(mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """E[max(0, exp(x) - 1)] of a normal x."""
    z = mean / deviation
    grown = np.exp(mean + deviation**2 / 2) * normal_cdf(z + deviation)
    return np.maximum(grown - normal_cdf(z), 0.0)


def _features(space: SearchSpace, configurations: Sequence[Configuration]) -> FloatArray:
    """One row for each configuration: its parameters from 0 to 1, a column for each name."""
    rows = [
        [each for p in space.parameters for each in _columns(p, configuration)]
        for configuration in configurations
    ]
    width = sum(1 for p in space.parameters for _ in _columns(p, space.defaults))
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def _columns(parameter: Parameter, configuration: Configuration) -> Iterator[float]:
    """What is not there is as the lowest, or the first, value."""
    value = configuration.get(parameter.name)
    ordered = ordinals(parameter)
    if ordered is not None:
        yield 0.0 if value is None else ordered.index(value) / max(1, len(ordered) - 1)
    elif isinstance(parameter, FloatParameter):
        yield 0.0 if value is None else share(parameter, float(value))
    else:
        yield from (float(value == choice) for choice in (parameter.choices or ())[1:])


def evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most `most` of them, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[at] for at in np.linspace(0, len(items) - 1, most).round().astype(int)]
