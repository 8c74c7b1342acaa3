"""Are the times of tokens true? The load engine beside a server that knows when it sent them.

    python -m benchmarks.token_truth

The stand-in of a language model streams tokens by a known schedule, and notes what it really did:
from the kernel's stamp on the request's packet to its own write of each token. The times to the
first token (TTFT), the mean times between the tokens of an answer (ITL) and the gaps between
single tokens that the engine saw must have the percentiles of that truth, within 2 % + 200 us, for
the way of a packet through the kernel and for waking up. Tokens come one in a packet or four, and
packets end after an event, in the middle of `data:`, or in the middle of a character.

Exit status 1: a percentile is not within what is allowed.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.closeness import Closeness, median
from benchmarks.options import count, seconds
from benchmarks.tables import machine, table
from benchmarks.token_answers import AnswerForm, Cut
from benchmarks.token_requests import token_requests
from benchmarks.token_server import Schedule, SentTokens, token_server
from tuner.load.client import LoadEngine
from tuner.load.histogram import percentile
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, LoadRun, OpenLoop
from tuner.numbers.arrays import FloatArray

_PERCENTILES = (50.0, 95.0, 99.0)
# How far a percentile may be from the truth, beside a share of it.
_ALLOWED_S = 200e-6
_PROFILES: tuple[LoadProfile, ...] = (ClosedLoop(8), OpenLoop(16))
_DRAIN_S = 10.0
_DRAWN = 1 << 16
_TOKENS = 32


def _schedules() -> Mapping[str, Schedule]:
    random = np.random.default_rng(0)
    uniform_s = random.uniform(0.02, 0.2, _DRAWN)
    lognormal_s = random.lognormal(np.log(0.08), 0.5, _DRAWN)
    # Not 1 %: the 99th percentile would be at the edge of the tail, and be neither of the two.
    tail_s = np.where(random.random(_DRAWN) < 0.02, 0.1, 0.008)
    # From 1 ms on: tokens that are closer to each other than it takes to read one arrive together.
    exponential_s = 0.001 + random.exponential(0.011, _DRAWN)
    return {
        "gaps of 10 ms": Schedule(
            ttfts_s=uniform_s, gaps_s=np.full(1, 0.01), form=AnswerForm(tokens=_TOKENS)
        ),
        "gaps of 8 ms, 2 % of them 100 ms; ends in `data:`": Schedule(
            ttfts_s=lognormal_s,
            gaps_s=tail_s,
            form=AnswerForm(tokens=_TOKENS, cut=Cut.FIELD),
        ),
        "gaps of 1 ms + exponential, mean 12 ms; ends in a character": Schedule(
            ttfts_s=lognormal_s,
            gaps_s=exponential_s,
            form=AnswerForm(tokens=_TOKENS, cut=Cut.CHARACTER),
        ),
        "four tokens each 40 ms": Schedule(
            ttfts_s=uniform_s,
            gaps_s=np.full(1, 0.04),
            form=AnswerForm(tokens=_TOKENS, together=4),
        ),
    }


@dataclass(frozen=True)
class Comparison:
    """A percentile of one kind of time, as it was sent and as it was seen."""

    profile: LoadProfile
    schedule: str
    kind: str
    times: int
    q: float
    closeness: Closeness
    priorities: str

    def cells(self) -> list[str]:
        return [
            str(self.profile),
            self.schedule,
            self.kind,
            str(self.times),
            f"p{self.q:g}",
            *self.closeness.cells(),
        ]


def main() -> None:
    options = _options()
    print(
        f"What the load engine saw of output tokens beside what the server sent, {options.rounds}"
        f" rounds of {options.seconds:g} s each: the round with the median error. {machine()}.\n"
    )
    with LoadEngine() as engine:
        rounds = [list(_comparisons(engine, options.seconds)) for _ in range(options.rounds)]
    comparisons = [_median(each) for each in zip(*rounds, strict=True)]
    headings = ["load", "schedule", "of", "number", "percentile", "sent ms", "seen ms"]
    headings += ["seen - sent us", "allowed us", "within"]
    print(table(headings, [each.cells() for each in comparisons]))
    held = sum(each.closeness.holds for each in comparisons)
    priorities = " or ".join(sorted({each.priorities for each in comparisons}))
    print(f"\n{held} of {len(comparisons)} are within 2 % + 200 us of the truth.", end=" ")
    print(f"Priority of server and engine: {priorities}.")
    if held < len(comparisons):
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--seconds", type=seconds, default=10.0, help="length of one run")
    return parser.parse_args()


def _comparisons(engine: LoadEngine, duration_s: float) -> Iterator[Comparison]:
    for profile in _PROFILES:
        for name, schedule in _schedules().items():
            measurement, sent = _observe(engine, schedule, profile, duration_s)
            for kind, times_s, seen in _kinds(measurement, sent):
                for q in _PERCENTILES:
                    yield Comparison(
                        profile,
                        name,
                        kind,
                        len(times_s),
                        q,
                        Closeness(percentile(np.sort(times_s), q), seen[q], _ALLOWED_S),
                        f"{sent.priority} and {measurement.priority}",
                    )


def _observe(
    engine: LoadEngine, schedule: Schedule, profile: LoadProfile, duration_s: float
) -> tuple[Measurement, SentTokens]:
    """What the engine saw, and what the server did."""
    with token_server(schedule) as server:
        engine.prepare(token_requests(server.endpoint, output_tokens=_TOKENS))
        run = LoadRun(
            endpoint=server.endpoint, profile=profile, duration_s=duration_s, drain_s=_DRAIN_S
        )
        measurement = engine.measure(run)
        sent = server.sent()
    if measurement.failed or measurement.unanswered:
        raise SystemExit(
            f"requests failed: {measurement.errors}, {measurement.unanswered} without an answer"
        )
    return measurement, sent


def _kinds(
    seen: Measurement, sent: SentTokens
) -> Iterator[tuple[str, FloatArray, Mapping[float, float]]]:
    """What is compared: its name, how it was sent, and its percentiles as they were seen."""
    tokens = seen.tokens
    assert tokens is not None  # noqa: S101 - for the type checker
    yield "TTFT", sent.ttfts_s, {q: seen.ttft(q) for q in _PERCENTILES}
    yield "ITL", sent.itls_s, {q: seen.itl(q) for q in _PERCENTILES}
    yield "gap", sent.gaps_s, {q: tokens.gaps.percentile(q) for q in _PERCENTILES}


def _median(rounds: Sequence[Comparison]) -> Comparison:
    return rounds[median([each.closeness for each in rounds])]


if __name__ == "__main__":
    main()
