"""From measurements to one answer: the highest load within the latency budget.

Warm up, then search in an open loop or in a closed one. The search works on any `measure`
function, so it can be tried on simulated servers.
"""

from tuner.capacity import closed_search, open_search
from tuner.capacity.open_search import SATURATION_S, duration_s
from tuner.capacity.probes import Capacity, CapacityPlan, Measure, Probes
from tuner.capacity.proof import LoadVerdict, certify
from tuner.goals import LatencyBudget, Loop
from tuner.records import Outcome

# Roughly what warming up takes.
_WARM_UP_S = 1.0
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


def prove(measure: Measure, plan: CapacityPlan, throughput: float) -> tuple[Capacity, LoadVerdict]:
    """Whether `throughput` is within the budget, on a server that has just started.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    probes = Probes(measure, plan)
    probes.warm_up()
    rate = throughput / probes.inferences
    verdict = certify(measure, plan.budget, rate, seed=plan.seed).verdict
    outcome = Outcome.INFEASIBLE if verdict is LoadVerdict.OVER else Outcome.FEASIBLE
    return probes.result(outcome, throughput), verdict


def expected_s(budget: LatencyBudget, points: int = 3) -> float:
    """Roughly how long the measuring of a configuration takes, for plans and time left."""
    return _WARM_UP_S + 2 * SATURATION_S + (points - 1) * duration_s(budget, _USUAL_RATE)
