"""Compares the load engine with perf_analyzer: CPU time per request, throughput and latency.

    python -m benchmarks.load_engine --perf-analyzer PATH [--library-path FOLDER]

Both drive the same Triton with the same trivial model, in turn, each round in the other order. The
CPU time is that of all that a tool needs, user and system: its processes from their start to their
end, and what this script does to start them and to read their results. What it takes beyond the
requests is found by a second, much shorter run, and taken off:
(long - short) / (requests of long - of short). The server's CPU time is that of its processes,
over the same runs and in the same way. The server itself counts the requests, for both alike.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter

from benchmarks.perf_analyzer import Load, PerfAnalyzer, Seen, comparison_options, in_turn
from benchmarks.processes import cpu_s, own_cpu_s
from benchmarks.tables import machine, median, spread, table
from benchmarks.trivial_triton import INPUT, MODEL, answered, trivial_triton
from runners.base import RunningServer
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, Endpoint, LoadRun
from tuner.load.requests import RequestSet
from tuner.protocols import v2_grpc, v2_http
from tuner.protocols.tensors.inputs import generate_inputs

_SHORT_S = 0.06
_DISTINCT_REQUESTS = 64


@dataclass(frozen=True)
class Run:
    """One start of a load generator, from its begin to its end."""

    cpu_s: float
    server_cpu_s: float
    requests: int
    seen: Seen


@dataclass(frozen=True)
class Figures:
    """What one round says of one tool; `gross_cpu_us` includes the start of the process."""

    cpu_us: float
    gross_cpu_us: float
    server_cpu_us: float
    throughput: float
    p50_us: float

    @classmethod
    def of(cls, long: Run, short: Run) -> "Figures":
        requests = long.requests - short.requests
        return cls(
            cpu_us=(long.cpu_s - short.cpu_s) / requests * 1e6,
            gross_cpu_us=long.cpu_s / long.requests * 1e6,
            server_cpu_us=(long.server_cpu_s - short.server_cpu_s) / requests * 1e6,
            throughput=long.seen.throughput,
            p50_us=long.seen.p50_s * 1e6,
        )


@dataclass(frozen=True)
class Round:
    """Both tools, one after the other; None for one that gave no answer."""

    load: Load
    engine: Figures
    perf_analyzer: Figures | None


Send = Callable[[Load], Seen | None]


def main() -> None:
    options = comparison_options(__doc__, protocols=["http", "grpc"], seconds_each=4.0)
    perf_analyzer = PerfAnalyzer(options.perf_analyzer, options.library_path)
    print(
        f"The load engine and perf_analyzer {perf_analyzer.version} in turn, {options.rounds}"
        f" rounds of {options.seconds:g} s each, on one Triton. {machine()}. Ratios are engine /"
        " perf_analyzer: median (range) over the rounds.\n"
    )
    with trivial_triton() as server:
        _send_from_engine(server, Load("http", 8, 1.0))  # warms the server up
        rounds = list(_rounds(options, server, perf_analyzer))
    print(_client_table(rounds), _server_table(rounds), sep="\n\n")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in rounds], indent=2) + "\n")


def _rounds(
    options: argparse.Namespace, server: RunningServer, perf_analyzer: PerfAnalyzer
) -> Iterator[Round]:
    def ours(load: Load) -> Seen:
        return _send_from_engine(server, load)

    def theirs(load: Load) -> Seen | None:
        url = f"{server.host}:{server.ports[load.protocol]}"
        return perf_analyzer.send(MODEL, url, load)

    for load, we_begin in in_turn(options):
        order = (ours, theirs) if we_begin else (theirs, ours)
        figures = {send: _figures(server, send, load) for send in order}
        engine = figures[ours]
        if engine is None:
            raise SystemExit("the load engine sent too little; give more `--seconds`")
        yield Round(load, engine, figures[theirs])


def _figures(server: RunningServer, send: Send, load: Load) -> Figures | None:
    long = _run(server, send, load)
    short = _run(server, send, replace(load, seconds=_SHORT_S))
    if long is None or short is None or long.requests <= short.requests:
        return None
    return Figures.of(long, short)


def _run(server: RunningServer, send: Send, load: Load) -> Run | None:
    requests, used_s, server_used_s = answered(server), own_cpu_s(), cpu_s(server.pid)
    seen = send(load)
    used_s, server_used_s = own_cpu_s() - used_s, cpu_s(server.pid) - server_used_s
    if seen is None:
        return None
    return Run(used_s, server_used_s, answered(server) - requests, seen)


def _send_from_engine(server: RunningServer, load: Load) -> Seen:
    endpoint = Endpoint(server.host, server.ports[load.protocol])
    run = LoadRun(endpoint=endpoint, profile=ClosedLoop(load.concurrency), duration_s=load.seconds)
    with LoadEngine() as engine:
        engine.prepare(_requests(endpoint, load.protocol))
        measurement = engine.measure(run)
    if measurement.failed or measurement.unanswered:
        raise SystemExit(
            f"requests of the load engine failed: {measurement.errors},"
            f" {measurement.unanswered} without an answer"
        )
    return Seen(measurement.throughput, measurement.percentile(50))


def _requests(endpoint: Endpoint, protocol: str) -> RequestSet:
    inputs = [generate_inputs([INPUT], seed=seed) for seed in range(_DISTINCT_REQUESTS)]
    if protocol == "http":
        return RequestSet(tuple(v2_http.prepare(endpoint, MODEL, each) for each in inputs))
    payloads = tuple(v2_grpc.prepare(MODEL, each) for each in inputs)
    return RequestSet(payloads, call=v2_grpc.call())


def _client_table(rounds: Sequence[Round]) -> str:
    figures = [("cpu_us", 1), ("gross_cpu_us", 1), ("p50_us", 0)]
    return _table(["CPU us/request", "CPU us/request with start-up", "p50 us"], figures, rounds)


def _server_table(rounds: Sequence[Round]) -> str:
    figures = [("throughput", 0), ("server_cpu_us", 1)]
    return _table(["requests/s", "server's CPU us/request"], figures, rounds)


def _table(
    names: Sequence[str], figures: Sequence[tuple[str, int]], rounds: Sequence[Round]
) -> str:
    headings = ["protocol", "concurrency"]
    for name in names:
        headings += [f"{name}: engine", "perf_analyzer", "ratio"]
    loads = dict.fromkeys(each.load for each in rounds)
    rows = [_row(figures, [each for each in rounds if each.load == load]) for load in loads]
    return table(headings, rows)


def _row(figures: Sequence[tuple[str, int]], rounds: Sequence[Round]) -> list[str]:
    load = rounds[0].load
    cells = [load.protocol, str(load.concurrency)]
    pairs = [(r.engine, r.perf_analyzer) for r in rounds if r.perf_analyzer is not None]
    note = "" if len(pairs) == len(rounds) else f" [{len(rounds) - len(pairs)} gave no answer]"
    for name, digits in figures:
        figure = attrgetter(name)
        cells.append(median([figure(each.engine) for each in rounds], digits))
        if not pairs:
            cells += ["no answer", "-"]
            continue
        cells.append(median([figure(theirs) for _, theirs in pairs], digits) + note)
        cells.append(spread([figure(ours) / figure(theirs) for ours, theirs in pairs]))
    return cells


if __name__ == "__main__":
    main()
