"""From measurements to one answer: the highest load within the latency budget.

Warm up, then search in an open loop or in a closed one. The search works on any `measure`
function, so it can be tried on simulated servers.
"""

from tuner.capacity import closed_search, open_search
from tuner.capacity.intervals import FEWEST_FOR_WARM_UP
from tuner.capacity.open_search import duration_s, saturation_s
from tuner.capacity.probes import POINTS, Capacity, CapacityPlan, Measure, Probes, unloaded_limit_s
from tuner.capacity.proof import LoadVerdict, certify
from tuner.goals import LatencyBudget, Loop
from tuner.records import Outcome

# Roughly what warming up takes, unless answers are slow.
_WARM_UP_S = 1.0
# What an answer is taken to need, as a share of the latency limit, until one was seen.
_USUAL_ANSWER = 0.4
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
    verdict = certify(measure, plan.budget, rate, seed=plan.seed, longest_s=longest_s).verdict
    outcome = Outcome.INFEASIBLE if verdict is LoadVerdict.OVER else Outcome.FEASIBLE
    return probes.result(outcome, throughput), verdict


def expected_s(budget: LatencyBudget, points: int = POINTS) -> float:
    """Roughly how long the measuring of a configuration takes, for plans and time left.

    As long as nothing was seen, an answer is taken to need two fifths of the limit.
    """
    answer_s = _USUAL_ANSWER * budget.limit_s
    under_load_s = (points - 1) * duration_s(budget, _USUAL_RATE, answer_s)
    return _warm_up_s(answer_s) + 2 * saturation_s(answer_s) + under_load_s


def _warm_up_s(answer_s: float) -> float:
    """A burst and one request at a time."""
    limit_s = unloaded_limit_s(answer_s)
    is_slow = FEWEST_FOR_WARM_UP * answer_s > limit_s
    return 2 * answer_s + limit_s if is_slow else _WARM_UP_S
