"""Counts of latencies, and the one definition of a percentile."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Histogram bins per factor of two: a bin is 0.54 % wide.
_BINS_PER_OCTAVE = 128
# The lower edge of the first bin, in seconds.
_SMALLEST_S = 1e-6
# 40 factors of two from 1 us are 12 days.
BINS = 40 * _BINS_PER_OCTAVE


def bins_of(durations_s: FloatArray) -> IntArray:
    """The histogram bin of each duration."""
    scaled = np.log2(np.maximum(durations_s, _SMALLEST_S) / _SMALLEST_S)
    bins: IntArray = np.minimum((scaled * _BINS_PER_OCTAVE).astype(np.int64), BINS - 1)
    return bins


@dataclass(frozen=True)
class Histogram:
    """Counts of latencies in bins of equal ratio (0.54 %), and of requests without an answer."""

    counts: Mapping[int, int]
    failures: int

    @classmethod
    def of(cls, latencies_s: FloatArray) -> Self:
        answered = latencies_s[np.isfinite(latencies_s)]
        counts = np.bincount(bins_of(answered), minlength=BINS)
        return cls.of_counts(counts, len(latencies_s) - len(answered))

    @classmethod
    def of_known(cls, times_s: FloatArray) -> Self | None:
        """Without what is NaN; None where all of it is."""
        known = times_s[~np.isnan(times_s)]
        return cls.of(known) if len(known) else None

    @classmethod
    def of_counts(cls, counts: IntArray, failures: int) -> Self:
        """From the count of every bin."""
        used = np.flatnonzero(counts)
        return cls(dict(zip(used.tolist(), counts[used].tolist(), strict=True)), failures)

    @classmethod
    def pooled(cls, parts: Sequence[Self]) -> Self:
        """All that any of them counted."""
        counts = sum((Counter(part.counts) for part in parts), Counter())
        return cls(dict(counts), sum(part.failures for part in parts))

    @property
    def count(self) -> int:
        return sum(self.counts.values()) + self.failures

    def percentile(self, q: float) -> float:
        """As `percentile` of the latencies, to the width of a bin (its upper edge, in seconds)."""
        rank, seen = _rank(q, self.count), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return _upper_edge_s(index)
        return math.inf

    def within(self, limit_s: float) -> int:
        """How many latencies are at most `limit_s`, to the width of a bin."""
        return sum(n for index, n in self.counts.items() if _upper_edge_s(index) <= limit_s)


def _upper_edge_s(index: int) -> float:
    return float(_SMALLEST_S * 2.0 ** ((index + 1) / _BINS_PER_OCTAVE))


def percentile(sorted_values: FloatArray, q: float) -> float:
    """The smallest value that at least `q` percent of the values do not exceed (nearest rank).

    No interpolation: the result is a latency that a request had (Hyndman and Fan 1996, type 1).
    `sorted_values` is ascending and not empty; 0 < q <= 100.
    """
    return float(sorted_values[_rank(q, len(sorted_values)) - 1])


def _rank(q: float, count: int) -> int:
    # The rounding keeps 99 % of 300 at rank 297 where floats say 297.00000000000006.
    return max(1, math.ceil(round(q / 100 * count, 6)))
