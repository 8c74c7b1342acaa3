"""The server under test across trials: the cheapest honest way to the next configuration."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from types import TracebackType
from typing import Self

from runners import (
    CommandNotFound,
    Runner,
    RunnerError,
    RunningServer,
    StartFailed,
    StartTimeout,
)
from tuner.errors import Reason, ServerError, ServerMissingError, TrialFailure
from tuner.space import Configuration
from tuner.targets.base import Target

# Triton is known to leak over many reloads (triton-inference-server/server issues 4528, 4966).
_RELOADS_PER_START = 20


class Applied(StrEnum):
    """How a configuration was made effective."""

    RESTART = "restart"
    RELOAD = "reload"


@dataclass(frozen=True)
class _Current:
    server: RunningServer
    configuration: Configuration
    reloads: int


class Deployment:
    """At most one server at a time, started by `runner`; it is gone when the `with` block ends."""

    def __init__(
        self, target: Target, runner: Runner, *, cpus: frozenset[int] | None = None
    ) -> None:
        self._target = target
        self._runner = runner
        self._cpus = cpus
        self._stack = ExitStack()
        self._current: _Current | None = None
        self._last_server: RunningServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def server(self) -> RunningServer:
        if self._current is None:
            raise ServerError("no server is running", hint="`apply` a configuration first")
        return self._current.server

    def apply(self, configuration: Configuration, *, fresh: bool = False) -> Applied:
        """Make `configuration` effective: by a reload if that suffices, else by a restart.

        Raises:
            TrialFailure: The server cannot run with it. The server is gone then.
            ServerMissingError: There is no such program.
        """
        current = self._current
        can_reload = (
            current is not None
            and not fresh
            and current.server.is_alive()
            and current.reloads < _RELOADS_PER_START
            and self._target.can_reload(current.configuration, configuration)
        )
        try:
            if can_reload and current is not None:
                self._target.apply(current.server, configuration)
                self._current = _Current(current.server, configuration, current.reloads + 1)
                return Applied.RELOAD
            self._restart(configuration)
        except BaseException:
            self.stop()
            raise
        return Applied.RESTART

    def stop(self) -> None:
        """End the server, if there is one; the next trial begins with a start."""
        self._current = None
        self._stack.close()

    def log_tail(self) -> str:
        """The last words of the last server, running or not."""
        return self._last_server.log_tail() if self._last_server else ""

    def blame(self, failure: TrialFailure) -> TrialFailure:
        """`failure` as it looks once the server was asked: a dead one is the real reason."""
        current = self._current
        if current is None or current.server.is_alive():
            return failure
        code = current.server.exit_code()
        reason = Reason.OUT_OF_MEMORY if code == -9 else Reason.CRASHED
        cause = "was killed, most likely for its memory" if code == -9 else f"ended with {code}"
        return TrialFailure(reason, f"the server {cause}; before that: {failure}")

    def _restart(self, configuration: Configuration) -> None:
        self.stop()
        launch_spec = replace(self._target.launch_spec(configuration), cpus=self._cpus)
        try:
            server = self._stack.enter_context(self._runner.start(launch_spec))
        except CommandNotFound as error:
            raise ServerMissingError(str(error), hint=error.hint) from None
        except RunnerError as error:
            raise _start_failure(error) from None
        self._last_server = server
        self._current = _Current(server, configuration, 0)
        self._target.apply(server, configuration)


def _start_failure(error: RunnerError) -> TrialFailure:
    reason = Reason.START_TIMEOUT if isinstance(error, StartTimeout) else Reason.START_FAILED
    tail = error.log_tail if isinstance(error, StartFailed | StartTimeout) else ""
    return TrialFailure(reason, str(error), log_tail=tail)
