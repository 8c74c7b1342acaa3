"""What does it cost to try several configurations at once? Replayed in virtual time.

    python -m benchmarks.replay_parallel --searches 100

The searches of `benchmarks.replay`, with as many trials in flight as there are hosts: the baseline
alone, then whichever host is free tries the next proposal, and each trial is raced against the
best so far for as long as it runs. Trials count when they end. A search that has proposed
everything without getting there is charged with the whole space.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import optuna  # noqa: TID251 - its log is silenced

from benchmarks.landscapes.base import LANDSCAPES
from benchmarks.landscapes.formula import NAME, formula
from benchmarks.landscapes.table import Table, read
from benchmarks.options import count
from benchmarks.replay_contestants import RANDOM, proposer
from benchmarks.replay_metrics import Spread, comparison, reached
from benchmarks.replayed_trials import Cost, exhaustive, replayed
from benchmarks.tables import machine, table

SHARE = 0.95
IN_FLIGHT = (1, 2, 4, 8, 16)
CONTESTANTS = ("tpe", RANDOM)

# By the number in flight, what each search took, in the order of the seeds.
Costs = dict[int, list[Cost]]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials: list[list[str]] = []
    ratios: list[list[str]] = []
    seconds: list[list[str]] = []
    for name in options.landscapes or LANDSCAPES:
        landscape = _table(name)
        for who in CONTESTANTS:
            began = time.perf_counter()
            costs = searches(who, landscape, options.searches)
            took_s = time.perf_counter() - began
            print(f"{name}: {who} in {took_s:.0f} s", file=sys.stderr)
            trials.append([name, who, *trial_cells(costs)])
            ratios.append([name, who, *ratio_cells(costs)])
            seconds.append([name, who, *time_cells(costs)])
    headings = ["landscape", "search", *map(str, IN_FLIGHT)]
    print(f"{options.searches} searches each. {machine()}.\n")
    print(f"Trials to {SHARE:.0%} of the best, by the number in flight\n")
    print(table(headings, trials))
    print("\nMean trials beside those with one in flight\n")
    print(table(headings, ratios))
    print(f"\nVirtual seconds to {SHARE:.0%} of the best, by the number in flight\n")
    print(table(headings, seconds))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=count, default=100, help="of each kind")
    parser.add_argument(
        "--landscape",
        action="append",
        choices=(*LANDSCAPES, NAME),
        dest="landscapes",
        help=f"default: all but {NAME}, which takes much longer",
    )
    return parser.parse_args(arguments)


def _table(name: str) -> Table:
    return formula() if name == NAME else replace(read(LANDSCAPES[name]), noise=0.0)


def searches(who: str, landscape: Table, number: int) -> Costs:
    """The first `number` seeds of `who`, with each number in flight."""
    return {
        hosts: [_search(who, landscape, seed, hosts) for seed in range(number)]
        for hosts in IN_FLIGHT
    }


def _search(who: str, landscape: Table, seed: int, hosts: int) -> Cost:
    """Without noise, what a search recommends never gets worse: the first moment is the last."""
    wanted = SHARE * landscape.best.capacity
    for moment in replayed(landscape, proposer(who, landscape, seed), seed, hosts):
        if found := reached([moment], wanted):
            return found
    return exhaustive(landscape)


def trial_cells(costs: Costs) -> list[str]:
    """Median and worst decile."""
    spreads = [Spread.of([cost.trials for cost in each]) for each in costs.values()]
    return [f"{spread.median:.0f} ({spread.worst_decile:.0f})" for spread in spreads]


def ratio_cells(costs: Costs) -> list[str]:
    """With their 95 % intervals, from pairs of the same seed."""
    trials = {hosts: [cost.trials for cost in each] for hosts, each in costs.items()}
    ratios = [comparison(each, trials[1]).ratio for each in trials.values()]
    return [f"{r.estimate:.2f} ({r.low:.2f} to {r.high:.2f})" for r in ratios]


def time_cells(costs: Costs) -> list[str]:
    """The mean, and how many times as fast as one in flight that is."""
    means = {hosts: sum(c.time_s for c in each) / len(each) for hosts, each in costs.items()}
    return [
        f"{mean:.0f}" + (f"; {means[1] / mean:.1f} x" if hosts > 1 else "")
        for hosts, mean in means.items()
    ]


if __name__ == "__main__":
    main()
