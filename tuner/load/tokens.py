"""Output tokens: when they arrived, and how many there were.

The definitions are those of the field's benchmarks. Time to first token: from the moment that the
request was due to the first event that carries output. Inter-token latency of a request: the time
from its first token to its last, over one less than the number of its tokens (what vLLM's
`benchmark_serving` calls time per output token). Gap: the time from one token to the next.

Servers may send several tokens in one piece, and networks may deliver several pieces together.
Tokens that arrive together share the time since the one before them, so that no gap is zero, and
they are counted: where there are many, gaps say more of the pieces than of the tokens.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tuner.load.histogram import BINS, Histogram, IntArray, bins_of

PIECES_COUNTED = "the server does not say how many tokens an answer has: pieces are counted"
"""What is said where others than the server counted (`Tokens.counted_by`)."""

# Arrivals in a block; folding one takes the event loop some 50 us.
_BLOCK = 1024
# What is added up over processes, and over load points.
_SUMMED = ("output", "in_time", "together", "prompt", "cached", "answers", "told")


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """What one engine process counted of a run; `gap_counts` by bin of the histogram."""

    output: int
    in_time: int
    together: int
    prompt: int
    cached: int
    answers: int
    told: int
    gap_counts: IntArray


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of one load point.

    Attributes:
        output: Output tokens of the answered requests.
        in_time: Output tokens that arrived before the load point's end, of whichever request.
        together: Those that arrived together with the one before them.
        prompt: Tokens of the prompts of the answered requests, by the server's count.
        cached: Those of them that the server knew from earlier requests.
        answers: How many requests were answered.
        told: For how many of these the server said the number of output tokens; for the others,
            it is the number of pieces.
        gaps: The times between tokens.
        duration_s: How long the load point lasted.
    """

    output: int
    in_time: int
    together: int
    prompt: int
    cached: int
    answers: int
    told: int
    gaps: Histogram
    duration_s: float

    @classmethod
    def of(cls, records: Sequence[TokenRecord], duration_s: float) -> Self:
        """What the engine processes of one run counted, as one."""
        sums = {name: sum(getattr(each, name) for each in records) for name in _SUMMED}
        gaps = np.sum([each.gap_counts for each in records], axis=0)
        return cls(**sums, gaps=Histogram.of_counts(gaps, 0), duration_s=duration_s)

    @classmethod
    def pooled(cls, parts: Sequence[Self]) -> Self:
        """Those of several runs."""
        sums = {name: sum(getattr(each, name) for each in parts) for name in _SUMMED}
        gaps = Histogram.pooled([each.gaps for each in parts])
        return cls(**sums, gaps=gaps, duration_s=sum(each.duration_s for each in parts))

    @property
    def throughput(self) -> float:
        """Output tokens per second."""
        return self.in_time / self.duration_s

    @property
    def together_share(self) -> float:
        """Of the output tokens, those that arrived together with the one before them."""
        return min(1.0, self.together / self.output) if self.output else 0.0

    @property
    def counted_by(self) -> str:
        """Who counted the output tokens: `server`, `pieces`, or `both` of them."""
        if self.told == self.answers:
            return "server"
        return "both" if self.told else "pieces"


class TokenCounter:
    """Counts in memory that does not grow with the number of tokens."""

    def __init__(self) -> None:
        self._gaps = array("d")
        self._weights = array("l")
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._output = self._in_time = self._together = 0
        self._prompt = self._cached = self._answers = self._told = 0
        self._end_s = np.inf

    def ends_at(self, end_s: float) -> None:
        """What arrives after `end_s` is not in time."""
        self._end_s = end_s

    def first(self, tokens: int, now_s: float) -> None:
        """The first tokens of an answer arrived, in one piece."""
        self._together += tokens - 1
        if now_s <= self._end_s:
            self._in_time += tokens

    def next(self, tokens: int, gap_s: float, now_s: float) -> None:
        """Further ones arrived together, `gap_s` after those before."""
        self._gaps.append(gap_s / tokens)
        self._weights.append(tokens)
        if tokens > 1:
            self._together += tokens - 1
        if now_s <= self._end_s:
            self._in_time += tokens
        if len(self._gaps) == _BLOCK:
            self._fold()

    def answered(self, *, output: int, arrived: int, told: bool, prompt: int, cached: int) -> None:
        """An answer is complete: it has `output` tokens, of which `arrived` were seen to come.

        The others came in pieces that did not say how many they were.
        """
        self._answers += 1
        self._told += told
        self._output += output
        self._prompt += prompt
        self._cached += cached
        self._together += max(0, output - arrived)

    def record(self) -> TokenRecord:
        """All of it."""
        self._fold()
        return TokenRecord(
            output=self._output,
            in_time=self._in_time,
            together=self._together,
            prompt=self._prompt,
            cached=self._cached,
            answers=self._answers,
            told=self._told,
            gap_counts=self._counts,
        )

    def _fold(self) -> None:
        if self._gaps:
            bins = bins_of(np.array(self._gaps))
            weights = np.array(self._weights)
            self._counts += np.bincount(bins, weights, minlength=BINS).astype(np.int64)
            del self._gaps[:], self._weights[:]
