"""Compares the load engine with wrk, a load generator in C that does little else than to send.

    python -m benchmarks.wrk [--wrk PATH]

Both send the same bytes, from one process and one thread, to the same static server, in turn, each
round in the other order. Requests per second per core are requests / CPU seconds, user and system,
of wrk's process from its start to its end, and of the engine's and of this script's work for it.
The engine, a Python process, takes a while to start: a second, much shorter run says how long, and
is taken off.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from benchmarks.options import count, program
from benchmarks.processes import own_cpu_s
from benchmarks.static_server import static_server
from benchmarks.tables import machine, median, spread, table
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, Endpoint, LoadRun
from tuner.load.requests import RequestSet

_SHORT_S = 0.06
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}
_RESULT = re.compile(
    r" 50% +(?P<p50>[\d.]+)(?P<unit>us|ms|s)$.*?"
    r"^ +(?P<requests>\d+) requests in .*?"
    r"^Requests/sec: +(?P<throughput>[\d.]+)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Run:
    """One start of a load generator, from its begin to its end."""

    cpu_s: float
    requests: int
    throughput: float
    p50_s: float


@dataclass(frozen=True)
class Figures:
    """What one round says of one tool; rates are requests per second."""

    per_core: float
    throughput: float
    p50_us: float


@dataclass(frozen=True)
class Round:
    """Both tools, one after the other."""

    concurrency: int
    engine: Figures
    wrk: Figures


def main() -> None:
    options = _options()
    with static_server() as server:
        print(
            f"The load engine and wrk in turn, {options.rounds} rounds of {options.seconds} s"
            f" each, on {server.name}. {machine()}. Ratios are engine / wrk: median (range) over"
            " the rounds.\n"
        )
        _run_engine(server.endpoint, 8, 0.5)  # warms the server up
        print(_table(list(_rounds(options, server.endpoint))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wrk", type=program, default="wrk", help="its program")
    parser.add_argument("--concurrency", type=count, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=4, help="length of one run")
    return parser.parse_args()


def _rounds(options: argparse.Namespace, endpoint: Endpoint) -> Iterator[Round]:
    for number in range(options.rounds):
        for concurrency in options.concurrency:
            print(f"round {number + 1}: {concurrency}", file=sys.stderr)
            if number % 2:
                wrk = _wrk(options, endpoint, concurrency)
                yield Round(concurrency, _engine(options, endpoint, concurrency), wrk)
            else:
                engine = _engine(options, endpoint, concurrency)
                yield Round(concurrency, engine, _wrk(options, endpoint, concurrency))


def _engine(options: argparse.Namespace, endpoint: Endpoint, concurrency: int) -> Figures:
    long = _run_engine(endpoint, concurrency, options.seconds)
    short = _run_engine(endpoint, concurrency, _SHORT_S)
    per_core = (long.requests - short.requests) / (long.cpu_s - short.cpu_s)
    return Figures(per_core, long.throughput, long.p50_s * 1e6)


def _run_engine(endpoint: Endpoint, concurrency: int, duration_s: float) -> Run:
    # The very bytes that wrk sends.
    request = f"GET / HTTP/1.1\r\nHost: {endpoint.authority}\r\n\r\n".encode()
    run = LoadRun(endpoint=endpoint, profile=ClosedLoop(concurrency), duration_s=duration_s)
    began_s = own_cpu_s()
    with LoadEngine() as engine:
        engine.prepare(RequestSet((request,)))
        measurement = engine.measure(run)
    if measurement.failed or measurement.unanswered:
        raise SystemExit(f"requests of the load engine failed: {measurement.errors}")
    p50_s = measurement.percentile(50)
    used_s = own_cpu_s() - began_s
    return Run(used_s, measurement.requests, measurement.throughput, p50_s)


def _wrk(options: argparse.Namespace, endpoint: Endpoint, concurrency: int) -> Figures:
    arguments = ["-t", "1", "-c", str(concurrency), "-d", f"{options.seconds}s", "--latency"]
    began_s = own_cpu_s()
    done = subprocess.run(
        [str(options.wrk), *arguments, f"http://{endpoint.authority}/"],
        capture_output=True,
        text=True,
        check=False,
    )
    used_s = own_cpu_s() - began_s
    said = _RESULT.search(done.stdout)
    if done.returncode or said is None or "errors" in done.stdout or "Non-2xx" in done.stdout:
        raise SystemExit(f"wrk failed:\n{done.stdout}{done.stderr}")
    return Figures(
        per_core=int(said["requests"]) / used_s,
        throughput=float(said["throughput"]),
        p50_us=float(said["p50"]) * _MICROSECONDS[said["unit"]],
    )


def _table(rounds: Sequence[Round]) -> str:
    headings = ["concurrency"]
    for name in ("requests/s per core", "requests/s", "p50 us"):
        headings += [f"{name}: engine", "wrk", "ratio"]
    by_concurrency = dict.fromkeys(each.concurrency for each in rounds)
    return table(
        headings,
        [
            _row(key, [each for each in rounds if each.concurrency == key])
            for key in by_concurrency
        ],
    )


def _row(concurrency: int, rounds: Sequence[Round]) -> list[str]:
    cells = [str(concurrency)]
    for name in ("per_core", "throughput", "p50_us"):
        figure = attrgetter(name)
        cells.append(median([figure(each.engine) for each in rounds], 0))
        cells.append(median([figure(each.wrk) for each in rounds], 0))
        cells.append(spread([figure(each.engine) / figure(each.wrk) for each in rounds]))
    return cells


if __name__ == "__main__":
    main()
