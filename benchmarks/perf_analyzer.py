"""Runs perf_analyzer, and reads what it prints."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


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
