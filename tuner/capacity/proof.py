"""Whether a load is within the latency budget, with a stated chance of being wrong.

Design-effect-adjusted order statistics (see `percentile_interval`), looked at a few times only,
each look at the significance level that Pocock's boundary gives it (Biometrika 64, 1977): looking
after every request would find what one hopes for sooner or later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuner.capacity.intervals import percentile_interval
from tuner.capacity.open_search import outstanding
from tuner.capacity.probes import Measure
from tuner.goals import LatencyBudget
from tuner.load.measurement import Measurement
from tuner.load.profile import OpenLoop, Overload
from tuner.records import Phase

# The looks come after this many latency limits of measuring.
_LOOKS = (200, 400, 800)
# The first one comes after this time at least, the others in proportion.
_FIRST_LOOK_S = 8.0
# Limits for parts of answers are short beside these. Of answers the first look takes this many,
_FIRST_LOOK_ANSWERS = 16
# and of requests this many times as many as a verdict takes at least.
_FIRST_LOOK_REQUESTS = 1.5
# Student's t with 19 degrees of freedom at the two-sided level that Pocock gives each of three
# looks, 0.0221: it is 2.492, rounded up.
_T_POCOCK = 2.5


class LoadVerdict(StrEnum):
    """What was proved of a load."""

    WITHIN = "within"
    OVER = "over"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class AnswerTimes:
    """What an answer takes under load, and at most where the limits are kept, in seconds."""

    paced_s: float = 0.0
    longest_s: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """The verdict on `rate` requests per second, after `duration_s` of measuring."""

    rate: float
    verdict: LoadVerdict
    duration_s: float


def certify(
    measure: Measure,
    budget: LatencyBudget,
    rate: float,
    *,
    seed: int,
    longest_s: float = math.inf,
    answers: AnswerTimes = AnswerTimes(),
) -> Certificate:
    """Measure `rate` until it is proved within the budget or over it, or the looks are used up.

    Looks that would come after `longest_s` are left out. `answers` are known where limits are for
    parts of them.

    A load 5 % over the capacity is called within in less than 5 of 100 cases (benchmarks/README.md
    has the table).

    Raises:
        TrialFailure: The measuring says nothing of the server.
    """
    overload = Overload(outstanding(rate, max(budget.limit_s, answers.longest_s)))
    first_s = first_look_s(budget, rate, answers.paced_s)
    parts: list[Measurement] = []
    spent_s, verdict = 0.0, LoadVerdict.UNDECIDED
    for number, look in enumerate(_LOOKS):
        until_s = first_s * look / _LOOKS[0]
        if until_s > longest_s:
            break
        profile = OpenLoop(rate, seed=seed + number)
        parts.append(
            measure(Phase.PROOF, profile, duration_s=until_s - spent_s, overload=overload)
        )
        spent_s = until_s
        verdict = _verdict(parts, budget)
        if verdict is not LoadVerdict.UNDECIDED:
            break
    return Certificate(rate, verdict, spent_s)


def first_look_s(budget: LatencyBudget, rate: float, answer_s: float = 0.0) -> float:
    """How long `certify` measures at least; `answer_s` is what an answer takes under load."""
    first_s = max(_LOOKS[0] * budget.limit_s, _FIRST_LOOK_S)
    if budget.answers is None:
        return first_s
    # With fewer the interval's upper end is beyond the slowest request.
    fewest = _T_POCOCK**2 * budget.percentile / (100 - budget.percentile)
    requests_s = _FIRST_LOOK_REQUESTS * fewest / rate
    return max(first_s, _FIRST_LOOK_ANSWERS * answer_s, requests_s)


def _verdict(parts: Sequence[Measurement], budget: LatencyBudget) -> LoadVerdict:
    if parts[-1].stopped_early:
        return LoadVerdict.OVER
    interval = percentile_interval(Measurement.pooled(parts), budget.percentile, t=_T_POCOCK)
    if interval.high <= budget.limit_s:
        return LoadVerdict.WITHIN
    return LoadVerdict.OVER if interval.low > budget.limit_s else LoadVerdict.UNDECIDED
