"""Compares `tuner measure` with perf_analyzer as whole processes, from start to end.

    python -m benchmarks.whole_process --perf-analyzer PATH [--library-path FOLDER]

Both measure the same Triton with the same trivial model for the same time, in turn, each round in
the other order. The CPU time is user and system of the process and of all that it starts, from its
start to its end. A run of one request shows what starting takes. The server counts the requests.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.perf_analyzer import Load, PerfAnalyzer, comparison_options, in_turn
from benchmarks.processes import own_cpu_s
from benchmarks.tables import machine, median, spread, table
from benchmarks.trivial_triton import MODEL, answered, trivial_triton
from runners.base import RunningServer


@dataclass(frozen=True)
class Run:
    """One command, from its start to its end."""

    cpu_s: float
    requests: int

    @property
    def cpu_us(self) -> float:
        """For each request, start included."""
        return self.cpu_s / self.requests * 1e6


@dataclass(frozen=True)
class Round:
    """Both commands, one after the other."""

    load: Load
    tuner: Run
    perf_analyzer: Run


def main() -> None:
    options = comparison_options(__doc__, protocols=["http"], seconds_each=10.0)
    perf_analyzer = PerfAnalyzer(options.perf_analyzer, options.library_path)
    print(
        f"`tuner measure` and perf_analyzer {perf_analyzer.version} in turn, {options.rounds}"
        f" rounds of {options.seconds:g} s each, on one Triton. {machine()}. Ratios are tuner /"
        " perf_analyzer: median (range) over the rounds.\n"
    )
    with trivial_triton() as server:
        starts = [_start_s(server) for _ in range(options.rounds + 1)]
        rounds = list(_rounds(options, server, perf_analyzer))
    print(_table(rounds))
    print(f"\nStarting `tuner measure` takes {spread(starts[1:])} s of CPU time: one request.")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in rounds], indent=2) + "\n")


def _rounds(
    options: argparse.Namespace, server: RunningServer, perf_analyzer: PerfAnalyzer
) -> Iterator[Round]:
    def ours(load: Load) -> None:
        _tuner_measure(server, load)

    def theirs(load: Load) -> None:
        url = f"{server.host}:{server.ports[load.protocol]}"
        if perf_analyzer.send(MODEL, url, load) is None:
            raise SystemExit("without its answer there is nothing to compare")

    for load, we_begin in in_turn(options):
        order = (ours, theirs) if we_begin else (theirs, ours)
        runs = {send: _run(server, send, load) for send in order}
        yield Round(load, runs[ours], runs[theirs])


def _run(server: RunningServer, send: Callable[[Load], None], load: Load) -> Run:
    before, used_s = answered(server), own_cpu_s()
    send(load)
    return Run(own_cpu_s() - used_s, answered(server) - before)


def _start_s(server: RunningServer) -> float:
    """CPU seconds of a run of one request."""
    used_s = own_cpu_s()
    _tuner_measure(server, Load("http", 1, 0.0))
    return own_cpu_s() - used_s


def _tuner_measure(server: RunningServer, load: Load) -> None:
    length = ["--duration", f"{load.seconds:g}s"] if load.seconds else ["--request-count", "1"]
    url = f"{load.protocol}://{server.host}:{server.ports[load.protocol]}"
    command = [sys.executable, "-m", "tuner", "measure", url, "-m", MODEL, "--warm-up", "0.01s"]
    subprocess.run(
        [*command, "--concurrency", str(load.concurrency), *length],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _table(rounds: Sequence[Round]) -> str:
    headings = ["protocol", "concurrency"]
    for name in ("CPU s", "CPU us/request", "requests"):
        headings += [f"{name}: tuner", "perf_analyzer", "ratio"]
    loads = dict.fromkeys(each.load for each in rounds)
    return table(headings, [_row(load, [r for r in rounds if r.load == load]) for load in loads])


def _row(load: Load, rounds: Sequence[Round]) -> list[str]:
    cells = [load.protocol, str(load.concurrency)]
    figures = (
        (2, [(r.tuner.cpu_s, r.perf_analyzer.cpu_s) for r in rounds]),
        (1, [(r.tuner.cpu_us, r.perf_analyzer.cpu_us) for r in rounds]),
        (0, [(r.tuner.requests, r.perf_analyzer.requests) for r in rounds]),
    )
    for digits, pairs in figures:
        ours, theirs = zip(*pairs, strict=True)
        cells += [median(ours, digits), median(theirs, digits)]
        cells.append(spread([a / b for a, b in pairs]))
    return cells


if __name__ == "__main__":
    main()
