"""Counts finished requests in memory that does not grow with their number.

Requests are collected in small blocks; a full block is folded into a histogram and thinned into
a sample. The sample is every request until there are more than `MOST_SAMPLES`; then every second
one is dropped from it, and from there on only every second request is added, and so on.
"""

import math
from array import array

import numpy as np
from numpy.typing import NDArray

from tuner.goals import AnswerLimits
from tuner.load.histogram import BINS, FloatArray, bins_of
from tuner.load.measurement import RunRecord
from tuner.load.tokens import TokenCounter

# Requests that are kept one by one: 3 MiB of times in all.
MOST_SAMPLES = 1 << 17
# Requests in a block. Folding it takes the event loop some 50 us: that must not be seen as lag.
_BLOCK = 1024

# Outcomes of a request; every kind of failure gets a number after these.
PENDING = 0
SUCCESS = 1


class Recorder:
    """Moments are seconds of the monotonic clock; `open_loop` says whether sends can be late.

    With `streamed` an answer comes in several parts; with `tokens` they are made of output tokens,
    which the counter `tokens` is told of, and `limits` say what is judged of them.
    """

    def __init__(
        self,
        *,
        open_loop: bool,
        streamed: bool = False,
        tokens: bool = False,
        limits: AnswerLimits | None = None,
    ) -> None:
        self._open_loop = open_loop
        self._due = array("d")
        self._sent = array("d")
        self._done = array("d")
        # Of streamed answers: when the first part came, and the mean time between two tokens.
        self._streamed = streamed
        self._limits = limits
        self._firsts = array("d")
        self._itls = array("d")
        self.tokens = TokenCounter() if tokens else None
        self._outcomes = bytearray()
        self._kinds: dict[str, int] = {}
        self._outcome_counts = np.zeros(256, dtype=np.int64)
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._lag_counts = np.zeros(BINS if open_loop else 0, dtype=np.int64)
        self._first_counts = np.zeros(BINS if streamed else 0, dtype=np.int64)
        self._latency_sum_s = self._square_sum = 0.0
        # Due times, latencies and send lags, a row each, and where answers are streamed the times
        # to first parts, between tokens and to the end; a column is a request.
        self._samples: list[FloatArray] = [np.empty((6 if streamed else 3, 0))]
        self._sample_count = self._requests = self._late = 0
        self._stride = 1
        self._end_s = np.inf

    def add(
        self,
        due_s: float,
        sent_s: float,
        done_s: float,
        outcome: int = SUCCESS,
        first_s: float = math.nan,
        itl_s: float = math.nan,
    ) -> None:
        """One request that ended at `done_s`.

        The first part of its answer came at `first_s`; between its tokens were `itl_s` on average.
        """
        self._due.append(due_s)
        self._sent.append(sent_s)
        self._done.append(done_s)
        if self._streamed:
            self._firsts.append(first_s)
            self._itls.append(itl_s)
        self._outcomes.append(outcome)
        if len(self._outcomes) == _BLOCK:
            self._fold()

    def add_failure(self, due_s: float, sent_s: float, done_s: float, kind: str) -> None:
        """One request that failed as `kind`."""
        outcome = self._kinds.setdefault(kind, len(self._kinds) + SUCCESS + 1)
        self.add(due_s, sent_s, done_s, outcome)

    def slower_than(self, limit_s: float) -> int:
        """How many requests failed so far, or took longer; to half a percent of the limit."""
        self._fold()
        slow = int(self._counts[int(bins_of(np.array([limit_s]))[0]) + 1 :].sum())
        return slow + int(self._outcome_counts[SUCCESS + 1 :].sum())

    def ends_at(self, end_s: float) -> None:
        """What is answered after `end_s` is not in time."""
        self._fold()
        self._end_s = end_s
        if self.tokens:
            self.tokens.ends_at(end_s)

    def record(self, *, start_s: float, end_s: float) -> RunRecord:
        """All of it; the caller adds what it knows of its process."""
        self._fold()
        due_s, latencies_s, lags_s, *streamed = np.concatenate(self._samples, axis=1)
        ttfts_s, itls_s, wholes_s = streamed or [np.empty(0)] * 3
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
            ttfts_s=ttfts_s,
            itls_s=itls_s,
            wholes_s=wholes_s,
            tokens=self.tokens.record() if self.tokens else None,
            sample_stride=self._stride,
        )

    def _fold(self) -> None:
        columns = (self._due, self._sent, self._done, self._firsts, self._itls)
        due_s, sent_s, done_s, firsts_s, itls_s = (np.array(each) for each in columns)
        outcomes = np.frombuffer(bytes(self._outcomes), dtype=np.uint8)
        for column in columns:
            del column[:]
        self._outcomes.clear()
        parts = (firsts_s - due_s, itls_s) if self._streamed else ()
        self.add_block(due_s, sent_s, done_s, outcomes, *parts)

    def add_block(
        self,
        due_s: FloatArray,
        sent_s: FloatArray,
        done_s: FloatArray,
        outcomes: NDArray[np.uint8],
        *parts: FloatArray,
    ) -> None:
        """Many requests at once, entry by entry.

        `parts` are, of streamed answers, the times to their first parts and between tokens.
        """
        wholes_s = done_s - due_s
        failed = outcomes > SUCCESS
        latencies_s = self._judged(wholes_s, *parts)
        self._counts += np.bincount(bins_of(latencies_s[~failed]), minlength=BINS)
        finite = wholes_s[~failed]
        for each in {id(a): a for a in (wholes_s, latencies_s, *parts)}.values():
            each[failed] = np.inf
        self._outcome_counts += np.bincount(outcomes, minlength=256)
        self._late += int(np.count_nonzero((outcomes == SUCCESS) & (done_s > self._end_s)))
        self._latency_sum_s += float(finite.sum())
        self._square_sum += float((finite**2).sum())
        lags_s = sent_s - due_s
        if self._open_loop:
            self._lag_counts += np.bincount(bins_of(lags_s), minlength=BINS)
        if parts:
            firsts_s = parts[0][outcomes == SUCCESS]
            self._first_counts += np.bincount(bins_of(firsts_s), minlength=BINS)
            parts = (*parts, wholes_s)
        self._sample(due_s, latencies_s, lags_s, *parts)

    def _judged(self, wholes_s: FloatArray, *parts: FloatArray) -> FloatArray:
        """The worst time of each request, each over its limit, in seconds of the leading one."""
        if self._limits is None or not parts:
            return wholes_s
        limits_s = (self._limits.whole_s, self._limits.ttft_s, self._limits.itl_s)
        shares = [
            each / limit_s for each, limit_s in zip((wholes_s, *parts), limits_s, strict=True)
        ]
        # What is not known of a request (NaN) is not held against it.
        worst: FloatArray = np.fmax.reduce(shares) * self._limits.leading_s
        return worst

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
