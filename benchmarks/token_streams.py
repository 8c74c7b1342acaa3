"""How much does the load engine bear of streams of tokens? Its memory, and 512 at once.

    python -m benchmarks.token_streams

First 64 streams at a time bring a million output tokens in one run. The resident memory of the
engine's processes is read twice a second, and must grow by less than 10 MB from the start of the
run to its end. Then 512 streams at once bring 20 tokens per second each, which one engine process
must carry without being `client_overloaded`, and see as they were sent: the median gap between
tokens within 2 % + 200 us.

Exit status 1: one of these does not hold.
"""

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.options import count, seconds
from benchmarks.soak import MemoryWatch
from benchmarks.tables import machine, table
from benchmarks.token_answers import AnswerForm
from benchmarks.token_requests import token_requests
from benchmarks.token_server import Schedule, SentTokens, token_server
from tuner.load.client import LoadEngine
from tuner.load.histogram import percentile
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.load.tokens import Tokens

_ALLOWED_BYTES = 10_000_000
_ALLOWED_SHARE = 0.02
_ALLOWED_S = 200e-6
_EARLY_SHARE = 0.1
_LONGEST_S = 86_400.0
_DRAIN_S = 20.0
_FIRST_REQUESTS = 64

_LONG = Schedule(
    ttfts_s=np.linspace(0.01, 0.1, 997), gaps_s=np.full(1, 0.006), form=AnswerForm(tokens=256)
)
_MANY = Schedule(
    ttfts_s=np.linspace(0.05, 1.5, 997), gaps_s=np.full(1, 0.05), form=AnswerForm(tokens=200)
)
_LONG_STREAMS, _MANY_STREAMS = 64, 512


def main() -> None:
    options = _options()
    print(f"Streams of output tokens. {machine()}.\n")
    held = [_memory_holds(options.tokens), _many_hold(options.seconds)]
    if not all(held):
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=count, default=1_000_000)
    parser.add_argument("--seconds", type=seconds, default=20.0, help="of the 512 streams")
    return parser.parse_args()


def _memory_holds(tokens: int) -> bool:
    """Whether the memory of the engine stays as it is over so many tokens."""
    each = _LONG.form.tokens
    with token_server(_LONG) as server, LoadEngine() as engine:
        engine.prepare(token_requests(server.endpoint, output_tokens=each))
        profile = ClosedLoop(_LONG_STREAMS)
        run = LoadRun(endpoint=server.endpoint, profile=profile, duration_s=_LONGEST_S)
        engine.measure(replace(run, max_requests=_FIRST_REQUESTS))
        watch = MemoryWatch(engine.pids)
        with watch.running():
            measurement = engine.measure(replace(run, max_requests=-(-tokens // each)))
    seen = _tokens(measurement)
    resident = [watch.resident[0], watch.after(_EARLY_SHARE), watch.resident[-1]]
    headings = ["tokens", "tokens/s", "CPU us/token", "resident MB at the start"]
    cells = [f"{seen.output:,}", f"{seen.throughput:.0f}", f"{_cpu_us(measurement):.1f}"]
    cells += [f"{size / 1e6:.1f}" for size in (*resident, max(watch.resident))]
    print(table([*headings, f"after {_EARLY_SHARE:.0%}", "at the end", "largest seen"], [cells]))
    growth = resident[-1] - resident[0]
    allowed = f"{_ALLOWED_BYTES / 1e6:.1f} MB are allowed"
    print(f"\nIt grew by {growth / 1e6:.1f} MB; {allowed}.\n", flush=True)
    return growth < _ALLOWED_BYTES


def _many_hold(duration_s: float) -> bool:
    """Whether one process carries 512 streams, and sees them as they were sent."""
    with token_server(_MANY) as server, LoadEngine() as engine:
        engine.prepare(token_requests(server.endpoint, output_tokens=_MANY.form.tokens))
        run = LoadRun(
            endpoint=server.endpoint,
            profile=ClosedLoop(_MANY_STREAMS),
            duration_s=duration_s,
            drain_s=_DRAIN_S,
        )
        measurement = engine.measure(run)
        sent = server.sent()
    seen = _tokens(measurement)
    print(_many_table(measurement, sent))
    told = measurement.client_overloaded
    print(f"\nclient_overloaded: {told or 'no'}.")
    sent_s, seen_s = percentile(np.sort(sent.gaps_s), 50), seen.gaps.percentile(50)
    return not told and abs(seen_s - sent_s) <= _ALLOWED_SHARE * sent_s + _ALLOWED_S


def _many_table(measurement: Measurement, sent: SentTokens) -> str:
    seen = _tokens(measurement)
    headings = ["streams", "tokens/s", "CPU us/token", "share of a core"]
    cells = [str(_MANY_STREAMS), f"{seen.throughput:.0f}", f"{_cpu_us(measurement):.1f}"]
    cells.append(f"{measurement.engine_cpu_share:.2f}")
    gaps_s = np.sort(sent.gaps_s)
    for q in (50, 95, 99):
        headings += [f"gap p{q} ms: sent", "seen"]
        cells += [f"{percentile(gaps_s, q) * 1e3:.2f}", f"{seen.gaps.percentile(q) * 1e3:.2f}"]
    headings.append("p99 of how late the server was, ms")
    cells.append(f"{percentile(np.sort(sent.lags_s), 99) * 1e3:.2f}")
    return table(headings, [cells])


def _tokens(measurement: Measurement) -> Tokens:
    """Of a run without failures."""
    if measurement.failed or measurement.unanswered or measurement.tokens is None:
        raise SystemExit(
            f"requests failed: {measurement.errors}, {measurement.unanswered} without an answer"
        )
    return measurement.tokens


def _cpu_us(measurement: Measurement) -> float:
    """Processor time of the engine for each token that came."""
    return measurement.engine_cpu_s / _tokens(measurement).output * 1e6


if __name__ == "__main__":
    main()
