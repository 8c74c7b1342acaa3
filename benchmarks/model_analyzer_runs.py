"""Runs the tuner and Model Analyzer as their users do, and reads what they recommend."""

import csv
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from benchmarks.landscapes.base import Landscape
from benchmarks.perf_analyzer import PerfAnalyzer
from benchmarks.recommendations import Recommendation
from runners.base import LaunchSpec
from runners.errors import StartFailed
from runners.ports import choose_free_ports
from runners.process import ProcessRunner
from runners.process_server import ProcessServer
from tuner.targets.base import Installation
from tuner.targets.triton import install as triton_install

_PROGRESS_S = 60.0
_STOP_GRACE_S = 30.0
_TUNER = (sys.executable, "-m", "tuner")
_STUDY = "benchmark"
_LAST_WORDS = 15


class ToolFailedError(Exception):
    """A tool ended without a recommendation, or did not end in time."""


@dataclass(frozen=True)
class Tuner:
    """`tuner optimize`, with further `options` of its command line."""

    options: tuple[str, ...]
    limit_s: float
    name: str = "tuner"

    def recommend(self, landscape: Landscape, run: int, folder: Path) -> Recommendation:
        """Run it to its end; `run` is its seed, `folder` receives its files.

        Raises:
            ToolFailedError: It recommends nothing.
        """
        database = str(folder / "studies.db")
        wall_s = run_to_end(self._command(landscape, run, folder, database), folder, self.limit_s)
        words = ("studies", "show", _STUDY, "--db", database, "--json")
        shown = subprocess.run(
            [*_TUNER, *words], capture_output=True, text=True, check=True, cwd=folder
        )
        study = json.loads(shown.stdout)
        measured = {json.dumps(t["configuration"], sort_keys=True) for t in study["trials"]}
        return Recommendation(
            tool=self.name,
            run=run,
            wall_s=wall_s,
            configurations=len(measured),
            claimed=study["winner"]["throughput"],
            config=(folder / "reports" / _STUDY / "config.pbtxt").read_text(),
        )

    def _command(
        self, landscape: Landscape, run: int, folder: Path, database: str
    ) -> tuple[str, ...]:
        budget = landscape.budget
        options = {
            "--model-repository": str(landscape.repository),
            "--model": landscape.name,
            "--budget-ms": f"{budget.limit_s * 1e3:g}",
            "--percentile": f"{budget.percentile:g}",
            "--study": _STUDY,
            "--db": database,
            "--output": str(folder / "reports"),
            "--seed": str(run),
        }
        words = (word for option in options.items() for word in option)
        return (*_TUNER, "optimize", *words, *self.options)


@dataclass(frozen=True)
class ModelAnalyzer:
    """`model-analyzer profile` in one of its search modes, with its own defaults."""

    program: Path
    perf_analyzer: PerfAnalyzer
    mode: str
    limit_s: float

    @property
    def name(self) -> str:
        return f"Model Analyzer {self.mode}"

    def recommend(self, landscape: Landscape, run: int, folder: Path) -> Recommendation:
        """Run it to its end; `folder` receives its files.

        Raises:
            ToolFailedError: It recommends nothing.
        """
        # It writes beside the models, so it gets a copy.
        shutil.copytree(landscape.repository / landscape.name, folder / "models" / landscape.name)
        prefix = f"{folder.name}-"
        self._write_programs(folder, triton_install.find_triton(folder), prefix)
        profile = self._profile(landscape, folder)
        (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
        command = (str(self.program), "profile", "--config-file", str(folder / "profile.yaml"))
        leftovers = (f"/dev/shm/{prefix}*",)  # noqa: S108 - named by the server
        wall_s = run_to_end(command, folder, self.limit_s, leftovers=leftovers)
        results = folder / "results" / "metrics-model-inference.csv"
        if not results.exists():
            raise ToolFailedError("it measured nothing")
        variant, claimed, configurations = recommended(results.read_text())
        return Recommendation(
            tool=self.name,
            run=run,
            wall_s=wall_s,
            configurations=configurations,
            claimed=claimed,
            config=(folder / "variants" / variant / "config.pbtxt").read_text(),
        )

    def _write_programs(self, folder: Path, installation: Installation, prefix: str) -> None:
        flags = [*installation.flags, f"--backend-config=python,shm-region-prefix-name={prefix}"]
        write_wrapper(
            folder / "tritonserver", installation.executable, installation.environment, flags
        )
        path = self.perf_analyzer.library_path
        libraries = {"LD_LIBRARY_PATH": path} if path else {}
        write_wrapper(folder / "perf_analyzer", self.perf_analyzer.program, libraries)

    def _profile(self, landscape: Landscape, folder: Path) -> Mapping[str, Any]:
        ports = choose_free_ports(("http", "grpc", "metrics"))
        return {
            "model_repository": str(folder / "models"),
            # It looks for GPUs unless told not to.
            "profile_models": {landscape.name: {"cpu_only": True}},
            "gpus": [],
            "run_config_search_mode": self.mode,
            "constraints": {"perf_latency_p99": {"max": round(landscape.budget.limit_s * 1e3)}},
            "triton_launch_mode": "local",
            "triton_server_path": str(folder / "tritonserver"),
            "perf_analyzer_path": str(folder / "perf_analyzer"),
            "triton_http_endpoint": f"localhost:{ports['http']}",
            "triton_grpc_endpoint": f"localhost:{ports['grpc']}",
            "triton_metrics_url": f"http://localhost:{ports['metrics']}/metrics",
            "output_model_repository_path": str(folder / "variants"),
            "checkpoint_directory": str(folder / "checkpoints"),
            "export_path": str(folder),
        }


Tool = Tuner | ModelAnalyzer


def run_to_end(
    command: tuple[str, ...], folder: Path, limit_s: float, *, leftovers: tuple[str, ...] = ()
) -> float:
    """How long the command took, in seconds; nothing that it started is left.

    Raises:
        ToolFailedError: It failed, or took longer than `limit_s`.
    """
    launch_spec = LaunchSpec(
        command=command,
        working_directory=folder,
        stop_grace_s=_STOP_GRACE_S,
        leftovers=leftovers,
    )
    began = perf_counter()
    try:
        with ProcessRunner(log_directory=folder / "logs").start(launch_spec) as process:
            _wait(process, began + limit_s, limit_s)
            wall_s = perf_counter() - began
    except StartFailed as error:  # it was faster than the runner, which expects a server
        raise _failure(error.exit_code, error.log_tail) from None
    if process.exit_code() != 0:
        raise _failure(process.exit_code(), process.log_tail())
    return wall_s


def _wait(process: ProcessServer, deadline_s: float, limit_s: float) -> None:
    """Until it has ended, with a word on the error output now and then."""
    while not process.wait_for_exit(min(_PROGRESS_S, deadline_s - perf_counter())):
        left_s = deadline_s - perf_counter()
        if left_s <= 0:
            raise ToolFailedError(f"it was not done after {limit_s:g} s")
        print(f"    {limit_s - left_s:.0f} s: {process.log_tail(1)}", file=sys.stderr)


def _failure(status: int | None, log: str) -> ToolFailedError:
    words = "\n".join(log.splitlines()[-_LAST_WORDS:])
    return ToolFailedError(f"its exit status was {status}:\n{words}")


def recommended(results: str) -> tuple[str, float, int]:
    """The variant with the highest throughput among those that satisfy the constraints.

    With that throughput, and the number of variants measured; `results` is Model Analyzer's table
    of inference metrics as CSV.

    Raises:
        ToolFailedError: None of them does.
    """
    rows = list(csv.DictReader(results.strip().splitlines()))
    within = [row for row in rows if row["Satisfies Constraints"] == "Yes"]
    if not within:
        raise ToolFailedError("none of its configurations satisfies the latency budget")
    best = max(within, key=lambda row: float(row["Throughput (infer/sec)"]))
    variants = {row["Model Config Path"] for row in rows}
    return best["Model Config Path"], float(best["Throughput (infer/sec)"]), len(variants)


def write_wrapper(
    path: Path, program: Path, environment: Mapping[str, str], flags: list[str] | None = None
) -> None:
    """A program that is `program` with variables set and flags added."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    call = ["exec", shlex.quote(str(program)), '"$@"', *map(shlex.quote, flags or [])]
    path.write_text("\n".join(["#!/bin/sh", *lines, " ".join(call)]) + "\n")
    path.chmod(0o755)
