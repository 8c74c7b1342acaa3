"""Any server at all: started by a command that a person wrote, asked over HTTP.

Every configuration is a start. The server is ready when it says so at a path of its own and has
answered one request. Its settings are proved where the person says what its log must hold then.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from runners.base import PLACEHOLDER, LaunchSpec, RunningServer
from runners.readiness import await_ready
from tuner.errors import (
    Reason,
    ServerError,
    ServerTimeoutError,
    SpaceError,
    TrialFailure,
    hides,
)
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols import generic_http
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import json_outputs, launch_settings
from tuner.targets.base import (
    ANSWER_TIMEOUT_S,
    Installation,
    InstalledTarget,
    TargetSetup,
    at_once,
)
from tuner.targets.command.model import PORT, CommandModel
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, judged, refuted

# What stands in an answer for the address that the server was asked at.
_ADDRESS = b"ADDRESS"
# Lines of the log's beginning, and of its end, that may hold a proof.
_PROOF_LINES = 1000


class CommandTarget(InstalledTarget[CommandModel, httpx.Client]):
    """Implements Target."""

    server = "command"
    port = PORT

    @staticmethod
    def installation(setup: TargetSetup) -> Installation:
        """None: the space file names the program."""
        del setup
        return Installation(Path())

    def __init__(
        self,
        model: CommandModel,
        space: SearchSpace,
        setup: TargetSetup,
        installation: Installation,
    ) -> None:
        super().__init__(model, space, setup, installation)
        self.start_timeout_s = max(setup.start_timeout_s, model.serve.start_timeout_s)

    def stage(self) -> None:
        """Nothing is copied: the server only gets what the person named."""

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        launch = self._deployed(configuration)
        environment = {**self._model.serve.proof_environment, **launch.environment}
        return replace(launch, environment=environment)

    def _deployed(self, configuration: Configuration) -> LaunchSpec:
        """How a server is started that need not show its settings."""
        filled = self._model.filled(self._space, configuration)
        settings = self._space.settings(configuration)
        return LaunchSpec(
            command=(*filled.command, *settings.arguments),
            environment={**filled.environment, **launch_settings.environment(settings)},
            withheld=self._space.variables,
            ports=filled.ports,
            files=filled.files,
            reads=self._model.folders,
            keeps=self._model.keeps,
            working_directory=self._model.directory,
            start_timeout_s=self.start_timeout_s,
        )

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        del configuration  # the start has made it effective
        with self._client(server, self.start_timeout_s) as client:
            path = self._model.serve.ready
            if said := self._await_ready(client, server, path):
                what = f"GET {path} must answer with success, but: {said}"
                raise TrialFailure(Reason.START_TIMEOUT, what)
            self._first_outputs(client, asked="request")

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        proved: dict[str, SettingVerdict] = {}
        for path, texts in self._model.filled(self._space, configuration).proofs.items():
            if texts:
                said = self._page(server, path) if path else _log(server)
                what = f"the answer to GET {path}" if path else "the log"
                proved |= {name: _proved(text, said, what) for name, text in texts.items()}
        return self._verdicts(configuration, partial(judged, pid=server.pid)) | proved

    def statistics(self, server: RunningServer) -> ServerStatistics:
        """None are known of a server that is not known."""
        del server
        return ServerStatistics()

    def requests(self, server: RunningServer) -> RequestSet:
        endpoint = self.endpoint(server)
        payloads = tuple(self._model.prepared(endpoint, body) for body in self._model.bodies)
        return RequestSet(payloads, statuses=generic_http.SUCCESS_STATUSES)

    def concurrency(self, configuration: Configuration) -> int:
        # Nothing is known of its instances; more are tried for as long as that helps.
        return 2 * self._space.constants.get("cores", 2)

    def largest_batch(self, configuration: Configuration) -> int:
        return 1

    def export(self, configuration: Configuration) -> str:
        """A shell script that writes the files and starts the server."""
        try:
            launch = self._deployed(configuration)
        except (SpaceError, ValueError) as error:
            return f"# this configuration cannot be started: {error}\n"
        lines = ["#!/bin/sh", "set -e", 'FOLDER=$(cd "${FOLDER:-.}" && pwd)']
        if launch.working_directory:
            lines.append(f"cd {shlex.quote(str(launch.working_directory))}")
        for name, text in launch.files.items():
            lines.append(f'printf %s {_quoted(text)} > "$FOLDER"/{shlex.quote(name)}')
        unset = sorted(launch.withheld - launch.environment.keys())
        lines += [f"unset {name}" for name in unset]
        lines += [self._exported(n, text) for n, text in launch.environment.items()]
        lines.append(f"exec {' '.join(_quoted(word) for word in launch.command)}")
        return "\n".join([*lines, ""])

    def _exported(self, name: str, text: str) -> str:
        """The line that sets a variable; a secret is left to whoever runs the script."""
        if hides(name, text) and self._model.serve.environment.get(name) == text:
            return f': "${{{name}:?a secret, which is not stored}}"\nexport {name}'
        return f"export {name}={_quoted(text)}"

    def _client(self, server: RunningServer, timeout_s: float = ANSWER_TIMEOUT_S) -> httpx.Client:
        return httpx.Client(base_url=server.url(PORT), timeout=timeout_s, trust_env=False)

    def _page(self, server: RunningServer, place: str) -> str:
        """What the server answers at a path, or of that what a JSON Pointer after `#` names.

        Raises:
            ServerError: It does not, or not with success, or the answer has no such part.
        """
        path, _, pointer = place.partition("#")
        # A page may take its time: vLLM collects facts of its machine for the first one.
        with self._client(server, self.start_timeout_s) as client:
            try:
                response = client.get(path)
            except httpx.HTTPError as error:
                raise ServerError(f"GET {path}: {error}") from None
        if not response.is_success:
            raise ServerError(f"GET {path} was answered with {response.status_code}")
        return _part(response.text, pointer, path) if pointer else response.text

    def _await_ready(self, client: httpx.Client, server: RunningServer, path: str) -> str:
        """What the server says instead of being ready; nothing once it is."""

        def said() -> str:
            try:
                response = client.get(path)
            except httpx.HTTPError as error:
                return str(error) or "no answer"
            return "" if response.is_success else f"status {response.status_code}"

        return await_ready(said, server.is_alive, timeout_s=self.start_timeout_s)

    def _infer(self, client: httpx.Client, count: int) -> tuple[tuple[Tensor, ...], ...]:
        return tuple(map(json_outputs.as_tensors, at_once(partial(self._ask, client), count)))

    def _ask(self, client: httpx.Client) -> bytes:
        request = self._model.request
        try:
            response = client.request(
                request.method,
                request.path,
                content=self._model.bodies[0],
                headers=self._model.headers,
            )
        except httpx.TimeoutException:
            raise ServerTimeoutError(
                f"{request.method} {request.path}: no answer within {client.timeout.read:g} s"
            ) from None
        except httpx.HTTPError as error:
            raise ServerError(f"{request.method} {request.path}: {error}") from None
        if not response.is_success:
            text = response.text.strip()[:200]
            raise ServerError(
                f"{request.method} {request.path} was answered with {response.status_code}: {text}"
            )
        # An echo of the request has the port, which is another one at each start.
        return response.content.replace(client.base_url.netloc, _ADDRESS)


def _part(text: str, pointer: str, path: str) -> str:
    """What is at a JSON Pointer (RFC 6901) in an answer, written as servers do: without spaces."""
    try:
        found = json.loads(text)
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            found = found[int(key) if isinstance(found, list) else key]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ServerError(f"GET {path}: there is no `{pointer}` in the answer") from None
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _log(server: RunningServer) -> str:
    return "\n".join([server.log_head(_PROOF_LINES), server.log_tail(_PROOF_LINES)])


def _proved(text: str, said: str, what: str) -> SettingVerdict:
    """Whether `what`, such as "the log", has `said` the text."""
    if not text.strip():
        return ACCEPTED
    # As a whole: `threads=1` is not proved by `threads=16`.
    if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said):
        return CONFIRMED
    return refuted(f"{what} does not say `{text}`")


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
