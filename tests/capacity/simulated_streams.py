"""A language-model server simulated in virtual time: continuous batching, token by token.

A step makes one token for each of the requests in the batch, and takes longer the more there are;
a request joins at the step after its arrival, if a slot is free, and its prompt makes that step
longer. Requests are taken in order of arrival.
"""

import heapq
import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tests.capacity.simulated_server import Draw, stopped_at
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.arrivals import schedule
from tuner.load.histogram import percentile
from tuner.load.measurement import Measurement, RunRecord
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, LoadRun, OpenLoop, Overload
from tuner.load.recorder import PENDING, SUCCESS, Recorder
from tuner.numbers.arrays import FloatArray
from tuner.records import Phase


@dataclass(frozen=True)
class Answers:
    """Requests in order of arrival: when they came, got their first token and their last."""

    due_s: FloatArray
    first_s: FloatArray
    done_s: FloatArray
    tokens: FloatArray

    def itl_s(self, until_s: float) -> FloatArray:
        """The mean time between the tokens of each that came until then; NaN without two."""
        came_s = np.minimum(self.done_s, until_s) - self.first_s
        share = np.where(self.done_s <= until_s, 1.0, came_s / (self.done_s - self.first_s))
        gaps = np.floor(share * (self.tokens - 1))
        return np.where(gaps >= 1, came_s / np.maximum(gaps, 1), math.nan)


@dataclass(frozen=True)
class Streaming:
    """`slots` at once; a step is `base_s` and `each_s` per request, and `prompt_s` per new one."""

    slots: int
    base_s: float
    each_s: float
    prompt_s: float
    tokens: Draw

    def open_loop(self, due_s: FloatArray, random: np.random.Generator) -> Answers:
        return self._served(due_s.tolist(), random, until_s=None)

    def closed_loop(
        self, concurrency: int, until_s: float, random: np.random.Generator
    ) -> Answers:
        return self._served([0.0] * concurrency, random, until_s=until_s)

    def _served(
        self, due_s: list[float], random: np.random.Generator, *, until_s: float | None
    ) -> Answers:
        """With `until_s` each answer makes a user send the next, until then."""
        tokens: list[int] = []
        first_s: list[float] = []
        done_s: list[float] = [math.nan] * len(due_s)
        active: list[tuple[int, int]] = []
        now_s, step = 0.0, 0
        while active or len(first_s) < len(due_s):
            if not active:
                now_s = max(now_s, due_s[len(first_s)])
            step += 1
            begun = taken = len(first_s)
            while len(active) < self.slots and taken < len(due_s) and due_s[taken] <= now_s:
                if taken >= len(tokens):
                    tokens += np.maximum(1, self.tokens(random, 1000)).astype(int).tolist()
                heapq.heappush(active, (step + tokens[taken] - 1, taken))
                taken += 1
            new = taken - begun
            now_s += self.base_s + self.each_s * len(active) + self.prompt_s * new
            first_s += [now_s] * new
            while active and active[0][0] <= step:
                done_s[heapq.heappop(active)[1]] = now_s
                if until_s is not None and now_s < until_s:
                    due_s.append(now_s)
                    done_s.append(math.nan)
        made = np.array(tokens[: len(due_s)], dtype=float)
        return Answers(np.array(due_s), np.array(first_s), np.array(done_s), made)


@dataclass
class StreamingServer:
    """The `measure` that `find_capacity` asks for, with limits as the load engine judges them."""

    simulation: Streaming
    limits: AnswerLimits
    seed: int = 0
    drain_s: float = 0.6
    measured: list[tuple[Phase, LoadProfile, float]] = field(default_factory=list)
    spent_s: float = 0.0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng([self.seed, 78])

    def __call__(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> Measurement:
        self.measured.append((phase, profile, duration_s))
        if isinstance(profile, ClosedLoop):
            answers = self.simulation.closed_loop(profile.concurrency, duration_s, self._random)
        else:
            answers = self.simulation.open_loop(schedule(profile, duration_s), self._random)
        judged_s = judged(answers, self.limits, math.inf)
        stop_s, why = stopped_at(answers.due_s, answers.done_s, overload, duration_s, judged_s)
        record = self._record(answers, stop_s, why)
        self.spent_s += stop_s + self.drain_s
        run = LoadRun(endpoint=Endpoint("", 0), profile=profile, duration_s=duration_s)
        return Measurement.of(run, [record], 1)

    def _record(self, answers: Answers, end_s: float, why: str) -> RunRecord:
        sent = answers.due_s <= end_s
        gave_up_s = end_s + self.drain_s
        due_s, done_s = answers.due_s[sent], answers.done_s[sent]
        recorder = Recorder(open_loop=False, streamed=True, limits=self.limits)
        recorder.ends_at(end_s)
        outcomes: NDArray[np.uint8] = np.where(done_s <= gave_up_s, SUCCESS, PENDING).astype(
            np.uint8
        )
        firsts_s = np.minimum(answers.first_s[sent], gave_up_s) - due_s
        itls_s = answers.itl_s(gave_up_s)[sent]
        seen_s = np.minimum(done_s, gave_up_s)
        recorder.add_block(due_s, due_s, seen_s, outcomes, firsts_s, itls_s)
        record = recorder.record(start_s=0.0, end_s=end_s)
        return replace(record, engine_wall_s=end_s, stopped_early=why)


def judged(answers: Answers, limits: AnswerLimits, until_s: float) -> FloatArray:
    """The worst share of its limits that each request takes."""
    shares = (
        (answers.done_s - answers.due_s) / limits.whole_s,
        (answers.first_s - answers.due_s) / limits.ttft_s,
        answers.itl_s(until_s) / limits.itl_s,
    )
    worst: FloatArray = np.fmax.reduce(shares) * limits.leading_s
    return worst


def true_capacity(
    simulation: Streaming, budget: LatencyBudget, *, highest: float, requests: int = 4000
) -> float:
    """The load at which as many requests keep all limits as must, by bisection."""
    low, high = 0.0, highest
    while high - low > 0.004 * highest:
        rate = (low + high) / 2
        due_s = schedule(OpenLoop(rate, seed=99), requests / rate)
        answers = simulation.open_loop(due_s, np.random.default_rng(98))
        steady = np.sort(judged(answers, budget.limits, math.inf)[requests // 20 :])
        within = percentile(steady, budget.percentile) <= budget.limit_s
        low, high = (rate, high) if within else (low, rate)
    return (low + high) / 2
