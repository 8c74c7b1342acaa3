"""From measurements to one answer: the highest load within the latency budget.

Warm up, then search in an open loop or in a closed one. The search works on any `measure`
function, so it can be tried on simulated servers.
"""

import math

from tuner.capacity import closed_search, open_search
from tuner.capacity.intervals import FEWEST_FOR_WARM_UP
from tuner.capacity.open_search import duration_s, saturation_s
from tuner.capacity.probes import POINTS, Capacity, CapacityPlan, Measure, Probes, unloaded_limit_s
from tuner.capacity.proof import AnswerTimes, LoadVerdict, certify
from tuner.goals import LatencyBudget, Loop
from tuner.records import Outcome

# Roughly what warming up takes, unless answers are slow.
_WARM_UP_S = 1.0
# What an answer is taken to need, as a share of what its limits allow, until one was seen;
_USUAL_ANSWER = 0.4
# the output tokens that it is taken to have,
_USUAL_TOKENS = 128
# and, without a limit for the time between these, how many times as long as the first it takes.
_USUAL_FIRSTS = 10
# Closed loops that look for full load, and as many where limits are for parts of answers.
_USUAL_LOOPS, _USUAL_LOOPS_OF_ANSWERS = 2, 4
# In requests per second: that of the points whose length is foretold.
_USUAL_RATE = 500


def find_capacity(measure: Measure, plan: CapacityPlan) -> Capacity:
    """The highest load within `plan.budget`.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    probes = Probes(measure, plan)
    if not probes.warm_up():
        return probes.result(Outcome.INFEASIBLE)
    if plan.arrivals is Loop.CLOSED:
        return closed_search.closed_capacity(probes)
    return open_search.open_capacity(probes)


def prove(
    measure: Measure, plan: CapacityPlan, throughput: float, longest_s: float
) -> tuple[Capacity, LoadVerdict]:
    """Whether `throughput` is within the budget, on a server that has just started.

    The load lasts for `longest_s` at most.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    probes = Probes(measure, plan)
    probes.warm_up()
    rate = throughput / probes.inferences
    verdict = certify(
        measure,
        plan.budget,
        rate,
        seed=plan.seed,
        longest_s=longest_s,
        answers=AnswerTimes(probes.paced_s, probes.longest_s),
    ).verdict
    outcome = Outcome.INFEASIBLE if verdict is LoadVerdict.OVER else Outcome.FEASIBLE
    return probes.result(outcome, throughput), verdict


def expected_s(budget: LatencyBudget, points: int = POINTS) -> float:
    """Roughly how long the measuring of a configuration takes, for plans and time left.

    As long as nothing was seen, an answer is taken to need two fifths of what the limits allow.
    """
    answer_s = _USUAL_ANSWER * _allowed_s(budget)
    under_load_s = (points - 1) * duration_s(budget, _USUAL_RATE, answer_s)
    loops = _USUAL_LOOPS_OF_ANSWERS if budget.answers else _USUAL_LOOPS
    return _warm_up_s(answer_s) + loops * saturation_s(answer_s) + under_load_s


def _allowed_s(budget: LatencyBudget) -> float:
    """What an answer may take, where limits for its parts do not say how many tokens it has."""
    limits = budget.limits
    if limits.whole_s < math.inf:
        return limits.whole_s
    if limits.itl_s == math.inf:
        return _USUAL_FIRSTS * limits.ttft_s
    first_s = limits.ttft_s if limits.ttft_s < math.inf else 0.0
    return first_s + _USUAL_TOKENS * limits.itl_s


def _warm_up_s(answer_s: float) -> float:
    """A burst and one request at a time."""
    limit_s = unloaded_limit_s(answer_s)
    is_slow = FEWEST_FOR_WARM_UP * answer_s > limit_s
    return 2 * answer_s + limit_s if is_slow else _WARM_UP_S
