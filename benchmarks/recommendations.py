"""What a tuner recommends, deployed as it was handed over, and what it then carries.

Each measurement is a fresh start of Triton with that very config.pbtxt, under random arrivals of
our load engine (open loop, HTTP), then under perf_analyzer (closed loop, gRPC, as Model Analyzer
runs it).
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2

from benchmarks.landscapes.base import Landscape
from benchmarks.landscapes.measure import Silent
from benchmarks.perf_analyzer import PerfAnalyzer
from benchmarks.perf_analyzer_capacity import capacity
from runners.base import LaunchSpec
from runners.process import ProcessRunner
from tuner.load.client import LoadEngine
from tuner.records import Purpose, TrialState
from tuner.space.space import Configuration, SearchSpace
from tuner.study.deployment import Deployment
from tuner.study.trial import Bench, TrialPlan, run_trial
from tuner.study.trial_load import TrialLoad
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import config as model_config
from tuner.targets.triton import install as triton_install
from tuner.targets.triton.repository import RepositoryModel
from tuner.targets.triton.target import TritonTarget

# What the tuner writes into config.pbtxt of settings that no model configuration holds.
_SETTINGS = re.compile(r"^# \S+: start the server with (.+)$", re.MULTILINE)
_NOTHING_VARIES = SearchSpace("triton", ())


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A model configuration as a tool hands it over, and what it took to find it.

    `run` counts the runs of the tool. `config` is the text of config.pbtxt. `claimed` is what the
    tool says that it carries, in inferences per second; `configurations` is how many it measured.
    """

    tool: str
    run: int
    wall_s: float
    configurations: int
    claimed: float
    config: str

    @property
    def message(self) -> Message:
        message: Message = text_format.Parse(self.config, model_config_pb2.ModelConfig())
        return message

    @property
    def settings(self) -> tuple[str, ...]:
        """Variables (NAME=VALUE) and flags (--NAME=VALUE) that the server is started with."""
        return tuple(word for words in _SETTINGS.findall(self.config) for word in words.split())

    @property
    def words(self) -> list[str]:
        """Instances, largest batch, dynamic batching, and settings of the server."""
        instances = model_config.get(self.message, "instance_group[0].count") or 1
        largest = model_config.get(self.message, "max_batch_size")
        return [str(instances), str(largest), self._batching(), " ".join(self.settings) or "-"]

    def _batching(self) -> str:
        if not model_config.get(self.message, "dynamic_batching"):
            return "no"
        path = "dynamic_batching.{}"
        delay_us = model_config.get(self.message, path.format("max_queue_delay_microseconds"))
        preferred = model_config.get(self.message, path.format("preferred_batch_size[0]"))
        return f"delay {delay_us or 0} us" + (f", preferred {preferred}" if preferred else "")


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The capacity on one fresh start, in inferences per second; None where there is no answer."""

    tool: str
    run: int
    round: int
    engine: float | None
    perf_analyzer: float | None
    note: str = ""


def measure(
    landscape: Landscape,
    recommendation: Recommendation,
    engine: LoadEngine,
    perf_analyzer: PerfAnalyzer,
    *,
    number: int,
) -> Carried:
    """One fresh start; `number` is that of the round, in which all get the same arrivals."""
    plan = TrialPlan(
        number=number,
        purpose=Purpose.FINAL,
        configuration=Configuration.of({}),
        seed=number,
        fresh=True,
    )
    with _bench(landscape, recommendation, engine) as bench:
        trial, _ = run_trial(bench, plan)
        failed = trial.state is TrialState.FAILED
        theirs = None if failed else _seen_by(perf_analyzer, bench)
    return Carried(
        tool=recommendation.tool,
        run=recommendation.run,
        round=number,
        engine=None if failed else trial.throughput,
        perf_analyzer=theirs,
        note=trial.message,
    )


@contextmanager
def _bench(
    landscape: Landscape, recommendation: Recommendation, engine: LoadEngine
) -> Iterator[Bench]:
    with ExitStack() as stack:
        workspace = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        installation = started_with(triton_install.find_triton(workspace), recommendation.settings)
        target = _OverBoth(
            _model(landscape, recommendation, workspace / "recommended"),
            _NOTHING_VARIES,
            TargetSetup(workspace=workspace, form=RequestForm()),
            installation,
        )
        target.stage()
        runner = ProcessRunner(log_directory=workspace / "logs")
        deployment = stack.enter_context(Deployment(target, runner))
        yield Bench(target, deployment, TrialLoad(engine, landscape.budget), Silent())


class _OverBoth(TritonTarget):
    """Answers over gRPC too."""

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        launch_spec = super().launch_spec(configuration)
        command = [each for each in launch_spec.command if not each.startswith("--allow-grpc")]
        command += ["--allow-grpc=true", "--grpc-address=127.0.0.1", "--grpc-port={port:grpc}"]
        ports = tuple(dict.fromkeys([*launch_spec.ports, "grpc"]))
        return replace(launch_spec, command=tuple(command), ports=ports)


def started_with(installation: Installation, settings: tuple[str, ...]) -> Installation:
    """The installation with variables and flags added."""
    flags = tuple(each for each in settings if each.startswith("-"))
    variables = dict(each.split("=", 1) for each in settings if not each.startswith("-"))
    return replace(
        installation,
        flags=(*installation.flags, *flags),
        environment={**installation.environment, **variables},
    )


def _model(
    landscape: Landscape, recommendation: Recommendation, repository: Path
) -> RepositoryModel:
    """The model's files with the recommended configuration under the model's own name."""
    folder = repository / landscape.name
    shutil.copytree(landscape.repository / landscape.name, folder)
    named = model_config.changed(recommendation.message, {"name": landscape.name})
    (folder / "config.pbtxt").write_text(model_config.as_text(named))
    return RepositoryModel(repository, landscape.name)


def _seen_by(perf_analyzer: PerfAnalyzer, bench: Bench) -> float | None:
    server = bench.deployment.server
    url = f"{server.host}:{server.ports['grpc']}"
    return capacity(perf_analyzer, bench.target.model, url, bench.budget)
