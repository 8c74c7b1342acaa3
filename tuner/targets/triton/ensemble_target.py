"""Triton with an ensemble: all of its parts are set, and the ensemble is what is measured.

Whenever Triton loads an ensemble, it reads the configurations of its parts from their files again,
whatever they were loaded with (core, src/model_repository_manager.cc). So those of the staged
copies are written, and Triton loads what has changed and what depends on it. Where it already ran,
there is no staged copy: parts that it has read again are loaded once more.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from stat import S_IRWXU

from google.protobuf.message import Message

from runners.base import RunningServer
from tuner.clients.v2_http import V2Client
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.expressions import Value
from tuner.space.settings import ConfigPath, Setting, Settings
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import exported
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.process_proofs import judged
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.ensemble import EnsembleModel
from tuner.targets.triton.evidence import field_verdict
from tuner.targets.triton.running import RunningModel
from tuner.targets.triton.target import PROOF_LINES, TritonTarget

_FILE = "config.pbtxt"


class EnsembleTarget(TritonTarget):
    """Implements Target; the workspace receives staged copies of all parts."""

    def __init__(
        self,
        model: EnsembleModel,
        space: SearchSpace,
        setup: TargetSetup,
        installation: Installation,
    ) -> None:
        super().__init__(model, space, setup, installation)
        self._ensemble = model
        self._is_staged = not isinstance(model.own, RunningModel)
        self._loaded: dict[str, Message] = {}

    def restore(self, server: RunningServer) -> None:
        """Load all parts as they were, and the ensemble."""
        own = {name: member.config for name, member in self._ensemble.members.items()}
        with self._client(server, self.start_timeout_s) as client:
            self._load_running(client, own)

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        with self._client(server) as client:
            effective = {
                name: model_config.from_server(client.config(name))
                for name in self._ensemble.members
            }
        log, head = server.log_tail(PROOF_LINES), server.log_head()

        def verdict(sets: Setting, value: Value) -> SettingVerdict:
            part = sets.part if isinstance(sets, ConfigPath) else None
            return judged(
                sets,
                value,
                server.pid,
                config=partial(field_verdict, effective=effective[part or self.model], log=log),
                flag=partial(flags.flag_verdict, log=head),
            )

        return self._verdicts(configuration, verdict)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        """Those of the ensemble, with the executions of one part in the average.

        The ensemble itself executes once for each request; batches are made at its parts.
        """
        with self._client(server) as client:
            whole = client.statistics(self.model)
            parts = [client.statistics(name).executions for name in self._ensemble.parts]
        return replace(whole, executions=sum(parts) // self._ensemble.executions)

    def concurrency(self, configuration: Configuration) -> int:
        """The parts work at the same time, so each wants what it would want alone."""
        found = self._configurations(configuration)
        wanted = (
            (_number(found[name], "instance_group[0].count") or 1) * _largest_batch(found[name])
            for name in self._ensemble.parts
        )
        return max(2, math.ceil(2 * sum(wanted) / self._setup.form.batch))

    def largest_batch(self, configuration: Configuration) -> int:
        found = self._configurations(configuration)
        return max(_largest_batch(found[name]) for name in self._ensemble.parts)

    def export(self, configuration: Configuration) -> str:
        """The files of all models, the ensemble's first."""
        found = self._configurations(configuration)
        own = found.pop(self.model)
        text = "\n".join([*self._outside(configuration), model_config.as_text(own)])
        parts = {name: model_config.as_text(each) for name, each in found.items()}
        files = {self.model: text} | parts
        return exported.joined({f"{name}/{_FILE}": text for name, text in files.items()})

    def _configurations(self, configuration: Configuration) -> dict[str, Message]:
        return self._ensemble.configurations(self._space.settings(configuration))

    def _load(self, client: V2Client, settings: Settings) -> None:
        found = self._ensemble.configurations(settings)
        if self._is_staged:
            self._write(found)
            self._load_companions(client)
            client.load(self.model)
        else:
            self._load_running(client, found)

    def _write(self, found: Mapping[str, Message]) -> None:
        """Into the staged copies, where it is not what is there."""
        for name, message in found.items():
            file, text = self._repository / name / _FILE, model_config.as_text(message)
            if file.read_text() != text:
                file.parent.chmod(file.parent.stat().st_mode | S_IRWXU)
                file.unlink()  # a copy of a file that nobody may write to is one as well
                file.write_text(text)

    def _load_running(self, client: V2Client, found: Mapping[str, Message]) -> None:
        """Each model that changes with its configuration in place of that of its file."""
        loaded, self._loaded = self._loaded, {}
        changed = [name for name in found if found[name] != loaded.get(name)]
        parts = {n: model_config.as_json(found[n]) for n in changed if n != self.model}
        has: dict[str, Mapping[str, object]] = {}
        for name, config in parts.items():
            client.load(name, config)
            has[name] = client.config(name)
        client.load(self.model, model_config.as_json(found[self.model]))
        for name, config in parts.items():
            if client.config(name) != has[name]:
                client.load(name, config)
        self._loaded = dict(found)


def _number(config: Message, path: str) -> int:
    return int(model_config.get(config, path) or 0)


def _largest_batch(config: Message) -> int:
    """That which the server makes by itself."""
    return _number(config, "max_batch_size") if model_config.get(config, "dynamic_batching") else 1


def target_of(model: TritonModel, space: SearchSpace, setup: TargetSetup) -> TritonTarget:
    """The target of a job.

    Raises:
        ServerMissingError: Triton is not installed, nor in a container.
    """
    if isinstance(model, EnsembleModel):
        return EnsembleTarget(model, space, setup, EnsembleTarget.installation(setup))
    return TritonTarget.of(model, space, setup)
