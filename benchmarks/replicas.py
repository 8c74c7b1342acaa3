"""Do the stated replicas keep the latency budget, and would one fewer do?

    python -m benchmarks.replicas

Replicas behind a load balancer, simulated event by event (`benchmarks.load_balancer`) in virtual
time. The capacity of one replica is what the simulation itself finds under Poisson arrivals;
`tuner.planning` then states how many replicas a demand needs.

1. Do replicas add up? The capacity is known within 1 %, the demand is 0.96 of what 2, 5 and 12
   replicas carry: rounding leaves no slack. At last, the replicas are not equally fast.
2. Does the confidence hold? The capacity is measured on three starts that scatter, and its
   interval is that of a study's finals. The demand is 1.02 of what n replicas carry, where it is
   easiest to state one too few.
3. A day, compressed, whose replicas follow the demand; in each of its periods the p99 counts.
   The capacity is known as in the first part.

Exit status 1: with a load balancer that picks at random, the stated replicas kept the budget in a
share of runs or measurements that is surely below the stated confidence, or one fewer kept it.
"""

import argparse
import itertools
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.load_balancer import (
    Balancer,
    Cluster,
    Server,
    capacity,
    exponential,
    lognormal,
)
from benchmarks.options import count
from benchmarks.tables import machine, share, share_interval, table
from tuner.analysis import comparison
from tuner.load.histogram import percentile
from tuner.numbers.arrays import FloatArray
from tuner.numbers.distributions import Z
from tuner.planning.bill import Plan
from tuner.planning.demand import Demand, Moment
from tuner.planning.replicas import CONFIDENCE, Fleet, Reserve
from tuner.records import Interval

_PERCENT = 99.0
# How well the capacity is known in the first part: the standard error of its logarithm.
_EXACT = 0.005
# In the second: the scatter of starts, and the error of one measurement of one start.
_START_SCATTER = 0.04
_START_ERROR = 0.02
_STARTS = 3
# Demands as shares of what so many replicas carry: just enough for them, and just too much.
_JUST_ENOUGH = 0.96
_JUST_TOO_MUCH = 1.02
_SIZES = (2, 5, 12)
# Where replicas differ: the standard deviation of the logarithm of their speeds, how many there
# are, and the headroom that shall make up for it.
_UNEVEN = 0.04
_MANY = 12
_HEADROOM = 0.1
# A p99 of so many times the limit grows for as long as one looks.
_OVERLOADED = 10.0
# The day: two hours of it last this long, and its peak is what so many replicas carry.
_PERIOD_S = 12.0
_PERIODS = 12
_PEAK = 5.9


@dataclass(frozen=True)
class Law:
    """A server, and the p99 that its users accept.

    Runs are `stretch` times as long as others where the p99 grows slowly with the load, so that
    its scatter would hide what the load does.
    """

    server: Server
    limit_s: float
    stretch: int = 1


LAWS = {
    "one at a time, exponential, 5 ms": Law(Server(5e-3, factors=exponential), 60e-3, stretch=3),
    "batches of 16, 4 ms + 0.5 ms each": Law(Server(4e-3, 0.5e-3, most=16), 30e-3),
    "4 instances, lognormal, 5 ms": Law(Server(5e-3, slots=4, factors=lognormal), 25e-3),
}


@dataclass(frozen=True)
class Case:
    """A law, how requests are spread over replicas, which may differ, and what is kept free."""

    law: str
    balancer: Balancer
    uneven: bool = False
    headroom: float = 0.0

    def __str__(self) -> str:
        differ = f", speeds differ by {_UNEVEN:.0%}" if self.uneven else ""
        free = f", headroom {self.headroom:.0%}" if self.headroom else ""
        return f"{self.balancer.value}{differ}{free}"

    def p99(self, rate: float, replicas: int, requests: int, seed: int) -> float:
        """Over the limit: up to 1, the budget is kept."""
        law = LAWS[self.law]
        random = np.random.default_rng([seed, 3])
        speeds = np.exp(_UNEVEN * random.standard_normal(replicas)).tolist()
        cluster = Cluster(law.server, self.balancer, tuple(speeds) if self.uneven else ())
        length = law.stretch * requests
        found_s = cluster.percentile_s(rate, replicas, requests=length, seed=seed)
        return found_s / law.limit_s


def main() -> None:
    options = _options()
    with ProcessPoolExecutor() as pool:
        find = partial(true_capacity, requests=options.requests)
        capacities = dict(zip(LAWS, pool.map(find, LAWS), strict=True))
        print(f"{options.runs} runs of {options.requests:,} requests each. {machine()}.\n")
        adding_up = _adding_up(pool, capacities, options)
        print(table(*adding_up.table))
        confident = _confidence(pool, capacities, options)
        print(f"\n{table(*confident.table)}")
        print(f"\n{table(*_days(pool, capacities, options))}")
    if not (adding_up.holds and confident.holds):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=count, default=8, help="runs of each case")
    parser.add_argument("--days", type=count, default=4, help="days of each case")
    parser.add_argument("--requests", type=count, default=100_000, help="requests of each run")
    parser.add_argument("--measurements", type=count, default=2_000, help="of a capacity")
    return parser.parse_args()


def true_capacity(name: str, requests: int) -> float:
    """The mean of several long runs, whose arrivals are those of no other run."""
    law = LAWS[name]
    return statistics.fmean(
        capacity(law.server, law.limit_s, requests=2 * law.stretch * requests, seed=10_000 + seed)
        for seed in range(4)
    )


def stated(demand: float, interval: Interval, *, headroom: float = 0.0) -> int:
    """The replicas that are stated for a demand in requests per second."""
    return Fleet(demand=demand, capacity=interval, reserve=Reserve(headroom=headroom)).count


def nearly_exact(truth: float) -> Interval:
    """A capacity that is known within 1 %."""
    return Interval(truth * math.exp(-Z * _EXACT), truth, truth * math.exp(Z * _EXACT))


def measured(truth: float, seed: int) -> Interval:
    """A capacity as finals on fresh starts show it, with its 95 % interval."""
    random = np.random.default_rng([seed, 4])
    error = math.hypot(_START_SCATTER, _START_ERROR)
    values = (math.log(truth) + error * random.standard_normal(_STARTS)).tolist()
    found = comparison.mean(values, [_START_ERROR] * _STARTS)
    low, estimate, high = (
        math.exp(found.value + side * found.margin) for side in (-1.0, 0.0, 1.0)
    )
    return Interval(low, estimate, high)


@dataclass(frozen=True)
class _Part:
    """A table, and whether it says what was claimed."""

    table: tuple[Sequence[str], Sequence[Sequence[str]]]
    holds: bool


def _adding_up(pool: Executor, capacities: dict[str, float], options: argparse.Namespace) -> _Part:
    rows, holds = [], True
    for case, size in _cases():
        truth = capacities[case.law]
        demand = _JUST_ENOUGH * size * truth
        number = stated(demand, nearly_exact(truth), headroom=case.headroom)
        kept, fewer = (
            _runs(pool, case, demand, replicas, options) for replicas in (number, number - 1)
        )
        fewest = _fewest(case, demand, number, options.requests)
        rows.append([case.law, str(case), str(number), *_said(kept), *_said(fewer), fewest])
        if case.balancer is Balancer.RANDOM and not case.uneven:
            holds = holds and _enough(kept) and not any(each <= 1 for each in fewer)
    headings = ["replica", "balancer", "stated", "runs kept", "p99 / limit", "one fewer: kept"]
    return _Part(([*headings, "p99 / limit", "fewest that keep it"], rows), holds)


def _cases() -> Iterator[tuple[Case, int]]:
    for law in LAWS:
        for balancer in Balancer:
            for size in _SIZES:
                yield Case(law, balancer), size
        for headroom in (0.0, _HEADROOM):
            yield Case(law, Balancer.RANDOM, uneven=True, headroom=headroom), _MANY


def _runs(
    pool: Executor, case: Case, demand: float, replicas: int, options: argparse.Namespace
) -> list[float]:
    run = partial(case.p99, demand, replicas, options.requests)
    return list(pool.map(run, range(options.runs), chunksize=4))


def _said(p99s: Sequence[float]) -> tuple[str, str]:
    kept = sum(each <= 1 for each in p99s)
    return f"{kept} of {len(p99s)}", _p99(statistics.median(p99s))


def _p99(over_limit: float) -> str:
    return "overloaded" if over_limit > _OVERLOADED else f"{over_limit:.2f}"


def _enough(p99s: Sequence[float]) -> bool:
    """Whether the share of the runs that kept the budget may be what was stated."""
    return share_interval(sum(each <= 1 for each in p99s), len(p99s))[1] >= CONFIDENCE


def _fewest(case: Case, demand: float, number: int, requests: int) -> str:
    """The fewest replicas that keep the budget in one long run."""
    while number > 1 and case.p99(demand, number - 1, 2 * requests, seed=20_000) <= 1:
        number -= 1
    return str(number)


def _confidence(
    pool: Executor, capacities: dict[str, float], options: argparse.Namespace
) -> _Part:
    rows, holds = [], True
    for name, truth in capacities.items():
        intervals = [measured(truth, seed) for seed in range(options.measurements)]
        for size in _SIZES:
            demand = _JUST_TOO_MUCH * size * truth
            numbers = Counter(stated(demand, each) for each in intervals)
            case = Case(name, Balancer.RANDOM)
            needed = next(
                n for n in itertools.count(min(numbers)) if _keeps(pool, case, demand, n, options)
            )
            kept = sum(times for n, times in numbers.items() if n >= needed)
            cells = [f"{min(numbers)} to {max(numbers)}", share(kept, len(intervals))]
            rows.append([name, f"{demand / truth:.2f}", str(needed), *cells])
            holds = holds and share_interval(kept, len(intervals))[1] >= CONFIDENCE
    headings = ["replica", "demand / capacity", "needed", "stated", "measurements that suffice, %"]
    return _Part((headings, rows), holds)


def _keeps(
    pool: Executor, case: Case, demand: float, replicas: int, options: argparse.Namespace
) -> bool:
    return statistics.median(_runs(pool, case, demand, replicas, options)) <= 1


def _days(
    pool: Executor, capacities: dict[str, float], options: argparse.Namespace
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    rows = []
    for name, truth in list(capacities.items())[1:]:
        for balancer in Balancer:
            for fewer in (0, 1):
                run = partial(day, name, truth, balancer, fewer)
                days = list(pool.map(run, range(options.days)))
                periods = [p99 for each in days for p99 in each]
                whole = sum(all(p99 <= 1 for p99 in each) for each in days)
                replicas = "as stated" if not fewer else "one fewer in each period"
                worst = statistics.median(max(each) for each in days)
                kept = sum(p99 <= 1 for p99 in periods)
                cells = [f"{whole} of {len(days)}", f"{kept} of {len(periods)}", _p99(worst)]
                rows.append([name, balancer.value, replicas, *cells])
    headings = ["replica", "balancer", "replicas", "days kept", "periods kept"]
    return [*headings, "worst p99 / limit of a day"], rows


def day(name: str, truth: float, balancer: Balancer, fewer: int, seed: int) -> list[float]:
    """The p99 of each period over the limit, with `fewer` replicas than stated in each."""
    law = LAWS[name]
    hours = np.arange(_PERIODS + 1)
    rates = _PEAK * truth * (0.55 - 0.45 * np.cos(2 * np.pi * hours / _PERIODS))
    demand = Demand.between(
        [
            Moment(name=str(hour), at_s=hour * _PERIOD_S, rate=rate)
            for hour, rate in zip(hours.tolist(), rates.tolist(), strict=True)
        ]
    )
    plan = Plan(demand=demand, capacity=nearly_exact(truth), reserve=Reserve())
    counts = [max(1, fleet.count - fewer) for fleet in plan.fleets]
    arrivals = _arrivals(rates, seed)
    period = np.minimum((arrivals // _PERIOD_S).astype(int), _PERIODS - 1)
    cluster = Cluster(law.server, balancer)
    found = cluster.latencies(arrivals, np.array(counts)[period].tolist(), seed)
    return [
        percentile(np.sort(found[period == each]), _PERCENT) / law.limit_s
        for each in range(_PERIODS)
    ]


def _arrivals(rates: FloatArray, seed: int) -> FloatArray:
    """Poisson arrivals whose rate changes evenly from each of `rates` to the next (thinning)."""
    random = np.random.default_rng([seed, 5])
    whole_s = _PERIOD_S * (len(rates) - 1)
    most = float(rates.max())
    times = np.sort(random.uniform(0.0, whole_s, random.poisson(most * whole_s)))
    wanted = np.interp(times, np.arange(len(rates)) * _PERIOD_S, rates)
    kept: FloatArray = times[random.random(len(times)) * most < wanted]
    return kept


if __name__ == "__main__":
    main()
