"""A demand: one rate, or the periods between the moments of a day."""

import pytest

from tuner.planning.demand import Demand, Moment


def moments(*rates: float, every_s: float = 10.0) -> list[Moment]:
    return [Moment(name=f"{n}", at_s=n * every_s, rate=rate) for n, rate in enumerate(rates)]


def test_a_constant_one() -> None:
    """It is an hour long, and all of its rates are the same."""
    demand = Demand.constant(50.0)

    assert (demand.highest, demand.mean, demand.length_s) == (50.0, 50.0, 3600.0)
    assert demand.total == 180_000


def test_between_moments() -> None:
    """A period is planned for its higher end, and answers what lies in the middle."""
    demand = Demand.between(moments(10, 30, 20))

    first, second = demand.periods
    assert (first.begins, first.ends, first.highest, first.mean) == ("0", "1", 30.0, 20.0)
    assert (second.highest, second.mean, second.length_s) == (30.0, 25.0, 10.0)
    assert (demand.highest, demand.total, demand.length_s) == (30.0, 450.0, 20.0)
    assert demand.mean == 22.5


def test_of_unequal_periods() -> None:
    """The mean is that of the time, not that of the periods."""
    demand = Demand.between(
        [
            Moment(name="a", at_s=0.0, rate=10.0),
            Moment(name="b", at_s=1.0, rate=10.0),
            Moment(name="c", at_s=4.0, rate=30.0),
        ]
    )

    assert demand.mean == pytest.approx((10 * 1 + 20 * 3) / 4)


def test_times_a_factor() -> None:
    """Requests become inferences: rates grow, times stay."""
    demand = Demand.between(moments(10, 30)) * 8

    assert (demand.highest, demand.mean, demand.length_s) == (240.0, 160.0, 10.0)
    assert demand.periods[0].begins == "0"
