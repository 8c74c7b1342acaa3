"""What replicas cost for a demand: as many as its peak needs, or as many as each period needs."""

import math
from dataclasses import dataclass
from functools import cached_property

from tuner.planning.demand import HOUR_S, Demand
from tuner.planning.replicas import Fleet, Reserve
from tuner.records import Interval

_MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What `replica_hours` cost, which answer `inferences` in `length_s`.

    The high end of each interval is what is recommended. Costs are in the currency of the price
    of a replica for an hour, and NaN where that is.
    """

    replica_hours: Interval
    length_s: float
    inferences: float
    price: float

    @property
    def total(self) -> Interval:
        return _times(self.replica_hours, self.price)

    @property
    def per_hour(self) -> Interval:
        return _times(self.total, HOUR_S / self.length_s)

    @property
    def per_million(self) -> Interval:
        """For a million inferences."""
        return _times(self.total, _MILLION / self.inferences)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Replicas for the whole of a `demand` in inferences per second.

    `capacity` is that of one replica, `price` that of one for an hour, NaN where it is not known.
    """

    demand: Demand
    capacity: Interval
    reserve: Reserve
    price: float = math.nan

    @cached_property
    def peak(self) -> Fleet:
        """For the highest rate of all periods."""
        return self._fleet(self.demand.highest)

    @cached_property
    def fleets(self) -> tuple[Fleet, ...]:
        """One for each period."""
        return tuple(self._fleet(each.highest) for each in self.demand.periods)

    @property
    def fixed(self) -> Bill:
        """Of the replicas of the peak, all the time."""
        return self._bill(_times(self.peak.counts, self.demand.length_s / HOUR_S))

    @property
    def scaled(self) -> Bill:
        """Of the replicas that each period needs, for as long as it lasts."""
        hours = [each.length_s / HOUR_S for each in self.demand.periods]
        counts = [each.counts for each in self.fleets]
        return self._bill(
            Interval(
                math.fsum(h * each.low for h, each in zip(hours, counts, strict=True)),
                math.fsum(h * each.estimate for h, each in zip(hours, counts, strict=True)),
                math.fsum(h * each.high for h, each in zip(hours, counts, strict=True)),
            )
        )

    def _fleet(self, demand: float) -> Fleet:
        return Fleet(demand=demand, capacity=self.capacity, reserve=self.reserve)

    def _bill(self, replica_hours: Interval) -> Bill:
        return Bill(
            replica_hours=replica_hours,
            length_s=self.demand.length_s,
            inferences=self.demand.total,
            price=self.price,
        )


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(interval.low * factor, interval.estimate * factor, interval.high * factor)
