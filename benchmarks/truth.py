"""Are the latencies true? The load engine beside a server that knows how long it took.

    python -m benchmarks.truth

The server delays each answer by a known distribution, and notes the delay that it really gave:
from the kernel's stamp on the request to its own write. The percentiles that the engine saw must
be those of that truth, within 2 % + 100 us, for the way of a packet through the kernel and for
waking up.

Then the server freezes for 1 s every 10 s. Of the requests of an open loop a tenth is due during a
freeze, and waits for what is left of it: the p99 is 0.9 s by arithmetic. A closed loop, which
counts from the send, sends nothing while it waits, and so hides the freeze.

Exit status 1: a percentile is not within what is allowed.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.closeness import Closeness, median
from benchmarks.delay_server import Answers, Behaviour, Freeze, delay_server
from benchmarks.options import count, seconds
from benchmarks.tables import machine, table
from tuner.load.client import LoadEngine
from tuner.load.histogram import percentile
from tuner.load.measurement import Measurement
from tuner.load.profile import Arrivals, ClosedLoop, LoadProfile, LoadRun, OpenLoop
from tuner.load.requests import RequestSet
from tuner.numbers.arrays import FloatArray

_REQUESTS = RequestSet((b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",))

_PERCENTILES = (50.0, 95.0, 99.0, 99.9)
# How far a percentile may be from the truth, beside a share of it.
_ALLOWED_S = 100e-6
_PROFILES: tuple[LoadProfile, ...] = (ClosedLoop(8), OpenLoop(400))

_FREEZE = Freeze(after_s=5.0, length_s=1.0, every_s=10.0)
_FREEZING = Behaviour(np.full(1, 0.002), _FREEZE)
_STEADY = OpenLoop(200, Arrivals.CONSTANT)

_DRAIN_S = 5.0
_DELAYS = 1 << 16
_SEED = 0


def _constant(random: np.random.Generator) -> FloatArray:
    del random
    return np.full(1, 0.005)


def _exponential(random: np.random.Generator) -> FloatArray:
    return random.exponential(0.005, _DELAYS)


def _lognormal(random: np.random.Generator) -> FloatArray:
    return random.lognormal(np.log(0.004), 0.7, _DELAYS)


def _bimodal(random: np.random.Generator) -> FloatArray:
    # Not 1 %: the 99th percentile would be at the edge of the tail, and be neither of the two.
    return np.where(random.random(_DELAYS) < 0.02, 0.06, 0.003)


_DISTRIBUTIONS: Mapping[str, Callable[[np.random.Generator], FloatArray]] = {
    "constant 5 ms": _constant,
    "exponential, mean 5 ms": _exponential,
    "lognormal, median 4 ms, sigma 0.7": _lognormal,
    "3 ms, 2 % of them 60 ms": _bimodal,
}


@dataclass(frozen=True)
class Comparison:
    """A percentile of the delays that were meant, of those that were given, and of those seen."""

    profile: LoadProfile
    distribution: str
    requests: int
    q: float
    meant_s: float
    closeness: Closeness
    priorities: str

    def cells(self) -> list[str]:
        return [
            _described(self.profile),
            self.distribution,
            str(self.requests),
            f"p{self.q:g}",
            f"{self.meant_s * 1e3:.3f}",
            *self.closeness.cells(),
        ]


def main() -> None:
    options = _options()
    print(
        f"What the load engine saw beside what the server did, {options.rounds} rounds of"
        f" {options.seconds:g} s each: the round with the median error. {machine()}.\n"
    )
    with LoadEngine() as engine:
        engine.prepare(_REQUESTS)
        rounds = [list(_comparisons(engine, options.seconds)) for _ in range(options.rounds)]
        comparisons = [_median(each) for each in zip(*rounds, strict=True)]
        held = sum(each.closeness.holds for each in comparisons)
        priorities = " or ".join({each.priorities for each in comparisons})
        print(_comparison_table(comparisons))
        print(f"\n{held} of {len(comparisons)} are within 2 % + 100 us of the truth.", end=" ")
        print(f"Priority of server and engine: {priorities}.\n", flush=True)
        print(_stall_table(engine, options.freezes))
    if held < len(comparisons):
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--seconds", type=seconds, default=10.0, help="length of one run")
    parser.add_argument("--freezes", type=count, default=2, help="one takes 10 s")
    return parser.parse_args()


def _described(profile: LoadProfile) -> str:
    match profile:
        case ClosedLoop(concurrency):
            return f"closed loop of {concurrency}"
        case OpenLoop(rate, arrivals):
            return f"open loop, {arrivals}, {rate:g}/s"
        case _:
            return str(profile)


def _observe(
    engine: LoadEngine, behaviour: Behaviour, profile: LoadProfile, duration_s: float
) -> tuple[Measurement, Answers]:
    """What the engine saw of the server, and what the server did."""
    with delay_server(behaviour) as server:
        run = LoadRun(
            endpoint=server.endpoint, profile=profile, duration_s=duration_s, drain_s=_DRAIN_S
        )
        measurement = engine.measure(run)
        answers = server.answers()
    if measurement.failed or measurement.unanswered:
        raise SystemExit(
            f"requests failed: {measurement.errors}, {measurement.unanswered} without an answer"
        )
    return measurement, answers


def _comparisons(engine: LoadEngine, duration_s: float) -> Iterator[Comparison]:
    for profile in _PROFILES:
        for name, distribution in _DISTRIBUTIONS.items():
            delays_s = distribution(np.random.default_rng(_SEED))
            measurement, answers = _observe(engine, Behaviour(delays_s), profile, duration_s)
            meant_s, given_s = np.sort(answers.meant_s), np.sort(answers.given_s)
            for q in _PERCENTILES:
                yield Comparison(
                    profile,
                    name,
                    measurement.requests,
                    q,
                    percentile(meant_s, q),
                    Closeness(percentile(given_s, q), measurement.percentile(q), _ALLOWED_S),
                    f"{answers.priority} and {measurement.priority}",
                )


def _median(rounds: Sequence[Comparison]) -> Comparison:
    return rounds[median([each.closeness for each in rounds])]


def _comparison_table(comparisons: list[Comparison]) -> str:
    headings = ["load", "delay", "requests", "percentile", "meant ms", "given ms", "seen ms"]
    headings += ["seen - given us", "allowed us", "within"]
    return table(headings, [each.cells() for each in comparisons])


def _stall_table(engine: LoadEngine, freezes: int) -> str:
    """A freeze of 1 s every 10 s as each loop sees it."""
    frozen_share = _FREEZE.length_s / _FREEZE.every_s
    rows = []
    for profile in (_STEADY, ClosedLoop(8)):
        seen, _ = _observe(engine, _FREEZING, profile, freezes * _FREEZE.every_s)
        by_arithmetic_s = _FREEZE.length_s * (1 - 0.01 / frozen_share)
        expected = f"{by_arithmetic_s * 1e3:.0f}" if profile is _STEADY else "-"
        figures = [f"{seen.percentile(q) * 1e3:.1f}" for q in (50, 95, 99, 99.9, 100)]
        rows.append([_described(profile), str(seen.requests), *figures, expected])
    headings = ["load on a server that freezes 1 s every 10 s", "requests", "p50 ms", "p95 ms"]
    return table([*headings, "p99 ms", "p99.9 ms", "largest ms", "p99 by arithmetic, ms"], rows)


if __name__ == "__main__":
    main()
