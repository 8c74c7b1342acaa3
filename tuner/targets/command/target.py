"""Any server at all: started by a command that a person wrote, asked over HTTP.

Every configuration is a start. The server is ready when it says so at a path of its own and has
answered one request. Its settings are proved where the person says what its log must hold then.
"""

import re
import shlex
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import httpx

from runners.base import PLACEHOLDER, LaunchSpec, RunningServer
from tuner.errors import Reason, ServerError, ServerTimeoutError, SpaceError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols import generic_http
from tuner.records import Grade, ServerStatistics, SettingVerdict
from tuner.space.settings import EnvironmentVariables
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import json_outputs, launch_settings
from tuner.targets.base import TargetSetup
from tuner.targets.command.model import PORT, CommandModel
from tuner.targets.process_proofs import environment_verdict, value_text

_POLL_S = 0.05
_REQUEST_TIMEOUT_S = 10.0
# How much of the log may hold a proof: what a server says when it starts.
_PROOF_LINES = 1000


class CommandTarget:
    """Implements Target."""

    server = "command"
    warm_up_requests = 0

    def __init__(
        self, model: CommandModel, space: SearchSpace, *, start_timeout_s: float = 120.0
    ) -> None:
        self.model = model.name
        self._model = model
        self._space = space
        self._start_timeout_s = start_timeout_s

    @classmethod
    def of(cls, model: CommandModel, space: SearchSpace, setup: TargetSetup) -> Self:
        """The target of a job."""
        return cls(model, space, start_timeout_s=setup.start_timeout_s)

    def stage(self) -> None:
        """Nothing is copied: the server only gets what the person named."""

    def restore(self, server: RunningServer) -> None:
        """Nothing: a server of somebody else cannot be changed by a start."""

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        filled = self._model.filled(self._space, configuration)
        return LaunchSpec(
            command=(*filled.command, *launch_settings.flags(self._space, configuration)),
            environment={
                **filled.environment,
                **launch_settings.environment(self._space, configuration),
            },
            ports=filled.ports,
            files=filled.files,
            reads=(self._model.directory, *self._model.reads),
            working_directory=self._model.directory,
            start_timeout_s=self._start_timeout_s,
        )

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        return before == after

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        with _client(server, self._start_timeout_s) as client:
            self._await_ready(client, server)
            try:
                self._infer(client, 1)
            except ServerError as error:
                what = f"the first request failed: {error}"
                raise TrialFailure(Reason.NOT_READY, what) from None

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        proofs = self._model.filled(self._space, configuration).proofs
        log = "\n".join([server.log_head(_PROOF_LINES), server.log_tail(_PROOF_LINES)])

        def verdict(name: str) -> SettingVerdict:
            value, sets = configuration[name], self._space[name].sets
            if name in proofs:
                return _proved(proofs[name], log)
            match sets:
                case EnvironmentVariables(names, omit) if value != omit:
                    return environment_verdict(server.pid, dict.fromkeys(names, value_text(value)))
                case _:
                    return SettingVerdict(Grade.ACCEPTED)

        return {name: verdict(name) for name in configuration}

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        with _client(server, _REQUEST_TIMEOUT_S) as client:
            return self._infer(client, count)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        """None are known of a server that is not known."""
        del server
        return ServerStatistics()

    def requests(self, server: RunningServer) -> RequestSet:
        request = self._model.serve.request
        endpoint = self.endpoint(server)
        payloads = tuple(
            generic_http.prepare(
                endpoint,
                request.path,
                method=request.method,
                headers=self._model.headers,
                body=body,
            )
            for body in self._model.bodies
        )
        return RequestSet(payloads, statuses=generic_http.SUCCESS_STATUSES)

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports[PORT])

    def concurrency(self, configuration: Configuration) -> int:
        # Nothing is known of its instances; more are tried for as long as that helps.
        return 2 * self._space.constants.get("cores", 2)

    def largest_batch(self, configuration: Configuration) -> int:
        return 1

    def export(self, configuration: Configuration) -> str:
        """A shell script that writes the files and starts the server."""
        try:
            launch = self.launch_spec(configuration)
        except (SpaceError, ValueError) as error:
            return f"# this configuration cannot be started: {error}\n"
        lines = ["#!/bin/sh", "set -e", 'FOLDER=$(cd "${FOLDER:-.}" && pwd)']
        lines.append(f"cd {shlex.quote(str(launch.working_directory))}")
        for name, text in launch.files.items():
            lines.append(f'printf %s {_quoted(text)} > "$FOLDER"/{shlex.quote(name)}')
        lines += [f"export {n}={_quoted(text)}" for n, text in launch.environment.items()]
        lines.append(f"exec {' '.join(_quoted(word) for word in launch.command)}")
        return "\n".join([*lines, ""])

    def _await_ready(self, client: httpx.Client, server: RunningServer) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        path = self._model.serve.ready
        said = "no answer"
        while server.is_alive() and time.monotonic() < deadline:
            try:
                response = client.get(path)
            except httpx.HTTPError as error:
                said = str(error)
            else:
                if response.is_success:
                    return
                said = f"status {response.status_code}"
            time.sleep(_POLL_S)
        raise TrialFailure(
            Reason.START_TIMEOUT, f"GET {path} must answer with success, but: {said}"
        )

    def _infer(self, client: httpx.Client, count: int) -> tuple[tuple[Tensor, ...], ...]:
        with ThreadPoolExecutor(count) as pool:
            asked = [pool.submit(self._ask, client) for _ in range(count)]
            return tuple(json_outputs.as_tensors(each.result()) for each in asked)

    def _ask(self, client: httpx.Client) -> bytes:
        request = self._model.serve.request
        try:
            response = client.request(
                request.method,
                request.path,
                content=self._model.bodies[0],
                headers=self._model.headers,
            )
        except httpx.TimeoutException:
            raise ServerTimeoutError(
                f"{request.method} {request.path}: no answer in time"
            ) from None
        except httpx.HTTPError as error:
            raise ServerError(f"{request.method} {request.path}: {error}") from None
        if not response.is_success:
            text = response.text.strip()[:200]
            raise ServerError(
                f"{request.method} {request.path} was answered with {response.status_code}: {text}"
            )
        return response.content


@contextmanager
def _client(server: RunningServer, timeout_s: float) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url(PORT), timeout=timeout_s, trust_env=False) as client:
        yield client


def _proved(text: str, log: str) -> SettingVerdict:
    if not text.strip():
        return SettingVerdict(Grade.ACCEPTED)
    # As a whole: `threads=1` is not proved by `threads=16`.
    if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", log):
        return SettingVerdict(Grade.CONFIRMED)
    return SettingVerdict(Grade.REFUTED, f"the log does not say `{text}`")


def _quoted(text: str) -> str:
    """For a shell, with variables of it where a start has its placeholders."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(text):
        parts.append(_literal(text[end : match.start()]))
        parts.append(f'"${{{_variable(match)}}}"')
        end = match.end()
    return "".join([*parts, _literal(text[end:])]) or "''"


def _literal(text: str) -> str:
    return shlex.quote(text) if text else ""


def _variable(match: re.Match[str]) -> str:
    if match[1] is not None:
        name = re.sub(r"\W", "_", match[1]).upper()
        return f"PORT_{name}:?the number of a port"
    return "ADDRESS:-127.0.0.1" if match[0] == "{address}" else "FOLDER"
