"""The model of tests/models, which misbehaves on demand, and what may vary about it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from runners import LaunchSpec, ProcessRunner, RunningServer
from tests.spaces import choice
from tuner import spec
from tuner.expressions import Value
from tuner.space import Configuration, EnvironmentVariables, SearchSpace
from tuner.targets import triton_install
from tuner.targets.triton import RequestForm, TritonTarget
from tuner.targets.triton_model import TritonModel

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
_CONSTANTS = {"cores": 2, "memory_gb": 8, "numa_nodes": 1}


def built_in_space() -> SearchSpace:
    """The shipped space, on a machine of this size."""
    return spec.load_space(spec.built_in()["triton"]).resolve(_CONSTANTS)


def moody_space() -> SearchSpace:
    mood = replace(choice(*MOODS, name="mood"), sets=EnvironmentVariables(("MOOD",)))
    space = built_in_space()
    return replace(space, parameters=(mood, *space.parameters))


@dataclass(frozen=True)
class Moody:
    """The target, its space, and the folder that all its processes name."""

    target: TritonTarget
    space: SearchSpace
    workspace: Path

    def configuration(self, mood: str = "good", **values: Value) -> Configuration:
        return self.space.activate({"mood": mood, "threads": 1, **values})

    def processes(self) -> list[int]:
        """Whatever runs on behalf of this target, by its command line."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if any(str(self.workspace) in word for word in process.info["cmdline"] or ())
        ]


class HastyRunner(ProcessRunner):
    """Kills servers rather than wait seconds for each; how they end in order is not the matter."""

    def start(self, launch_spec: LaunchSpec) -> AbstractContextManager[RunningServer]:
        return super().start(replace(launch_spec, stop_grace_s=0.0))


def moody(
    workspace: Path, *, form: RequestForm | None = None, start_timeout_s: float = 60.0
) -> Moody:
    model = TritonModel(MODELS, "moody")
    space = model.adapt(moody_space())
    target = TritonTarget(
        model,
        space,
        installation=triton_install.find(workspace),
        workspace=workspace,
        form=form or RequestForm(),
        start_timeout_s=start_timeout_s,
    )
    target.stage()
    return Moody(target, space, workspace)
