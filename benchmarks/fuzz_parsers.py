"""Can atheris break the response parsers? It sends them whatever a server could send, and worse.

    pip install atheris
    python -m benchmarks.fuzz_parsers

Each target runs in a process of its own: the parser of HTTP/1.1 responses, a connection
of answers that come token by token, and a gRPC connection with unary calls and with streams
(`fuzz_targets.py` says what must hold). The fuzzer looks for inputs that reach new code; it stops
at an exception that is not declared, and at an input that takes more than 5 s. Memory must not
grow by more than 50 MB, the fuzzer's own records included.

Exit status 1: a parser broke its promises; what the fuzzer said, and the input, are printed.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.options import count
from benchmarks.tables import machine, table

_TARGETS = ("http1", "events", "grpc_unary", "grpc_stream")
_ALLOWED_GROWTH_MB = 50
_LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=4096", "-print_final_stats=1")
_TAIL_LINES = 30


@dataclass(frozen=True)
class Outcome:
    """What fuzzing a target came to; `failure` is empty if nothing was found."""

    target: str
    inputs: int
    per_second: int
    memory_at_begin_mb: int
    largest_memory_mb: int
    failure: str

    @property
    def fault(self) -> str:
        growth_mb = self.largest_memory_mb - self.memory_at_begin_mb
        if not self.failure and growth_mb > _ALLOWED_GROWTH_MB:
            return f"its memory grew by {growth_mb} MB"
        return self.failure

    @property
    def cells(self) -> list[str]:
        figures = (self.inputs, self.per_second, self.memory_at_begin_mb, self.largest_memory_mb)
        result = "FAILED" if self.fault else "nothing found"
        return [self.target, *(str(each) for each in figures), result]


def main() -> None:
    options = _options()
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit("atheris is not installed: pip install atheris")
    print(f"atheris on the parsers, {options.seconds} s each. {machine()}.\n")
    outcomes = [_fuzz(target, options.seconds) for target in options.target]
    headings = ["target", "inputs tried", "per second", "memory at the begin, MB"]
    headings += ["largest, MB", "result"]
    print(table(headings, [each.cells for each in outcomes]))
    failures = [f"{each.target}: {each.fault}" for each in outcomes if each.fault]
    if failures:
        raise SystemExit("\n" + "\n\n".join(failures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", nargs="+", choices=_TARGETS, default=_TARGETS)
    parser.add_argument("--seconds", type=count, default=60, help="for each target")
    return parser.parse_args()


def _fuzz(target: str, duration_s: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        inputs, found = Path(name, "inputs"), Path(name, "found")
        inputs.mkdir()
        found.mkdir()
        flags = [f"-max_total_time={duration_s}", f"-artifact_prefix={found}/", *_LIMITS]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.fuzz_process", target, str(inputs), *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        culprits = [each.read_bytes() for each in sorted(found.iterdir())]
    tail = "\n".join(done.stdout.splitlines()[-_TAIL_LINES:])
    failures = [tail] if done.returncode else []
    failures += [f"the input: {each!r}" for each in culprits]
    return Outcome(
        target=target,
        inputs=_stated(r"number_of_executed_units: +(\d+)", done.stdout),
        per_second=_stated(r"average_exec_per_sec: +(\d+)", done.stdout),
        memory_at_begin_mb=_stated(r"INITED .* rss: (\d+)Mb", done.stdout),
        largest_memory_mb=_stated(r"peak_rss_mb: +(\d+)", done.stdout),
        failure="\n".join(failures),
    )


def _stated(pattern: str, said: str) -> int:
    found = re.search(pattern, said)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
