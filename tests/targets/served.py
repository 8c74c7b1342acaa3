"""Any target with its space, on servers that are killed rather than waited for."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

import psutil
import pytest

from runners.base import LaunchSpec, RunningServer
from runners.process import ProcessRunner
from tuner.errors import TrialFailure
from tuner.records import SettingVerdict
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace
from tuner.study.deployment import Deployment
from tuner.targets.base import StagedTarget

Kind = TypeVar("Kind", bound=StagedTarget)


class HastyRunner:
    """Kills servers rather than wait seconds for each; how they end in order is not the matter."""

    may_restart = True

    def __init__(self, log_directory: Path) -> None:
        self._runner = ProcessRunner(log_directory=log_directory)

    def start(self, launch_spec: LaunchSpec) -> AbstractContextManager[RunningServer]:
        return self._runner.start(replace(launch_spec, stop_grace_s=0.0))


@dataclass(frozen=True)
class Served(Generic[Kind]):
    """A target with its space, and the folder that all its processes name.

    `usual` is what a configuration has where nothing else is said.
    """

    target: Kind
    space: SearchSpace
    folder: Path
    usual: Mapping[str, Value] = field(default_factory=dict)

    def configuration(self, **values: Value) -> Configuration:
        return self.space.activate({**self.usual, **values})

    def deployment(self) -> Deployment:
        return Deployment(self.target, HastyRunner(self.folder / "logs"))

    def verdicts(self, configuration: Configuration) -> Mapping[str, SettingVerdict]:
        """Those on a server of its own."""
        with self.deployment() as deployment:
            deployment.apply(configuration)
            return self.target.verify(deployment.server, configuration)

    def failure(self, configuration: Configuration | None = None) -> TrialFailure:
        """How a server of its own failed."""
        with self.deployment() as deployment, pytest.raises(TrialFailure) as caught:
            deployment.apply(configuration or self.configuration())
        return caught.value

    def processes(self) -> list[int]:
        """Whatever runs on behalf of this target, by its command line."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if any(str(self.folder) in word for word in process.info["cmdline"] or ())
        ]
