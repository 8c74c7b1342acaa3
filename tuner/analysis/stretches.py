"""How fast a host is beside those like it: what its canaries say, drawn to their mean (pure)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.analysis import drift
from tuner.analysis.drift import Block
from tuner.numbers.arrays import FloatArray
from tuner.records import TrialRecord

# How much hosts differ that are not proved unequal (standard deviation of the log), as long as
# there are too few to tell. Sinha et al. found a whole range of 8 %: this is on the wide side.
USUAL_LOG_SPREAD = 0.06
# This many hosts tell of the fleet at hand, beside that number, which counts as as many.
_HOSTS_FOR_SPREAD = 6


@dataclass(frozen=True)
class Stretch:
    """Repeats of the baseline on one host, at one speed: the `mean` of their logarithms."""

    first: TrialRecord
    last: TrialRecord
    mean: float
    count: int


def stretches_of(
    repeats: Sequence[TrialRecord], log_speeds: FloatArray, error: float, hosts: int
) -> Iterator[Stretch]:
    """Those of one of so many hosts, in their order."""
    starts = drift.block_starts(log_speeds, error, hosts)
    for start, part in zip(starts, np.split(log_speeds, starts[1:]), strict=True):
        last = repeats[start + len(part) - 1]
        yield Stretch(repeats[start], last, float(part.mean()), len(part))


@dataclass(frozen=True)
class Population:
    """The log speeds of hosts that are alike: their mean and standard deviation."""

    mean: float
    spread: float


def population(stretches: Sequence[Stretch], error: float) -> Population:
    """From the moments of DerSimonian and Laird (Controlled Clinical Trials 7, 1986).

    Beside them stands the usual spread, which counts as six hosts.
    """
    means = np.array([each.mean for each in stretches])
    weights = np.array([each.count for each in stretches]) / error**2
    degrees, between = len(stretches) - 1, 0.0
    if degrees:
        squares = weights @ (means - np.average(means, weights=weights)) ** 2
        share = weights.sum() - (weights**2).sum() / weights.sum()
        between = max(0.0, float((squares - degrees) / share))
    usual = _HOSTS_FOR_SPREAD * USUAL_LOG_SPREAD**2
    variance = (usual + degrees * between) / (_HOSTS_FOR_SPREAD + degrees)
    whole = 1 / (variance + 1 / weights)
    return Population(float(np.average(means, weights=whole)), math.sqrt(variance))


def block(stretch: Stretch, population: Population | None, error: float) -> Block:
    """Its speed, drawn towards that of the population, by a standard error at most."""
    own = error / math.sqrt(stretch.count)
    if population is None:
        return Block(stretch.first, stretch.last, stretch.mean, own)
    kept = population.spread**2 / (population.spread**2 + own**2)
    move = (1 - kept) * (stretch.mean - population.mean)
    if abs(move) > own:
        kept, move = 1.0, math.copysign(own, move)
    return Block(stretch.first, stretch.last, stretch.mean - move, own * math.sqrt(kept))
