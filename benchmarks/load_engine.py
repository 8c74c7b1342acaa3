"""Compares the load engine with perf_analyzer: CPU time per request, throughput and latency.

    python benchmarks/load_engine.py --perf-analyzer PATH [--library-path FOLDER]

Both drive the same Triton with the same trivial model over HTTP, in turn. The CPU time is that of
the whole process, user and system, from its start to its end; what it takes beyond the requests is
found by a second, much shorter run, and taken off: (long - short) / (requests of long - of short).
The server itself counts the requests, for both in the same way.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runners import LaunchSpec, ProcessRunner, RunningServer
from tuner.load import ClosedLoop, Endpoint, LoadEngine, RequestSet, TensorSpec, generate_inputs
from tuner.load.profile import LoadRun
from tuner.load.protocols import v2_http
from tuner.targets import triton_install
from tuner.targets.v2_client import V2Client

_MODEL = "echo"
_SHORT_S = 0.06
_DISTINCT_REQUESTS = 64

_MODEL_CONFIG = """
backend: "python"
max_batch_size: 0
input { name: "INPUT" data_type: TYPE_FP32 dims: [ 16 ] }
output { name: "OUTPUT" data_type: TYPE_FP32 dims: [ 16 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
_MODEL_CODE = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        tensor = pb_utils.get_input_tensor_by_name(request, "INPUT")
        output = pb_utils.Tensor.from_dlpack("OUTPUT", tensor.to_dlpack())
        return pb_utils.InferenceResponse([output])
"""


@dataclass(frozen=True)
class Tool:
    """How to run perf_analyzer, and against what both tools run."""

    perf_analyzer: Path
    library_path: str
    concurrency: int


@dataclass(frozen=True)
class Run:
    """One process of a load generator, from its start to its end."""

    cpu_s: float
    requests: int
    throughput: float
    p50_s: float


@dataclass(frozen=True)
class Figures:
    """What one round says of one tool; `gross` includes the start of the process."""

    cpu_us: float
    gross_cpu_us: float
    throughput: float
    p50_ms: float

    @classmethod
    def of(cls, long: Run, short: Run) -> "Figures":
        return cls(
            cpu_us=(long.cpu_s - short.cpu_s) / (long.requests - short.requests) * 1e6,
            gross_cpu_us=long.cpu_s / long.requests * 1e6,
            throughput=long.throughput,
            p50_ms=long.p50_s * 1e3,
        )

    @classmethod
    def median(cls, rounds: Sequence["Figures"]) -> "Figures":
        return cls(
            cpu_us=statistics.median(each.cpu_us for each in rounds),
            gross_cpu_us=statistics.median(each.gross_cpu_us for each in rounds),
            throughput=statistics.median(each.throughput for each in rounds),
            p50_ms=statistics.median(each.p50_ms for each in rounds),
        )


def main() -> None:
    arguments = _arguments()
    tool = Tool(arguments.perf_analyzer, arguments.library_path, arguments.concurrency)
    ours: list[Figures] = []
    theirs: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder, _triton(Path(folder)) as server:
        _run_engine(tool, server, 1.0)  # warms the server up
        print(_HEADER)
        for number in range(1, arguments.rounds + 1):
            seconds = arguments.seconds
            ours.append(Figures.of(*(_run_engine(tool, server, s) for s in (seconds, _SHORT_S))))
            theirs.append(Figures.of(*(_run_pa(tool, server, s) for s in (seconds, _SHORT_S))))
            print(_row(str(number), ours[-1], theirs[-1]), flush=True)
    print(_row("median", Figures.median(ours), Figures.median(theirs)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--perf-analyzer", type=Path, required=True, help="its program")
    parser.add_argument("--library-path", default="", help="LD_LIBRARY_PATH for perf_analyzer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run")
    parser.add_argument("--concurrency", type=int, default=8)
    return parser.parse_args()


@contextmanager
def _triton(folder: Path) -> Iterator[RunningServer]:
    model = folder / "repository" / _MODEL
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(_MODEL_CONFIG)
    (model / "1" / "model.py").write_text(_MODEL_CODE)
    installation = triton_install.find(folder)
    shm_prefix = f"{folder.name}-"
    launch_spec = LaunchSpec(
        command=(
            str(installation.executable),
            f"--model-repository={model.parent}",
            "--model-control-mode=none",
            *installation.flags,
            "--http-address=127.0.0.1",
            "--http-port={port:http}",
            "--allow-grpc=false",
            "--allow-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        ),
        environment=installation.environment,
        ports=("http",),
        stop_grace_s=3.0,
        leftovers=(f"/dev/shm/{shm_prefix}*",),  # noqa: S108 - named by the server
    )
    with ProcessRunner(log_directory=folder / "logs").start(launch_spec) as server:
        yield server


def _run_engine(tool: Tool, server: RunningServer, seconds: float) -> Run:
    endpoint = Endpoint(server.host, server.ports["http"])
    spec = TensorSpec("INPUT", "FP32", (16,))
    payloads = tuple(
        v2_http.prepare(endpoint, _MODEL, generate_inputs([spec], seed=seed))
        for seed in range(_DISTINCT_REQUESTS)
    )
    before, cpu_s = _answered(server), _children_cpu_s()
    with LoadEngine() as engine:
        engine.prepare(RequestSet(payloads))
        run = LoadRun(endpoint=endpoint, profile=ClosedLoop(tool.concurrency), duration_s=seconds)
        measurement = engine.measure(run)
    if measurement.failed or measurement.unanswered:
        raise SystemExit(f"requests failed: {measurement.errors}")
    return Run(
        cpu_s=_children_cpu_s() - cpu_s,
        requests=_answered(server) - before,
        throughput=measurement.throughput,
        p50_s=measurement.percentile(50),
    )


def _run_pa(tool: Tool, server: RunningServer, seconds: float) -> Run:
    before, cpu_s = _answered(server), _children_cpu_s()
    # It measures three windows at least; any difference between them is called stable.
    window_ms = max(1, round(seconds / 3 * 1e3))
    url = f"{server.host}:{server.ports['http']}"
    command = [str(tool.perf_analyzer), "-m", _MODEL, "-u", url, "-i", "http"]
    command += ["--concurrency-range", str(tool.concurrency)]
    command += ["-p", str(window_ms), "-s", "999", "-r", "3"]
    done = subprocess.run(
        command,
        env=os.environ | ({"LD_LIBRARY_PATH": tool.library_path} if tool.library_path else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    throughput = re.search(r"Throughput: ([\d.]+) infer/sec", done.stdout)
    p50 = re.search(r"p50 latency: (\d+) usec", done.stdout)
    if done.returncode or throughput is None or p50 is None:
        raise SystemExit(f"perf_analyzer failed:\n{done.stdout}{done.stderr}")
    return Run(
        cpu_s=_children_cpu_s() - cpu_s,
        requests=_answered(server) - before,
        throughput=float(throughput[1]),
        p50_s=int(p50[1]) * 1e-6,
    )


def _answered(server: RunningServer) -> int:
    with V2Client(server.url("http")) as client:
        return client.statistics(_MODEL).inferences


def _children_cpu_s() -> float:
    """CPU seconds of the processes that have ended; the server's is none of them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


_HEADER = """\
| round | CPU us/request: engine | perf_analyzer | ratio | with start-up: engine | perf_analyzer \
| requests/s: engine | perf_analyzer | ratio | p50 ms: engine | perf_analyzer | ratio |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def _row(name: str, ours: Figures, theirs: Figures) -> str:
    cells = [
        name,
        f"{ours.cpu_us:.1f}",
        f"{theirs.cpu_us:.1f}",
        f"{ours.cpu_us / theirs.cpu_us:.2f}",
        f"{ours.gross_cpu_us:.1f}",
        f"{theirs.gross_cpu_us:.1f}",
        f"{ours.throughput:.0f}",
        f"{theirs.throughput:.0f}",
        f"{ours.throughput / theirs.throughput:.2f}",
        f"{ours.p50_ms:.3f}",
        f"{theirs.p50_ms:.3f}",
        f"{ours.p50_ms / theirs.p50_ms:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
