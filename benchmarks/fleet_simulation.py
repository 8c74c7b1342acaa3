"""Where the driver of a fleet becomes the bottleneck: studies on 1 to 1,000 simulated hosts.

    python -m benchmarks.fleet_simulation --hosts 1 10 100

The hosts, and what they measure, are simulated in virtual time (benchmarks/simulated_fleet.py);
the driver is the real one, with a real database, and the time that it takes itself passes on the
hosts' clock, too. A trial takes a minute, and a message as long as Ray's do (`--latency-ms`). The
space is such as Triton's on sixteen cores (2,540 configurations), as in search_overhead.
"""

import argparse
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from unittest import mock

from benchmarks.landscapes.measure import Silent
from benchmarks.options import count
from benchmarks.search_overhead import BUDGET, carried, space_of_sixteen_cores
from benchmarks.simulated_fleet import Server, SimulatedFleet, SimulatedHost, VirtualClock
from benchmarks.tables import machine, table
from tests.report import studies
from tuner.fleet.crew import Said
from tuner.fleet.study import study_on
from tuner.fleet.terms import Terms
from tuner.goals import SearchBudget
from tuner.search.search import Proposal, Search
from tuner.store.ownership import Hold, held
from tuner.store.storage import Storage
from tuner.study.continued_study import open_study
from tuner.study.deadline import Deadline
from tuner.study.exploration import Exploration
from tuner.study.study_plan import StudyPlan

_HOSTS = (1, 10, 30, 100, 300, 1000)
_TRIAL_S = 60.0
# So many trials for each host, but no fewer and no more than so many in all.
_EACH, _FEWEST, _MOST = 10, 100, 2000


@dataclass(frozen=True)
class Cost:
    """One study: `busy` is the share of their time that hosts measured until the search's end.

    Of the driver: seconds by what was done, for each time; `driver_s` is all of its time.
    """

    hosts: int
    trials: int
    lasted_s: float
    busy: float
    driver_s: float
    seconds: dict[str, list[float]]


class _Passing(SimulatedFleet):
    """Lets the driver's own time pass on the hosts' clock."""

    left_s = time.perf_counter()
    driver_s = 0.0

    def wait(self, timeout_s: float) -> Sequence[Said]:
        spent_s = time.perf_counter() - self.left_s
        self.driver_s += spent_s
        self.clock.passed_s += spent_s
        heard = super().wait(timeout_s)
        self.left_s = time.perf_counter()
        return heard


class _Nobody(Silent):
    """A FleetObserver that looks away."""

    def on(self, host: str) -> Self:
        return self

    def host_changes(self, host: str, state: str) -> None:
        pass


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    print(f"A trial takes {_TRIAL_S:.0f} s. {machine()}.\n")
    headings = ["hosts", "trials", "trials/s", "hosts at work", "driver ms for a trial"]
    headings += ["ask ms: median", "p95", "record ms: median", "tell ms: median"]
    rows = [_row(study(hosts, options)) for hosts in options.hosts]
    print(table(headings, rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=count, nargs="+", default=_HOSTS)
    parser.add_argument("--trials", type=count, help="of each study")
    parser.add_argument("--latency-ms", type=float, default=5.0, help="of a message")
    parser.add_argument("--grid", action="store_true", help="no search: the driver's cost alone")
    parser.add_argument("--folder", type=Path, help="for the databases")
    return parser.parse_args()


def study(hosts: int, options: argparse.Namespace) -> Cost:
    """One without finals."""
    trials = options.trials or min(_MOST, max(_FEWEST, _EACH * hosts))
    clock = VirtualClock()
    server = Server(carried, lasts_s=lambda _: _TRIAL_S)
    fleet = _Passing(
        [SimulatedHost(f"host-{number}") for number in range(hosts)],
        server,
        clock,
        latency_s=options.latency_ms / 1e3,
    )
    budget = SearchBudget(trials=trials, timeout_s=1e9, confirmations=0)
    plan = StudyPlan(space=space_of_sixteen_cores(), budget=budget)
    terms = Terms(plan, Deadline(budget, clock), clock, lambda *_: False, lambda _: None)
    seconds: dict[str, list[float]] = {"ask": [], "tell": [], "record": [], "log": []}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder))
        storage = stack.enter_context(Storage(str(Path(folder) / "studies.db"), create=True))
        record = open_study(storage, studies.study(name="fleet", budget=BUDGET))
        hold = stack.enter_context(held(storage, "fleet", limits={}))
        for owner, method, name in (
            (Search, "ask", "ask"),
            (Search, "tell", "tell"),
            (Storage, "save_trial", "record"),
            (Hold, "record_all", "log"),
        ):
            stack.enter_context(_timed(owner, method, seconds[name]))
        if options.grid:
            stack.enter_context(_in_order())
        ended = study_on(fleet, record, terms, storage=storage, hold=hold, observer=_Nobody())
    measured_s = sum(trial.timings_s["total"] for trial in ended.trials)
    lasted_s = clock.passed_s
    busy = measured_s / hosts / lasted_s
    return Cost(hosts, len(ended.trials), lasted_s, busy, fleet.driver_s, seconds)


@contextmanager
def _in_order() -> Iterator[None]:
    """Configurations come from the grid, and nothing is learned of them."""
    whole = space_of_sixteen_cores()
    others = (each for each in whole.grid() if each != whole.defaults)
    proposals = itertools.starmap(Proposal, enumerate(itertools.chain([whole.defaults], others)))

    def ask(*_: Any) -> Proposal:
        return next(proposals)

    with (
        mock.patch.object(Exploration, "ask", ask),
        mock.patch.object(Exploration, "learn", return_value=None),
    ):
        yield


@contextmanager
def _timed(owner: type, method: str, seconds: list[float]) -> Iterator[None]:
    """Each call of the method is timed."""
    real: Callable[..., Any] = getattr(owner, method)

    def timed(*arguments: Any, **keys: Any) -> Any:
        began = time.perf_counter()
        try:
            return real(*arguments, **keys)
        finally:
            seconds.append(time.perf_counter() - began)

    with mock.patch.object(owner, method, timed):
        yield


def _row(cost: Cost) -> list[str]:
    asked, told = cost.seconds["ask"] or [0.0, 0.0], cost.seconds["tell"] or [0.0]
    return [
        f"{cost.hosts:,}",
        f"{cost.trials:,}",
        f"{cost.trials / cost.lasted_s:.2f}",
        f"{cost.busy:.0%}",
        f"{1e3 * cost.driver_s / cost.trials:.0f}",
        f"{1e3 * statistics.median(asked):.0f}",
        f"{1e3 * statistics.quantiles(asked, n=20)[-1]:.0f}",
        f"{1e3 * statistics.median(cost.seconds['record']):.1f}",
        f"{1e3 * statistics.median(told):.0f}",
    ]


if __name__ == "__main__":
    main()
