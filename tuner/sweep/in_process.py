"""A Triton in the load engine's process: no server is anywhere else, and no front end."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.guardian import remove_leftovers
from tuner.clients.v2 import ModelFacts, ModelMetadata, read_metadata, read_statistics, understood
from tuner.clients.v2_address import V2Address
from tuner.errors import InputError
from tuner.load.in_process.engine import HostingEngine
from tuner.load.in_process.hosted import HostedTriton, Question, Subject
from tuner.load.profile import Endpoint
from tuner.protocols.v2_in_process import InProcessWire
from tuner.records import ServerStatistics
from tuner.sweep.v2 import V2Form, V2Service
from tuner.targets.triton.install import find_library

# Nothing listens anywhere.
_NOWHERE = Endpoint("in-process", 0)


@dataclass(frozen=True, kw_only=True)
class InProcessTriton:
    """Which Triton serves which repository; without a `folder`, the one that is installed.

    `cpus` pin the process, server and load engine together.
    """

    repository: Path
    folder: Path | None = None
    cpus: Iterable[int] = ()


class InProcessService(V2Service):
    """The service of `model` in the engine's process, with the requests that `form` describes."""

    engine: HostingEngine
    decoupled_hint = (
        "Triton's C API is measured with one answer to a request: start a server, and measure it "
        "over gRPC with `--streaming`"
    )

    def __init__(self, triton: InProcessTriton, model: str, form: V2Form) -> None:
        super().__init__(V2Address(_NOWHERE), model, form)
        self._triton = triton

    def _opened(self, stack: ExitStack) -> ModelFacts:
        repository = self._triton.repository
        if not repository.is_dir():
            raise InputError(
                f"`{repository}` is no model repository: there is no such folder",
                hint="for example: triton-c-api:///srv/models, with three slashes",
            )
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="triton-"))
        workspace = Path(name)
        library = find_library(workspace, self._triton.folder)
        prefix = f"{workspace.name}-"
        stack.callback(remove_leftovers, [f"/dev/shm/{prefix}*"])  # noqa: S108 - the server's
        hosted = HostedTriton(
            library=library.path,
            repository=repository,
            model=self._model,
            backends=library.backends,
            caches=library.caches,
            shm_prefix=prefix,
        )
        self.engine = stack.enter_context(
            HostingEngine(
                hosted,
                log=workspace / "log",
                environment=library.environment,
                cpus=self._triton.cpus,
            )
        )
        return _Facts(self.engine)

    def _wire(self) -> InProcessWire:
        return InProcessWire(self._model, self._form.options)


@dataclass(frozen=True)
class _Facts:
    """Implements ModelFacts: the server in the engine's process is asked."""

    engine: HostingEngine

    def ready(self, model: str, version: str = "") -> bool:
        return bool(self._ask(Subject.READY, model, version))

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        with understood("Triton's C API"):
            return read_metadata(self._ask(Subject.METADATA, model, version))

    def config(self, model: str, version: str = "") -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._ask(Subject.CONFIG, model, version)
        return found

    def statistics(self, model: str, version: str = "") -> ServerStatistics:
        with understood("Triton's C API"):
            return read_statistics(self._ask(Subject.STATISTICS, model, version), version)

    def _ask(self, subject: Subject, model: str, version: str) -> Any:
        return json.loads(self.engine.ask(Question(subject, model, version)))
