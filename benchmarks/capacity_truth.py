"""Is the capacity true? The capacity search on simulated servers whose capacity is known.

    python -m benchmarks.capacity_truth

All in virtual time: the seconds are those that a real server would have been measured for. Each
figure is over many independent runs; a share has its 95 % interval (Wilson) in brackets. Beside
our methods stand perf_analyzer's, re-implemented (`benchmarks.perf_analyzer_rule`): its binary
search over the request rate, from a quarter of the saturation throughput up to all of it, in steps
of 1 %; with its default synchronous calls, and with `--async`, which forgives an unstable latency.

Exit status 1: on a server, more than 5 % of the verdicts on 1.05 times the capacity were "within".
"""

import argparse
import math
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import perf_analyzer_rule
from benchmarks.known_capacities import SCENARIOS, Scenario
from benchmarks.options import count
from benchmarks.perf_analyzer_rule import Judgement, Rule
from benchmarks.simulated_study import FAMILY, Recommendation, recommend
from benchmarks.tables import machine, share, table
from tests.capacity.simulated_server import SimulatedServer
from tuner.capacity.find import find_capacity
from tuner.capacity.probes import Expected
from tuner.capacity.proof import LoadVerdict, certify
from tuner.load.arrivals import schedule
from tuner.load.profile import OpenLoop
from tuner.numbers.distributions import Z
from tuner.study.time_plan import STRETCHES

# The loads that are judged, times the capacity.
_LOADS = (0.90, 0.95, 1.05, 1.10)
# At this one of them,
_JUST_OVER = 1.05
# no more than this share of all verdicts may be `within`.
_ALLOWED_FALSE = 0.05
# Where perf_analyzer's rule begins to search, and its steps; shares of the saturation throughput.
_LOWEST = 0.25
_STEP = 0.01
# Seeds of the finals begin here.
_FINAL_SEEDS = 10_000
# The seeds of two runs are this far apart: load points of one run have arrivals of their own.
_SEED_SPACING = 100
# A recommendation that carries this share of the best configuration's capacity is good.
_GOOD = 0.95


@dataclass(frozen=True)
class Found:
    """A search's answer in requests per second, 0 if there is none; its error if it is told."""

    rate: float
    spent_s: float
    log_error: float = math.nan


@dataclass(frozen=True)
class Said:
    """A verdict on a load, and how long it took."""

    verdict: str
    spent_s: float


_FINAL = "tuner, a final"

_Verdicts = Mapping[tuple[str, float, str], Sequence[Said]]  # by server, load and method


def search(name: str, seed: int) -> Found:
    """The tuner's."""
    scenario = SCENARIOS[name]
    server = SimulatedServer(scenario.simulation, seed=seed)
    capacity = find_capacity(server, scenario.plan(_SEED_SPACING * seed))
    return Found(capacity.throughput, server.spent_s, capacity.log_error)


def final(name: str, seed: int) -> Found:
    """The tuner's for a finalist: what a search found, measured again with longer load points."""
    scenario = SCENARIOS[name]
    before = find_capacity(
        SimulatedServer(scenario.simulation, seed=_FINAL_SEEDS + seed),
        scenario.plan(_SEED_SPACING * (_FINAL_SEEDS + seed)),
    )
    server = SimulatedServer(scenario.simulation, seed=seed)
    plan = replace(
        scenario.plan(_SEED_SPACING * seed),
        stretch=max(STRETCHES),
        expected=Expected(before.throughput, before.saturation),
    )
    capacity = find_capacity(server, plan)
    return Found(capacity.throughput, server.spent_s, capacity.log_error)


def verdict(name: str, rate: float, seed: int) -> Said:
    """The tuner's."""
    scenario = SCENARIOS[name]
    server = SimulatedServer(scenario.simulation, seed=seed)
    certificate = certify(server, scenario.budget, rate, seed=_SEED_SPACING * seed)
    return Said(certificate.verdict.value, server.spent_s)


def perf_analyzer_search(name: str, seed: int, *, asynchronous: bool) -> Found:
    scenario = SCENARIOS[name]
    full = scenario.saturation
    judge = _judge(scenario, seed, asynchronous=asynchronous)
    found = perf_analyzer_rule.highest_load(judge, _LOWEST * full, full, _STEP * full)
    return Found(found.load or 0.0, found.spent_s)


def perf_analyzer_verdict(name: str, rate: float, seed: int, *, asynchronous: bool) -> Said:
    judgement = _judge(SCENARIOS[name], seed, asynchronous=asynchronous)(rate)
    return Said(judgement.verdict.value, judgement.spent_s)


SEARCHES: Mapping[str, Callable[[str, int], Found]] = {
    "tuner": search,
    _FINAL: final,
    "perf_analyzer": partial(perf_analyzer_search, asynchronous=False),
    "perf_analyzer --async": partial(perf_analyzer_search, asynchronous=True),
}
VERDICTS: Mapping[str, Callable[[str, float, int], Said]] = {
    "tuner": verdict,
    "perf_analyzer": partial(perf_analyzer_verdict, asynchronous=False),
    "perf_analyzer --async": partial(perf_analyzer_verdict, asynchronous=True),
}


def main() -> None:
    options = _options()
    seeds = range(options.replications)
    searches = ["tuner", _FINAL] if options.alone else list(SEARCHES)
    methods = ["tuner"] if options.alone else list(VERDICTS)
    print(f"{options.replications} runs of each, in virtual time. {machine()}.\n", flush=True)
    with ProcessPoolExecutor(options.processes) as pool:
        _say("the true capacities")
        truths = dict(zip(SCENARIOS, pool.map(scenario_capacity, SCENARIOS), strict=True))
        print(_search_table(pool, truths, seeds, searches), flush=True)
        verdicts = _verdicts(pool, truths, seeds, methods)
        print("\n" + _verdict_table(verdicts, methods), flush=True)
        _say("studies")
        capacities = list(pool.map(family_capacity, range(len(FAMILY))))
        recommended = list(pool.map(recommend, seeds))
        print("\n" + _study_table(capacities, recommended))
    for method in methods:
        false = _false_within(verdicts, method)
        print(
            f"\nFalse `within` of {method} at {_JUST_OVER} times the capacity:"
            f" {statistics.mean(false):.1%}, on the worst server {max(false):.1%}."
        )
    if max(_false_within(verdicts, "tuner")) > _ALLOWED_FALSE:
        raise SystemExit(1)


def scenario_capacity(name: str) -> float:
    return SCENARIOS[name].capacity(runs=8, requests=1_000_000)


def family_capacity(index: int) -> float:
    return FAMILY[index].capacity(runs=4, requests=100_000)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replications", type=count, default=200, help="runs of each kind")
    parser.add_argument("--processes", type=count, default=2)
    parser.add_argument(
        "--alone", action="store_true", help="without perf_analyzer, which takes most of the time"
    )
    return parser.parse_args()


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def _judge(scenario: Scenario, seed: int, *, asynchronous: bool) -> Callable[[float], Judgement]:
    """What perf_analyzer says of a load; like the original, it has one schedule for all loads."""
    rule = Rule(
        percentile=int(scenario.budget.percentile),
        threshold_s=scenario.budget.limit_s,
        asynchronous=asynchronous,
    )
    random = np.random.default_rng([seed, 31])

    def judge(rate: float) -> Judgement:
        sent_s = schedule(OpenLoop(rate, seed=seed), rule.longest_s)
        done_s = scenario.simulation.open_loop(sent_s, random)
        return perf_analyzer_rule.judge(rule, sent_s, done_s)

    return judge


def _search_table(
    pool: Executor, truths: Mapping[str, float], seeds: Sequence[int], methods: Sequence[str]
) -> str:
    rows = []
    for name, truth in truths.items():
        for method in methods:
            _say(f"searches: {name}, {method}")
            found = list(pool.map(partial(SEARCHES[method], name), seeds, chunksize=4))
            rows.append([name, f"{truth:.0f}", method, *_accuracy(found, truth)])
    headings = ["server", "capacity, 1/s", "method", "no answer", "bias %", "RMSE %"]
    headings += ["within 5 % of it, %", "within 10 %, %", "95 % interval holds it, %"]
    return table([*headings, "measuring, s: median", "90 %"], rows)


def _accuracy(found: Sequence[Found], truth: float) -> list[str]:
    """Of all runs; bias (median), error and interval of those that gave an answer."""
    spent_s = [each.spent_s for each in found]
    seconds = [f"{statistics.median(spent_s):.0f}", f"{np.quantile(spent_s, 0.9):.0f}"]
    answers = [each for each in found if each.rate]
    none = str(len(found) - len(answers))
    if not answers:
        return [none, *["-"] * 5, *seconds]
    logs = np.log([each.rate / truth for each in answers])
    near = [share(int((abs(logs) <= math.log1p(e)).sum()), len(found)) for e in (0.05, 0.10)]
    errors = np.array([each.log_error for each in answers])
    holds = int((abs(logs) <= Z * errors).sum())
    coverage = "-" if np.isnan(errors).all() else share(holds, len(answers))
    bias, error = np.expm1(np.median(logs)), math.sqrt((logs**2).mean())
    return [none, f"{100 * bias:+.1f}", f"{100 * error:.1f}", *near, coverage, *seconds]


def _verdicts(
    pool: Executor, truths: Mapping[str, float], seeds: Sequence[int], methods: Sequence[str]
) -> _Verdicts:
    said = {}
    for name, truth in truths.items():
        _say(f"verdicts: {name}")
        for load in _LOADS:
            for method in methods:
                run = partial(VERDICTS[method], name, load * truth)
                said[name, load, method] = list(pool.map(run, seeds, chunksize=4))
    return said


def _verdict_table(verdicts: _Verdicts, methods: Sequence[str]) -> str:
    headings = ["server", "load / capacity"]
    for method in methods:
        headings += [f"{method}: within %", "over %", "none %", "s"]
    loads = dict.fromkeys((name, load) for name, load, _ in verdicts)
    rows = []
    for name, load in loads:
        cells = (_said(verdicts[name, load, method]) for method in methods)
        rows.append([name, f"{load:.2f}", *(cell for each in cells for cell in each)])
    return table(headings, rows)


def _said(said: Sequence[Said]) -> list[str]:
    counts = Counter(each.verdict for each in said)
    within, over = counts[LoadVerdict.WITHIN], counts[LoadVerdict.OVER]
    return [
        share(within, len(said)),
        f"{100 * over / len(said):.1f}",
        f"{100 * (len(said) - within - over) / len(said):.1f}",
        f"{statistics.median(each.spent_s for each in said):.0f}",
    ]


def _false_within(verdicts: _Verdicts, method: str) -> list[float]:
    """The share of verdicts that were too good, by server."""
    just_over = [verdicts[key] for key in verdicts if key[1:] == (_JUST_OVER, method)]
    return [
        sum(each.verdict == LoadVerdict.WITHIN for each in said) / len(said) for said in just_over
    ]


def _study_table(capacities: Sequence[float], recommended: Sequence[Recommendation]) -> str:
    best = max(capacities)
    headings = ["recommended", f"has {_GOOD:.0%} of the best, %"]
    headings += ["of the best: median", "worst decile", "worst", "measuring, s: median"]
    confirmed = _study_row(
        "the search's best in the finals",
        [capacities[each.confirmed] / best for each in recommended],
        [each.search_s + each.finals_s for each in recommended],
    )
    best_once = _study_row(
        "the search's best single measurement",
        [capacities[each.best_once] / best for each in recommended],
        [each.search_s for each in recommended],
    )
    close = sum(each / best >= _GOOD for each in capacities)
    rows = table(headings, [confirmed, best_once])
    return f"{close} of {len(FAMILY)} configurations have {_GOOD:.0%} of the best.\n\n{rows}"


def _study_row(name: str, shares: Sequence[float], seconds: Sequence[float]) -> list[str]:
    return [
        name,
        share(sum(share >= _GOOD for share in shares), len(shares)),
        f"{statistics.median(shares):.3f}",
        f"{np.quantile(shares, 0.1):.3f}",
        f"{min(shares):.3f}",
        f"{statistics.median(seconds):.0f}",
    ]


if __name__ == "__main__":
    main()
