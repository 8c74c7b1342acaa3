"""What shows that a TorchServe has its settings: its own words, its log, its processes."""

import itertools
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tuner.clients.torchserve import Description
from tuner.records import Grade, SettingVerdict
from tuner.space.expressions import Value
from tuner.space.settings import (
    ConfigPath,
    EnvironmentVariables,
    LauncherArgument,
    ModelVariant,
    ServerProperty,
    Setting,
)
from tuner.targets import variants
from tuner.targets.process_proofs import environment_verdict, family, value_text
from tuner.targets.torchserve import launcher
from tuner.targets.torchserve.launcher import MODULES
from tuner.targets.torchserve.model import WORKERS

LAUNCHER = "cpu_launcher_enable"
# What TorchServe says of its properties when it starts (ConfigManager.dumpConfigurations).
_TOLD = {
    "default_workers_per_model": "Default workers per model",
    "disable_system_metrics": "Disable system metrics",
    "max_request_size": "Maximum Request Size",
    "max_response_size": "Maximum Response Size",
    "netty_client_threads": "Netty client threads",
    "number_of_gpu": "Number of GPUs",
    "number_of_netty_threads": "Netty threads",
    "prefer_direct_buffer": "Prefer direct buffer",
}
_IPEX = "ipex_enable"
# What a handler says of it (torch_handler/base_handler.py).
_NO_IPEX = "IPEX is enabled but intel-extension-for-pytorch is not installed"
_WORKER_PROGRAM = "model_service_worker.py"


@dataclass(frozen=True)
class Evidence:
    """What can be known of a running server: its own description, its log, its processes."""

    described: Description
    log_head: str
    log_tail: str
    pid: int

    def verdict(self, sets: Setting, value: Value) -> SettingVerdict:
        match sets:
            case ConfigPath() | ModelVariant():
                return self._of_model(sets, value)
            case EnvironmentVariables(names, omit) if value != omit:
                return environment_verdict(self.pid, dict.fromkeys(names, value_text(value)))
            case ServerProperty(name, omit) if value != omit:
                return self._property(name, value)
            case LauncherArgument(name, omit) if value != omit:
                return launcher.argument_verdict(name, value, self.log_tail)
            case _:
                return SettingVerdict(Grade.ACCEPTED)

    def _of_model(self, sets: ConfigPath | ModelVariant, value: Value) -> SettingVerdict:
        if isinstance(sets, ConfigPath):
            return self._setting(sets.path, value)
        return variants.verdict(value, Path(self.described.archive).stem)

    def _setting(self, path: str, value: Value) -> SettingVerdict:
        for name in (path, "maxWorkers") if path == WORKERS else (path,):
            found = self.described.settings.get(name)
            if found != value:
                return SettingVerdict(Grade.REFUTED, f"TorchServe has {name} = {found}")
        return SettingVerdict(Grade.CONFIRMED)

    def _property(self, name: str, value: Value) -> SettingVerdict:
        """What TorchServe says of it when it starts; it does not tell of all properties."""
        if name == LAUNCHER and value is True:
            return self._launched()
        if name == _IPEX and value is True and _NO_IPEX in self.log_tail:
            return SettingVerdict(Grade.REFUTED, f"the log says `{_NO_IPEX}`")
        told = _TOLD.get(name)
        line = rf"{re.escape(told)}: (.*)$" if told else "(?!)"
        said = re.search(line, self.log_head, re.MULTILINE)
        if said is None:
            return SettingVerdict(Grade.ACCEPTED)
        if said[1].strip() == value_text(value):
            return SettingVerdict(Grade.CONFIRMED)
        return SettingVerdict(Grade.REFUTED, f"TorchServe says `{told}: {said[1].strip()}`")

    def _launched(self) -> SettingVerdict:
        """Whether the workers run under the launcher, each on processors of its own."""
        said = launcher.verdict(self.log_tail)
        processes = _command_lines(self.pid)
        if said.grade is Grade.REFUTED or not processes:
            return said
        if not any(MODULES & words for _, words in processes):
            return SettingVerdict(Grade.REFUTED, "no worker runs under the launcher")
        bound = [
            _processors(process)
            for process, words in processes
            # The launcher has the worker's program among its arguments, and is not bound itself.
            if not MODULES & words and any(each.endswith(_WORKER_PROGRAM) for each in words)
        ]
        for one, other in itertools.combinations(bound, 2):
            if shared := sorted(one & other):
                numbers = ", ".join(map(str, shared))
                return SettingVerdict(Grade.REFUTED, f"two workers share the processors {numbers}")
        return SettingVerdict(Grade.CONFIRMED)


def _processors(process: psutil.Process) -> set[int]:
    """Those that it may use; none once it has ended."""
    with suppress(psutil.Error):
        return set(process.cpu_affinity() or ())
    return set()


def _command_lines(pid: int) -> list[tuple[psutil.Process, frozenset[str]]]:
    """The server's processes that can be looked into, with the words of their command lines."""
    found = []
    for process in family(pid):
        with suppress(psutil.Error):
            found.append((process, frozenset(process.cmdline())))
    return found
