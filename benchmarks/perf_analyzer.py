"""Runs perf_analyzer, and reads what it prints."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.options import count, program, seconds


@dataclass(frozen=True)
class Load:
    """A closed loop of `concurrency` over `http` or `grpc`, for `seconds`."""

    protocol: str
    concurrency: int
    seconds: float


@dataclass(frozen=True)
class Seen:
    """What a load generator says of a server."""

    throughput: float
    p50_s: float


@dataclass(frozen=True)
class PerfAnalyzer:
    """Its program, and the folder of libraries that it may need."""

    program: Path
    library_path: str

    @property
    def version(self) -> str:
        done = self._run("--version")
        found = re.search(r"Version (\S+)", done.stdout + done.stderr)
        return found[1] if found else "of unknown version"

    def send(self, model: str, url: str, load: Load) -> Seen | None:
        """Put the load on the server; None, and a word on the error output, if it gives no answer.

        It measures three windows at least; here any difference between them is called stable.
        """
        window_ms = max(1, round(load.seconds / 3 * 1e3))
        command = ["-m", model, "-u", url, "-i", load.protocol]
        command += ["--concurrency-range", str(load.concurrency)]
        done = self._run(*command, "-p", str(window_ms), "-s", "999", "-r", "3")
        throughput = re.search(r"Throughput: ([\d.]+) infer/sec", done.stdout)
        p50 = re.search(r"p50 latency: (\d+) usec", done.stdout)
        if done.returncode or throughput is None or p50 is None:
            words = (done.stdout + done.stderr).strip().splitlines()[-3:]
            print("perf_analyzer gave no answer:", *words, sep="\n  ", file=sys.stderr)
            return None
        return Seen(float(throughput[1]), int(p50[1]) * 1e-6)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        libraries = {"LD_LIBRARY_PATH": self.library_path} if self.library_path else {}
        return subprocess.run(
            [str(self.program), *arguments],
            env=os.environ | libraries,
            capture_output=True,
            text=True,
            check=False,
        )


def comparison_options(
    description: str | None, *, protocols: Sequence[str], seconds_each: float
) -> argparse.Namespace:
    """What a comparison with perf_analyzer may be told; its default protocols and length of a run.

    `description` is the docstring of the benchmark.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--perf-analyzer", type=program, required=True, help="its program")
    parser.add_argument("--library-path", default="", help="LD_LIBRARY_PATH for perf_analyzer")
    parser.add_argument("--protocol", nargs="+", choices=["http", "grpc"], default=protocols)
    parser.add_argument("--concurrency", type=count, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=seconds, default=seconds_each, help="length of one run")
    parser.add_argument("--json", type=Path, help="a file for the figures of every round")
    return parser.parse_args()


def in_turn(options: argparse.Namespace) -> Iterator[tuple[Load, bool]]:
    """Every load of every round, and whether it is our turn to begin."""
    loads = [Load(p, c, options.seconds) for p in options.protocol for c in options.concurrency]
    for number in range(options.rounds):
        for load in loads:
            print(f"round {number + 1}: {load.protocol}, {load.concurrency}", file=sys.stderr)
            yield load, number % 2 == 0
