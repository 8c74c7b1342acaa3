"""What a run of the load engine saw, and the one definition of a percentile.

Latencies are seconds from the moment a request was due (open loop: the intended send time) to the
end of its answer. A request that failed in any way has the latency infinity; one that was still
unanswered when the run gave up counts with its age, which it has reached at least.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tuner.load.profile import LoadProfile, LoadRun, OpenLoop

FloatArray = NDArray[np.float64]

PENDING, SUCCESS = 0, 1
# Histogram bins per factor of two: a bin is 0.54 % wide.
_BINS_PER_OCTAVE = 128
_SMALLEST_S = 1e-6


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Raw results, one entry per request; moments are seconds of the monotonic clock.

    `sent_s` is when the engine wrote the request, or, in an open loop without a free connection,
    handed it to the next one.

    `outcomes` holds PENDING, SUCCESS or 2 + the position in `error_kinds`.
    """

    start_s: float
    end_s: float
    gave_up_s: float
    due_s: FloatArray
    sent_s: FloatArray
    done_s: FloatArray
    outcomes: NDArray[np.uint8]
    error_kinds: tuple[str, ...]
    engine_cpu_s: float
    engine_wall_s: float
    priority: str
    stopped_early: str


@dataclass(frozen=True)
class Histogram:
    """Counts of latencies in bins of equal ratio (0.54 %), and of requests without an answer."""

    counts: Mapping[int, int]
    failures: int

    @classmethod
    def of(cls, latencies_s: FloatArray) -> Self:
        answered = latencies_s[np.isfinite(latencies_s)]
        scaled = np.maximum(answered, _SMALLEST_S) / _SMALLEST_S
        bins, counts = np.unique(
            (np.log2(scaled) * _BINS_PER_OCTAVE).astype(np.int64), return_counts=True
        )
        failures = len(latencies_s) - len(answered)
        return cls(dict(zip(bins.tolist(), counts.tolist(), strict=True)), failures)

    @property
    def count(self) -> int:
        return sum(self.counts.values()) + self.failures

    def percentile(self, q: float) -> float:
        """As `percentile` of the latencies, to the width of a bin (its upper edge, in seconds)."""
        rank, seen = _rank(q, self.count), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return float(_SMALLEST_S * 2.0 ** ((index + 1) / _BINS_PER_OCTAVE))
        return math.inf


def percentile(sorted_values: FloatArray, q: float) -> float:
    """The smallest value that at least `q` percent of the values do not exceed (nearest rank).

    No interpolation: the result is a latency that a request had (Hyndman and Fan 1996, type 1).
    `sorted_values` is ascending and not empty; 0 < q <= 100.
    """
    return float(sorted_values[_rank(q, len(sorted_values)) - 1])


def _rank(q: float, count: int) -> int:
    # The rounding keeps 99 % of 300 at rank 297 where floats say 297.00000000000006.
    return max(1, math.ceil(round(q / 100 * count, 6)))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One load point. Rates are per second; `throughput` counts inferences, not requests.

    `due_s` are offsets from the start of the run and belong to `latencies_s`, entry by entry.
    `errors` counts the requests that failed, by kind:

    - `http_503` and the like: an answer with another status than 200;
    - `bad_response`: bytes that are no HTTP/1.1 response, or go on after its end;
    - `connection_lost`: the server closed the connection before the answer was complete;
    - `connection_refused`, `connect_timeout`, `connect_failed`: there was no connection to be had;
    - `timeout`: no answer within the run's `timeout_s`.
    """

    profile: LoadProfile
    duration_s: float
    inferences_per_request: int
    throughput: float
    requests: int
    errors: Mapping[str, int]
    unanswered: int
    send_lag_p99_s: float
    engine_cpu_s: float
    engine_wall_s: float
    priority: str
    stopped_early: str
    due_s: FloatArray
    latencies_s: FloatArray

    @classmethod
    def of(cls, run: LoadRun, record: RunRecord, inferences_per_request: int) -> Self:
        duration_s = record.end_s - record.start_s
        success = record.outcomes == SUCCESS
        in_time = success & (record.done_s <= record.end_s)
        kinds, counts = np.unique(record.outcomes[record.outcomes > SUCCESS], return_counts=True)
        return cls(
            profile=run.profile,
            duration_s=duration_s,
            inferences_per_request=inferences_per_request,
            throughput=float(in_time.sum()) * inferences_per_request / duration_s,
            requests=len(success),
            errors={
                record.error_kinds[kind - 2]: int(count)
                for kind, count in zip(kinds, counts, strict=True)
            },
            unanswered=int((record.outcomes == PENDING).sum()),
            send_lag_p99_s=_send_lag_p99(run.profile, record),
            engine_cpu_s=record.engine_cpu_s,
            engine_wall_s=record.engine_wall_s,
            priority=record.priority,
            stopped_early=record.stopped_early,
            due_s=record.due_s - record.start_s,
            latencies_s=_latencies(record),
        )

    @cached_property
    def sorted_latencies_s(self) -> FloatArray:
        return np.sort(self.latencies_s)

    @cached_property
    def histogram(self) -> Histogram:
        return Histogram.of(self.latencies_s)

    def percentile(self, q: float) -> float:
        """Latency percentile in seconds; infinity where too many requests failed, or none ran."""
        return percentile(self.sorted_latencies_s, q) if self.requests else math.inf

    @property
    def mean_s(self) -> float:
        """Mean latency of the requests that were answered; NaN if none was."""
        answered = self.latencies_s[np.isfinite(self.latencies_s)]
        return float(answered.mean()) if len(answered) else math.nan

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def engine_cpu_per_request_s(self) -> float:
        return self.engine_cpu_s / self.requests if self.requests else math.nan


def _latencies(record: RunRecord) -> FloatArray:
    latencies = record.done_s - record.due_s
    latencies[record.outcomes > SUCCESS] = math.inf
    pending = record.outcomes == PENDING
    latencies[pending] = record.gave_up_s - record.due_s[pending]
    return latencies


def _send_lag_p99(profile: LoadProfile, record: RunRecord) -> float:
    """How late the engine itself was; waiting for a connection is the server's share."""
    if not isinstance(profile, OpenLoop) or not len(record.sent_s):
        return 0.0
    return percentile(np.sort(record.sent_s - record.due_s), 99)
