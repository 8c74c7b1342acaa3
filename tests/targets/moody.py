"""The model of tests/models, which misbehaves on demand, and what may vary about it."""

import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from runners.base import LaunchSpec, RunningServer
from runners.process import ProcessRunner
from tests.spaces import choice, integer
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import search_space
from tuner.space.settings import EnvironmentVariables, ServerFlag
from tuner.space.space import Configuration, SearchSpace
from tuner.study.deployment import Deployment
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import install as triton_install
from tuner.targets.triton.repository import RepositoryModel
from tuner.targets.triton.target import TritonTarget

MODELS = Path(__file__).parents[1] / "models"
MOODS = (
    "good",
    "raises at load",
    "hangs at load",
    "crashes the server at load",
    "never answers well",
    "crashes the server",
    "takes all memory",
    "ends",
    "hangs",
    "refuses",
    "gives NaN",
    "adds the batch",
)
BATCHING: dict[str, Value] = {
    "dynamic_batching": True,
    "max_batch_size": 4,
    "max_queue_delay_microseconds": 500,
}
_CONSTANTS = {"cores": 2, "memory_gb": 8, "numa_nodes": 1, "gpus": 0}


def built_in_space() -> SearchSpace:
    """The shipped space, on a machine of this size."""
    return search_space(spec.built_in()["triton"], _CONSTANTS)


def moody_space() -> SearchSpace:
    mood = replace(choice(*MOODS, name="mood"), sets=EnvironmentVariables(("MOOD",)))
    http = replace(integer("http_threads", default=8), sets=ServerFlag("--http-thread-count"))
    space = built_in_space()
    return replace(space, parameters=(mood, http, *space.parameters))


@dataclass(frozen=True)
class Moody:
    """The target, its space, and the folder that all its processes name."""

    target: TritonTarget
    space: SearchSpace
    workspace: Path

    def configuration(self, mood: Value = "good", **values: Value) -> Configuration:
        return self.space.activate({"mood": mood, "threads": 1, **values})

    def deployment(self) -> Deployment:
        return Deployment(self.target, HastyRunner(self.workspace / "logs"))

    def processes(self) -> list[int]:
        """Whatever runs on behalf of this target, by its command line."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if any(str(self.workspace) in word for word in process.info["cmdline"] or ())
        ]


class HastyRunner:
    """Kills servers rather than wait seconds for each; how they end in order is not the matter."""

    may_restart = True

    def __init__(self, log_directory: Path) -> None:
        self._runner = ProcessRunner(log_directory=log_directory)

    def start(self, launch_spec: LaunchSpec) -> AbstractContextManager[RunningServer]:
        return self._runner.start(replace(launch_spec, stop_grace_s=0.0))


def moody(
    folder: Path,
    *,
    kind: type[TritonTarget] = TritonTarget,
    repository: Path = MODELS,
    start_timeout_s: float = 60.0,
) -> Moody:
    # Shared memory is named after this folder: no two runs of the tests may have the same.
    workspace = Path(tempfile.mkdtemp(prefix="moody-", dir=folder))
    model = RepositoryModel(repository, "moody")
    space = model.adapt(moody_space())
    target = kind(
        model,
        space,
        TargetSetup(workspace=workspace, form=RequestForm(), start_timeout_s=start_timeout_s),
        triton_install.find_triton(workspace),
    )
    target.stage()
    return Moody(target, space, workspace)


def target_in(workspace: Path, form: RequestForm | None = None) -> TritonTarget:
    """The same model as a target that was not staged: for what needs no server of its own."""
    model = RepositoryModel(MODELS, "moody")
    return TritonTarget(
        model,
        model.adapt(moody_space()),
        TargetSetup(workspace=workspace, form=form or RequestForm(), start_timeout_s=7.0),
        Installation(Path("/opt/tritonserver"), ("--x",), {"A": "b"}),
    )


def configuration(**values: Value) -> Configuration:
    return RepositoryModel(MODELS, "moody").adapt(moody_space()).activate(values)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    found = (folder, *sorted(folder.rglob("*")))
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_size) for p in found}
