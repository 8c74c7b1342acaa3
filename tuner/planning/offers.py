"""What the configurations of studies take for one demand, and which study is the cheapest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.rate_unit import inferences_per_request
from tuner.goals import LatencyBudget, Loop
from tuner.planning.bill import Plan
from tuner.planning.capacities import Capacities, ReplicaCapacity, Role
from tuner.planning.demand import Demand
from tuner.planning.replicas import Reserve
from tuner.records import StudyRecord


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for: a `demand` in requests per second, and what is kept beside it."""

    demand: Demand
    reserve: Reserve

    @property
    def is_day(self) -> bool:
        """Whether the demand changes over time."""
        return len(self.demand.periods) > 1


@dataclass(frozen=True, kw_only=True)
class Line:
    """One configuration and its replicas; `plan` is None where it carries nothing."""

    capacity: ReplicaCapacity
    plan: Plan | None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The configurations of one study within one latency budget, as `Capacities` orders them.

    `price` is that of a replica for an hour, NaN where it is not known; `tokens` are the output
    tokens of an answer, NaN where answers are not made of them.
    """

    capacities: Capacities
    price: float
    lines: tuple[Line, ...]
    tokens: float = math.nan

    @property
    def study(self) -> StudyRecord:
        return self.capacities.study

    @property
    def budget(self) -> LatencyBudget:
        return self.capacities.budget

    @property
    def plan(self) -> Plan | None:
        """That of the best configuration."""
        return self.lines[0].plan if self.lines else None

    @property
    def is_confirmed(self) -> bool:
        """Whether fresh starts under open arrivals, all of them, stand behind the best one."""
        best = self.capacities.best
        if best is None or best.proved.contradicts:
            return False
        return best.confirmed and self.study.arrivals is Loop.OPEN

    @property
    def baseline(self) -> Line | None:
        """The server's defaults, unless they are the best or were not measured."""
        return next((e for e in self.lines[1:] if e.capacity.role is Role.BASELINE), None)


@dataclass(frozen=True, kw_only=True)
class Cheapest:
    """The offer that costs least; `surely` if its interval is below those of all others."""

    offer: Offer
    surely: bool


def offer(capacities: Capacities, wish: Wish, price: float, tokens: float = math.nan) -> Offer:
    """The replicas of each configuration, for the inferences that the requests carry."""
    demand = wish.demand * inferences_per_request(capacities.study)
    lines = [
        Line(
            capacity=each,
            plan=Plan(demand=demand, capacity=each.interval, reserve=wish.reserve, price=price)
            if each.interval
            else None,
        )
        for each in capacities.known
    ]
    return Offer(capacities=capacities, price=price, lines=tuple(lines), tokens=tokens)


def cheapest(offers: Sequence[Offer]) -> Cheapest | None:
    """The one with the lowest bill, if replicas follow the demand.

    None unless there are two or more that carry it, and all of them have a price.
    """
    totals = [(each.plan.scaled.total, each) for each in offers if each.plan]
    if len(totals) < 2 or not all(math.isfinite(total.high) for total, _ in totals):
        return None
    total, best = min(totals, key=lambda each: each[0].high)
    others = [each for each, other in totals if other is not best]
    return Cheapest(offer=best, surely=all(total.high < each.low for each in others))
