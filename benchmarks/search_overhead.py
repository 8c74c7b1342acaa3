"""What the search itself costs: the time of `ask`, `tell` and `promise`, with an SQLite file.

    python -m benchmarks.search_overhead

A study on a space such as Triton's on sixteen cores (2,540 configurations), with a formula instead
of a server. Figures are over the last 50 proposals before 100, 300 and 1,000 trials.
"""

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.options import count
from benchmarks.tables import machine, table
from tuner.errors import Reason
from tuner.goals import LatencyBudget
from tuner.records import Purpose, TrialRecord, TrialState
from tuner.search.samplers import Sampler
from tuner.search.search import Proposal, Search
from tuner.space.expressions import Expression
from tuner.space.settings import ServerFlag
from tuner.space.space import CategoricalParameter, Configuration, IntParameter, Rule, SearchSpace

_MILESTONES = (100, 300, 1000)
_WINDOW = 50
_NOISE = 0.02
BUDGET = LatencyBudget(99, 0.05)


@dataclass(frozen=True)
class Cost:
    """How long one proposal took, in seconds, and at which trial it was."""

    trial: int
    ask_s: float
    tell_s: float
    promise_s: float


def main() -> None:
    options = _options()
    print(f"{options.trials} trials, seed {options.seed}. {machine()}.\n")
    rows: list[list[str]] = []
    for sampler in (Sampler.TPE, Sampler.RANDOM):
        costs = list(_costs(sampler, options.trials, options.seed))
        rows += [_row(sampler, mark, costs) for mark in _MILESTONES if mark <= options.trials]
    headings = ["sampler", "trials", "ask ms: median", "p95", "tell ms: median", "p95"]
    print(table([*headings, "promise ms: median", "p95"], rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=count, default=_MILESTONES[-1])
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _costs(sampler: Sampler, trials: int, seed: int) -> Iterator[Cost]:
    """One study of `trials` trials."""
    space, noise = space_of_sixteen_cores(), random.Random(seed)  # noqa: S311 - noise, not a secret
    with tempfile.TemporaryDirectory() as folder:
        search = Search(
            space,
            BUDGET,
            storage_url=f"sqlite:///{Path(folder) / 'studies.db'}",
            study_name="overhead",
            seed=seed,
            sampler=sampler,
        )
        search.enqueue(space.defaults)
        for number in range(trials):
            if number % 100 == 0:
                print(f"{sampler}: trial {number}", file=sys.stderr)
            began_s = time.perf_counter()
            proposal = search.ask()
            asked_s = time.perf_counter()
            if proposal is None:
                return
            record = _record(number, proposal, math.exp(noise.gauss(0, _NOISE)))
            telling_s = time.perf_counter()
            search.tell(proposal.number, record)
            told_s = time.perf_counter()
            search.promise()
            promised_s = time.perf_counter()
            yield Cost(number + 1, asked_s - began_s, told_s - telling_s, promised_s - told_s)


def space_of_sixteen_cores() -> SearchSpace:
    """Triton's on sixteen cores."""
    batching = Expression.parse("dynamic_batching")
    flag = ServerFlag("--any")
    return SearchSpace(
        "triton",
        (
            IntParameter(name="instance_count", low=1, high=32, log=True, default=1, sets=flag),
            CategoricalParameter(
                name="dynamic_batching", choices=(False, True), default=False, sets=flag
            ),
            IntParameter(
                name="max_batch_size",
                low=2,
                high=64,
                log=True,
                default=16,
                when=batching,
                sets=flag,
            ),
            CategoricalParameter(
                name="delay",
                choices=(0, 100, 500, 1000, 2000, 5000, 10000),
                default=0,
                when=batching,
                sets=flag,
            ),
            CategoricalParameter(
                name="preferred", choices=(0, 4, 8, 16), default=0, when=batching, sets=flag
            ),
            IntParameter(name="threads", low=1, high=16, log=True, default=16, sets=flag),
        ),
        rules=tuple(
            Rule(Expression.parse(text))
            for text in ("instance_count * threads <= 32", "preferred <= max_batch_size")
        ),
    )


def _record(number: int, proposal: Proposal, noise: float) -> TrialRecord:
    throughput, now = carried(proposal.configuration), datetime.now(UTC)
    crashed = throughput == 0
    return TrialRecord(
        number=number,
        purpose=Purpose.SEARCH,
        proposal=proposal.number,
        configuration=proposal.configuration,
        state=TrialState.FAILED if crashed else TrialState.FEASIBLE,
        reason=Reason.OUT_OF_MEMORY if crashed else None,
        throughput=throughput * noise,
        started_at=now,
        finished_at=now,
    )


def carried(configuration: Configuration) -> float:
    """A server on sixteen cores that runs out of memory above 512 requests in its batches."""
    instances, threads = int(configuration["instance_count"]), int(configuration["threads"])
    size = int(configuration.get("max_batch_size", 1))
    delay_s = int(configuration.get("delay", 0)) / 1e6
    if instances * size > 512:
        return 0.0
    filled = size * (1 - 0.5 * math.exp(-delay_s / 7e-4)) if size > 1 else 1.0
    cores = min(16, instances * threads) / (1 + 0.25 * math.log2(threads))
    return cores * filled / (1e-3 + 4e-4 * filled) / (1 + 20 * delay_s)


def _row(sampler: Sampler, mark: int, costs: Sequence[Cost]) -> list[str]:
    window = [cost for cost in costs if mark - _WINDOW < cost.trial <= mark]
    figures = (
        [cost.ask_s for cost in window],
        [cost.tell_s for cost in window],
        [cost.promise_s for cost in window],
    )
    cells = [cell for each in figures for cell in _median_and_p95(each)]
    return [sampler.value, str(mark), *cells]


def _median_and_p95(values_s: Sequence[float]) -> tuple[str, str]:
    p95_s = statistics.quantiles(values_s, n=20)[-1]
    return f"{1e3 * statistics.median(values_s):.0f}", f"{1e3 * p95_s:.0f}"


if __name__ == "__main__":
    main()
