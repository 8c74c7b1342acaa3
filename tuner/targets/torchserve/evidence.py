"""What shows that a TorchServe has its settings: its own words, its log, its processes."""

import itertools
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tuner.clients.torchserve import Description
from tuner.records import Grade, SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.space.settings import Setting
from tuner.targets import variants
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, command_lines, judged, refuted
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
class TorchServeEvidence:
    """What can be known of a running server: its own description, its log, its processes."""

    described: Description
    log_head: str
    log_tail: str
    pid: int

    def verdict(self, sets: Setting, value: Value) -> SettingVerdict:
        return judged(
            sets,
            value,
            self.pid,
            config=self._setting,
            property=self._property,
            launcher=partial(launcher.argument_verdict, log=self.log_tail),
            variant=lambda _, asked: variants.variant_verdict(
                asked, Path(self.described.archive).stem
            ),
        )

    def _setting(self, path: str, value: Value) -> SettingVerdict:
        for name in (path, "maxWorkers") if path == WORKERS else (path,):
            found = self.described.settings.get(name)
            if found != value:
                return refuted(f"TorchServe has {name} = {found}")
        return CONFIRMED

    def _property(self, name: str, value: Value) -> SettingVerdict:
        """What TorchServe says of it when it starts; it does not tell of all properties."""
        if name == LAUNCHER and value is True:
            return self._launched()
        if name == _IPEX and value is True and _NO_IPEX in self.log_tail:
            return refuted(f"the log says `{_NO_IPEX}`")
        told = _TOLD.get(name)
        line = rf"{re.escape(told)}: (.*)$" if told else "(?!)"
        said = re.search(line, self.log_head, re.MULTILINE)
        if said is None:
            return ACCEPTED
        if said[1].strip() == value_text(value):
            return CONFIRMED
        return refuted(f"TorchServe says `{told}: {said[1].strip()}`")

    def _launched(self) -> SettingVerdict:
        """Whether the workers run under the launcher, each on processors of its own."""
        said = launcher.launcher_verdict(self.log_tail)
        processes = command_lines(self.pid)
        if said.grade is Grade.REFUTED or not processes:
            return said
        if not any(MODULES.intersection(words) for _, words in processes):
            return refuted("no worker runs under the launcher")
        bound = [
            _processors(process)
            for process, words in processes
            # The launcher has the worker's program among its arguments, and is not bound itself.
            if MODULES.isdisjoint(words) and any(each.endswith(_WORKER_PROGRAM) for each in words)
        ]
        for one, other in itertools.combinations(bound, 2):
            if shared := sorted(one & other):
                numbers = ", ".join(map(str, shared))
                return refuted(f"two workers share the processors {numbers}")
        return CONFIRMED


def _processors(process: psutil.Process) -> set[int]:
    """Those that it may use; none once it has ended."""
    with suppress(psutil.Error):
        return set(process.cpu_affinity() or ())
    return set()
