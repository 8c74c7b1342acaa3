"""What one replica carries, by configuration, and which study's replicas are the cheapest."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import loads
from tuner.analysis.interpolation import EstimateKind
from tuner.errors import Reason
from tuner.goals import LatencyBudget
from tuner.numbers.distributions import Z
from tuner.planning.capacities import Capacities, Role, capacities
from tuner.planning.demand import Demand
from tuner.planning.offers import Offer, Wish, cheapest, offer
from tuner.planning.replicas import Reserve
from tuner.records import Interval, Purpose, StudyRecord

WISH = Wish(demand=Demand.constant(1000.0), reserve=Reserve())


def study(**wishes: Any) -> StudyRecord:
    trials = [
        studies.baseline(150.0, points=loads((100, 10), (150, 40), (160, 60))),
        studies.trial(1, 2500.0, points=loads((1000, 25), (2400, 45), (2600, 90))),
        studies.trial(2, 2000.0, points=loads((1900, 17.8), (2450, 24.1), (2500, 60))),
        studies.trial(3, 300.0, points=loads((250, 19), (300, 49), (320, 80))),
    ]
    return studies.study(trials, **wishes)


def of_night(limit_s: float = studies.BUDGET.limit_s) -> Capacities:
    return capacities(studies.night(), LatencyBudget(99, limit_s), {2, 8, 0, 15})


class TestTheStudysOwnBudget:
    def test_the_finals_say_it(self) -> None:
        """The winner first, then the defaults, then the front, by what each carries."""
        found = of_night().known

        assert [each.role for each in found] == [
            *(Role.WINNER, Role.BASELINE),
            *(Role.FRONT,) * (len(found) - 2),
        ]
        assert [each.trial for each in found[:3]] == [2, 0, 8]
        assert [each.confirmed for each in found[:3]] == [True] * 3
        front = [known(each.interval).estimate for each in found[2:]]
        assert front == sorted(front, reverse=True)
        assert found[0].starts == 3
        assert known(found[0].interval).estimate == pytest.approx(398, rel=0.01)

    def test_no_more_than_was_proved(self) -> None:
        """Where a load was found over the budget, by what the finals said within it."""
        night = studies.night()
        winner = night.trials[2].configuration
        proofs = ((378.0, "over"), (338.0, "within"))
        found = capacities(studies.proved(night, *proofs, of=winner), studies.BUDGET, {2})

        assert found.best
        assert found.best.configuration == winner
        assert found.best.interval == Interval(338.0, 338.0, 378.0)
        assert not offer(found, WISH, math.nan).is_confirmed
        assert offer(of_night(), WISH, math.nan).is_confirmed

    def test_of_a_search_alone(self) -> None:
        """Nothing has confirmed the best."""
        best = known(capacities(study(), studies.BUDGET, set()).best)

        assert (best.trial, best.confirmed, best.kind) == (1, False, EstimateKind.MEASURED)

    def test_where_the_defaults_are_the_best(self) -> None:
        """They are one line."""
        [only] = capacities(studies.study([studies.baseline(150.0)]), studies.BUDGET, {0}).known

        assert only.role is Role.BASELINE

    def test_where_the_defaults_carry_nothing(self) -> None:
        """They are there, without a capacity."""
        slow = studies.infeasible(studies.baseline(), unloaded_s=0.08)
        found = capacities(studies.study([slow, studies.trial(1, 100.0)]), studies.BUDGET, set())

        assert [each.interval is None for each in found.known] == [False, True]

    def test_where_the_defaults_failed(self) -> None:
        """What was not measured is not said to carry nothing."""
        crashed = replace(
            studies.failed(0, Reason.CRASHED, "it is gone"),
            purpose=Purpose.BASELINE,
            configuration=studies.DEFAULTS,
        )
        found = capacities(studies.study([crashed, studies.trial(1, 100.0)]), studies.BUDGET, {0})

        assert [each.trial for each in found.known] == [1]

    def test_what_the_finals_threw_out_is_not_planned_with(self) -> None:
        """Its load curve of the search is no reason to."""
        again = replace(studies.final(30, studies.configuration(8), 0.0), round=3)
        slow = studies.infeasible(again, unloaded_s=0.08)
        night = studies.night()
        found = capacities(replace(night, trials=(*night.trials, slow)), studies.BUDGET, {2, 8, 0})

        assert [each.trial for each in found.known] == [2, 0]

    def test_where_nothing_is_feasible(self) -> None:
        """There is nothing to plan with."""
        slow = studies.infeasible(studies.baseline(), unloaded_s=0.08)

        assert capacities(studies.study([slow]), studies.BUDGET, set()).known == ()


class TestAnotherBudget:
    def test_load_curves_say_it(self) -> None:
        """Who is the best may be another one."""
        found = capacities(study(), LatencyBudget(99, 0.020), {1, 3}).known

        assert [(each.trial, each.role) for each in found] == [
            (2, Role.WINNER),
            (0, Role.BASELINE),
            (3, Role.FRONT),
        ]
        assert found[0].kind is EstimateKind.INTERPOLATED
        interval = known(found[0].interval)
        assert interval.low < 2095 < interval.high
        assert interval.high / interval.estimate == pytest.approx(interval.estimate / interval.low)

    def test_a_lower_bound_has_no_upper_end(self) -> None:
        """Where no load that was measured is over the limit."""
        best = known(capacities(study(), LatencyBudget(99, 0.200), set()).best)

        assert best.kind is EstimateKind.AT_LEAST
        interval = known(best.interval)
        assert interval.high == math.inf
        assert interval.low == pytest.approx(2600 * math.exp(-Z * 0.05))

    def test_that_nothing_meets(self) -> None:
        """There is nothing to plan with."""
        found = capacities(study(), LatencyBudget(99, 0.005), {1})

        assert found.best is None
        assert found.known == ()


def offered(name: str, price: float, capacity: float = 1000.0, batch: int = 1) -> Offer:
    one = studies.study(
        [studies.baseline(capacity, log_error=0.001)], name=name, request={"batch": batch}
    )
    return offer(capacities(one, studies.BUDGET, set()), WISH, price)


class TestOffers:
    def test_requests_are_inferences(self) -> None:
        """A demand in requests is one in inferences times those of a request."""
        plan = known(offered("a", 1.0, 100.0, batch=8).plan)

        assert plan.demand.highest == 8000.0

    def test_the_cheapest(self) -> None:
        """More replicas of a cheaper machine can cost less."""
        found = known(cheapest([offered("big", 9.0, 2000.0), offered("small", 1.0, 500.0)]))

        assert found.offer.study.name == "small"
        assert found.surely

    def test_a_doubtful_one(self) -> None:
        """Where the intervals of the bills overlap, it is not sure."""
        found = known(cheapest([offered("a", 1.0, 990.0), offered("b", 1.1, 990.0)]))

        assert (found.offer.study.name, found.surely) == ("a", False)

    def test_without_a_price(self) -> None:
        """Nothing is the cheapest unless all that carry the demand have one, and are several."""
        free, priced = offered("free", math.nan), offered("priced", 5.0)

        assert cheapest([free, priced]) is None
        assert cheapest([priced]) is None
