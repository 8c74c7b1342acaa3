"""A server with a configuration of a study, started as the study starts its servers."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from runners.base import LaunchSpec, Runner, RunningServer
from runners.docker import ContainerSettings
from runners.ports import choose_free_ports
from tuner.errors import InputError
from tuner.records import TrialRecord
from tuner.study import placement, workspaces
from tuner.study.deployment import Deployment
from tuner.study.job import PreparedJob, target_setup
from tuner.study.profiling import Profile


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a person wants otherwise than it was in the study; ports are numbers by name."""

    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    profile: Profile | None = None

    def applied(self, spec: LaunchSpec) -> LaunchSpec:
        """`spec` with them."""
        changed = self.profile.applied(spec) if self.profile else spec
        return replace(changed, environment={**changed.environment, **self.environment})

    def choose_ports(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Those that were named, and free ones for the others.

        Raises:
            InputError: The server has no port of that name.
        """
        if unknown := self.ports.keys() - set(names):
            raise InputError(
                f"the server has no port `{min(unknown)}`",
                hint="it has " + ", ".join(f"`{name}`" for name in names),
            )
        return {**choose_free_ports(names), **self.ports}


class _Changed:
    """Implements Runner: another one, whose servers are launched with changes."""

    def __init__(self, runner: Runner, changes: Changes) -> None:
        self.may_restart = runner.may_restart
        self._runner = runner
        self._changes = changes

    def start(self, launch_spec: LaunchSpec) -> AbstractContextManager[RunningServer]:
        return self._runner.start(self._changes.applied(launch_spec))


@contextmanager
def serving(
    prepared: PreparedJob, trial: TrialRecord, changes: Changes
) -> Iterator[tuple[RunningServer, Path | None]]:
    """The server once it answers, and the file with its log; None where its engine keeps that.

    Raises:
        InputError: It has no such port.
        TrialFailure: It cannot run with the configuration.
        TunerError: It is not installed, or its engine is not there.
    """
    job, kind = prepared.job, prepared.kind
    place = job.place
    if changes.profile and isinstance(place, ContainerSettings):
        place = replace(place, writable=(*place.writable, *changes.profile.writes))
    with workspaces.opened() as workspace:
        logs = workspace / "logs"
        target = kind.target(prepared.model, prepared.space, target_setup(job, workspace))
        with placement.runner(place, kind, logs, choose_ports=changes.choose_ports) as runner:
            target.stage()
            changed = _Changed(runner, changes)
            cpus, study = job.server_cpus or None, prepared.study.name
            with Deployment(target, changed, cpus=cpus, study=study) as deployment:
                deployment.apply(trial.configuration, trial=trial.number)
                server = deployment.server
                try:
                    yield server, max(logs.glob("*.log"), default=None)
                finally:
                    if changes.profile:
                        changes.profile.ended(server)
