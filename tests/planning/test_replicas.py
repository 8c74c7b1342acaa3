"""How many replicas a load needs, how busy they are, and what they cost."""

import math
from typing import Any

import pytest

from tuner.planning.bill import Plan
from tuner.planning.demand import Demand, Moment
from tuner.planning.replicas import Fleet, Reserve
from tuner.records import Interval

EXACT = Interval(100.0, 100.0, 100.0)
VAGUE = Interval(80.0, 100.0, 125.0)


def fleet(demand: float, capacity: Interval = EXACT, **reserve: Any) -> Fleet:
    return Fleet(demand=demand, capacity=capacity, reserve=Reserve(**reserve))


@pytest.mark.parametrize(
    ("demand", "count"), [(0.0, 1), (1.0, 1), (100.0, 1), (100.1, 2), (700.0, 7), (1e6, 10_000)]
)
def test_replicas_add_up(demand: float, count: int) -> None:
    """As few as carry the demand, but one is always there."""
    assert fleet(demand).count == count


@pytest.mark.parametrize("number", range(1, 50))
def test_rounding_adds_none(number: int) -> None:
    """What fits exactly on paper fits in floating point, too."""
    third = Interval(0.1, 0.1, 0.1)

    assert fleet(number * 0.1, third).count == number
    assert fleet(number * 80.0, headroom=0.2).count == number


def test_the_low_end_of_the_capacity_counts() -> None:
    """It is what the stated confidence rests on; the interval has both ends."""
    found = fleet(1000.0, VAGUE)

    assert found.count == 13
    assert found.counts == Interval(8, 10, 13)


def test_what_is_kept_beside() -> None:
    """A peak, a free share of each replica, and replicas that may fail."""
    assert fleet(1000.0, peak_factor=1.5).count == 15
    assert fleet(1000.0, headroom=0.2).count == 13
    assert fleet(1000.0, spare=2).count == 12
    assert fleet(1000.0, peak_factor=1.5, headroom=0.2, spare=1).counts == Interval(20, 20, 20)


def test_utilisation() -> None:
    """The peak's share of what all replicas carry, the spare ones among them."""
    used = fleet(1000.0, VAGUE, peak_factor=1.3, spare=3).utilisation

    assert used.estimate == pytest.approx(1300 / (20 * 100))
    assert (used.low, used.high) == pytest.approx((1300 / (20 * 125), 1300 / (20 * 80)))


def test_a_capacity_without_an_upper_end() -> None:
    """One replica might be enough then, and nothing says how idle they are."""
    found = fleet(1000.0, Interval(80.0, 100.0, math.inf))

    assert found.counts == Interval(1, 10, 13)
    assert found.utilisation.low == 0.0


DAY = Demand.between(
    [
        Moment(name=name, at_s=3600.0 * hour, rate=rate)
        for name, hour, rate in (("night", 0, 50.0), ("day", 6, 250.0), ("end", 8, 250.0))
    ]
)


def test_the_bill_of_an_hour() -> None:
    """Replicas times the price; a million inferences by what is asked, not by the peak."""
    plan = Plan(
        demand=Demand.constant(250.0), capacity=VAGUE, reserve=Reserve(peak_factor=2.0), price=0.5
    )

    assert plan.peak.counts == Interval(4, 5, 7)
    assert plan.fixed.per_hour == Interval(2.0, 2.5, 3.5)
    assert plan.fixed.per_million.high == pytest.approx(3.5 / (250 * 3600) * 1e6)
    assert plan.scaled == plan.fixed


def test_the_bill_of_a_day() -> None:
    """Replicas that follow the demand, and those of its peak all the time."""
    plan = Plan(demand=DAY, capacity=EXACT, reserve=Reserve(), price=2.0)

    assert [each.count for each in plan.fleets] == [3, 3]
    assert plan.fixed.replica_hours.high == plan.scaled.replica_hours.high == 24
    cheaper = Plan(demand=DAY, capacity=Interval(25.0, 25.0, 25.0), reserve=Reserve(), price=2.0)
    assert cheaper.fixed.total.high == 2 * 8 * 10


def test_replicas_that_follow_are_fewer() -> None:
    """Each period has as many as its higher end needs."""
    demand = Demand.between(
        [
            Moment(name=str(hour), at_s=3600.0 * hour, rate=rate)
            for hour, rate in enumerate((50.0, 50.0, 450.0, 450.0))
        ]
    )
    plan = Plan(demand=demand, capacity=EXACT, reserve=Reserve(spare=1), price=1.0)

    assert [each.count for each in plan.fleets] == [2, 6, 6]
    assert (plan.scaled.total.high, plan.fixed.total.high) == (14.0, 18.0)
    inferences = 3600 * (50 + 250 + 450)
    assert plan.scaled.per_million.high == pytest.approx(14e6 / inferences)


def test_without_a_price() -> None:
    """Costs are not known, hours are."""
    bill = Plan(demand=DAY, capacity=EXACT, reserve=Reserve()).fixed

    assert bill.replica_hours.high == 24
    assert math.isnan(bill.total.high)
