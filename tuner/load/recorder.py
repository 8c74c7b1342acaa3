"""Counts finished requests in memory that does not grow with their number.

Requests are collected in small blocks; a full block is folded into a histogram and thinned into
a sample. The sample is every request until there are more than `MOST_SAMPLES`; then every second
one is dropped from it, and from there on only every second request is added, and so on.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

from tuner.load.histogram import BINS, FloatArray, bins_of
from tuner.load.measurement import RunRecord

# Requests that are kept one by one: 3 MiB of times in all.
MOST_SAMPLES = 1 << 17
# Requests in a block. Folding it takes the event loop some 50 us: that must not be seen as lag.
_BLOCK = 1024

# Outcomes of a request; every kind of failure gets a number after these.
PENDING = 0
SUCCESS = 1


class Recorder:
    """Moments are seconds of the monotonic clock; `open_loop` says whether sends can be late.

    With `streamed` an answer is any number of responses, and `add_first` is told of the first.
    """

    def __init__(self, *, open_loop: bool, streamed: bool = False) -> None:
        self._open_loop = open_loop
        self._due = array("d")
        self._sent = array("d")
        self._done = array("d")
        self._firsts = array("d")
        self._outcomes = bytearray()
        self._kinds: dict[str, int] = {}
        self._outcome_counts = np.zeros(256, dtype=np.int64)
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._lag_counts = np.zeros(BINS if open_loop else 0, dtype=np.int64)
        self._first_counts = np.zeros(BINS if streamed else 0, dtype=np.int64)
        self._latency_sum_s = self._square_sum = 0.0
        # Due times, latencies and send lags, a row each; a column is a request.
        self._samples: list[FloatArray] = [np.empty((3, 0))]
        self._sample_count = self._requests = self._late = 0
        self._stride = 1
        self._end_s = np.inf

    def add(self, due_s: float, sent_s: float, done_s: float, outcome: int = SUCCESS) -> None:
        """One request that ended at `done_s`."""
        self._due.append(due_s)
        self._sent.append(sent_s)
        self._done.append(done_s)
        self._outcomes.append(outcome)
        if len(self._outcomes) == _BLOCK:
            self._fold()

    def add_first(self, latency_s: float) -> None:
        """The first response to a request that was answered, so long after it was due."""
        self._firsts.append(latency_s)
        if len(self._firsts) == _BLOCK:
            self._fold_firsts()

    def add_failure(self, due_s: float, sent_s: float, done_s: float, kind: str) -> None:
        """One request that failed as `kind`."""
        self.add(
            due_s, sent_s, done_s, self._kinds.setdefault(kind, len(self._kinds) + SUCCESS + 1)
        )

    def slower_than(self, limit_s: float) -> int:
        """How many requests failed so far, or took longer; to half a percent of the limit."""
        self._fold()
        slow = int(self._counts[int(bins_of(np.array([limit_s]))[0]) + 1 :].sum())
        return slow + int(self._outcome_counts[SUCCESS + 1 :].sum())

    def ends_at(self, end_s: float) -> None:
        """What is answered after `end_s` is not in time."""
        self._fold()
        self._end_s = end_s

    def record(self, *, start_s: float, end_s: float) -> RunRecord:
        """All of it; the caller adds what it knows of its process."""
        self._fold()
        self._fold_firsts()
        due_s, latencies_s, lags_s = np.concatenate(self._samples, axis=1)
        counts = self._outcome_counts
        answered = int(counts[SUCCESS])
        return RunRecord(
            start_s=start_s,
            end_s=end_s,
            requests=self._requests,
            in_time=answered - self._late,
            failures=self._requests - answered - int(counts[PENDING]),
            unanswered=int(counts[PENDING]),
            errors={kind: int(counts[outcome]) for kind, outcome in self._kinds.items()},
            counts=self._counts,
            lag_counts=self._lag_counts,
            first_counts=self._first_counts,
            latency_sum_s=self._latency_sum_s,
            square_sum=self._square_sum,
            due_s=due_s,
            latencies_s=latencies_s,
            lags_s=lags_s,
            sample_stride=self._stride,
        )

    def _fold(self) -> None:
        due_s, sent_s, done_s = (np.array(each) for each in (self._due, self._sent, self._done))
        outcomes = np.frombuffer(bytes(self._outcomes), dtype=np.uint8)
        for column in (self._due, self._sent, self._done):
            del column[:]
        self._outcomes.clear()
        self.add_block(due_s, sent_s, done_s, outcomes)

    def _fold_firsts(self) -> None:
        if self._firsts:
            self._first_counts += np.bincount(bins_of(np.array(self._firsts)), minlength=BINS)
            del self._firsts[:]

    def add_block(
        self,
        due_s: FloatArray,
        sent_s: FloatArray,
        done_s: FloatArray,
        outcomes: NDArray[np.uint8],
    ) -> None:
        """Many requests at once, entry by entry."""
        latencies_s = done_s - due_s
        failed = outcomes > SUCCESS
        finite = latencies_s[~failed]
        latencies_s[failed] = np.inf
        self._outcome_counts += np.bincount(outcomes, minlength=256)
        self._late += int(np.count_nonzero((outcomes == SUCCESS) & (done_s > self._end_s)))
        self._counts += np.bincount(bins_of(finite), minlength=BINS)
        self._latency_sum_s += float(finite.sum())
        self._square_sum += float((finite**2).sum())
        lags_s = sent_s - due_s
        if self._open_loop:
            self._lag_counts += np.bincount(bins_of(lags_s), minlength=BINS)
        self._sample(due_s, latencies_s, lags_s)

    def _sample(self, *block: FloatArray) -> None:
        first = -self._requests % self._stride
        self._requests += len(block[0])
        # Copies: a view would keep the whole block alive.
        self._samples.append(np.stack([column[first :: self._stride] for column in block]))
        self._sample_count += self._samples[-1].shape[1]
        while self._sample_count > MOST_SAMPLES:
            self._samples = [np.concatenate(self._samples, axis=1)[:, ::2].copy()]
            self._sample_count = self._samples[0].shape[1]
            self._stride *= 2
