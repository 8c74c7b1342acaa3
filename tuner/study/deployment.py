"""The server under test across trials: the cheapest honest way to the next configuration."""

import logging
import shlex
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from signal import SIGKILL
from typing import Self

from runners.base import Runner, RunningServer
from runners.errors import (
    CommandNotFound,
    EngineUnreachable,
    RunnerError,
    StartFailed,
    StartTimeout,
    describe_exit,
)
from tuner.errors import Reason, ServerError, ServerMissingError, SpaceError, TrialFailure
from tuner.records import Applied
from tuner.space.space import Configuration
from tuner.study.lack_of_memory import lacked_memory
from tuner.study.start_patience import StartPatience
from tuner.targets.base import Target
from tuner.watch.gpu_memory import GpuMemory
from tuner.watch.gpu_usage import Nvml
from tuner.watch.oom_kills import oom_kills

logger = logging.getLogger(__name__)

# What a server is marked with, where a runner can mark it.
STUDY_LABEL = "tuner.study"
TRIAL_LABEL = "tuner.trial"
# Reloads until a server is started anew: Triton is known to leak over many of them
# (triton-inference-server/server issues 4528, 4966).
_RELOADS_PER_START = 20
# What a server that got no memory is seen as.
_MAY_LACK_MEMORY = (
    *(Reason.CRASHED, Reason.START_FAILED, Reason.NOT_READY),
    *(Reason.LOAD_FAILED, Reason.UNRESPONSIVE),
)
# How long a server that is ending may take until its end is known, and how often it is asked, in
# seconds.
_DYING_S = 0.5
_DYING_POLL_S = 0.01


@dataclass(frozen=True)
class _Current:
    """What runs: after so many reloads, begun when the kernel had so many processes killed."""

    server: RunningServer
    configuration: Configuration
    reloads: int
    oom_kills: int | None


class Deployment:
    """At most one server at a time, started by `runner`; it is gone when the `with` block ends."""

    def __init__(
        self,
        target: Target,
        runner: Runner,
        *,
        cpus: frozenset[int] | None = None,
        study: str = "",
        gpus: Nvml | None = None,
    ) -> None:
        """`gpus` are those whose memory a server that is gone has to give back."""
        self._target = target
        self._runner = runner
        self._cpus = cpus
        self._study = study
        self._gpu_memory = GpuMemory(gpus)
        self._patience = StartPatience(target.start_timeout_s)
        self._stack = ExitStack()
        self._current: _Current | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def server(self) -> RunningServer:
        if self._current is None:
            raise ServerError("no server is running", hint="`apply` a configuration first")
        return self._current.server

    @property
    def configuration(self) -> Configuration | None:
        """What the server runs with now; None without a server."""
        return self._current.configuration if self._current else None

    def apply(
        self, configuration: Configuration, *, fresh: bool = False, trial: int = 0
    ) -> Applied:
        """Make `configuration` effective: by a reload if that suffices, else by a restart.

        A server that is started is marked with the study and the number of the `trial`.

        Raises:
            TrialFailure: The server cannot run with it. The server is gone then.
            ServerMissingError: There is no such program, or no Docker engine any more.
        """
        current = self._current
        can_reload = (
            current is not None
            and not fresh
            and current.server.is_alive()
            and current.reloads < _RELOADS_PER_START
            and self._target.can_reload(current.configuration, configuration)
        )
        began_s = time.monotonic()
        self._target.start_timeout_s = self._patience.timeout_s
        try:
            if can_reload and current is not None:
                logger.info("reload: %s", configuration)
                self._target.apply(current.server, configuration)
                self._current = replace(
                    current, configuration=configuration, reloads=current.reloads + 1
                )
            else:
                self._restart(configuration, trial)
        except TrialFailure as failure:
            blamed = self.blame(failure)
            self.stop()
            raise blamed from None
        except BaseException:
            self.stop()
            raise
        self._patience.saw(time.monotonic() - began_s)
        restarted = not can_reload and self._runner.may_restart
        return Applied.RESTART if restarted else Applied.RELOAD

    def stop(self) -> None:
        """End the server, if there is one; the next trial begins with a start."""
        self._current = None
        self._stack.close()

    def blame(self, failure: TrialFailure) -> TrialFailure:
        """`failure` once the server was asked, with its last words: its death is the real reason.

        Asked before the server is stopped: what it says then would bury what it said before.
        """
        if self._current is None:
            return failure
        server = self._current.server
        code = _exit_code(server)
        if code is None and not server.is_alive():
            lost = "the server is gone, and nobody knows how it ended"
            return TrialFailure(Reason.INTERRUPTED, f"{lost}; seen as: {failure}")
        last_words = server.log_tail()
        if code is None:
            said = failure.log_tail or last_words
            reason, why = _reason_in_log(said, failure.reason)
            return TrialFailure(reason, f"{failure}{why}", log_tail=said)
        reason, why = _reason_of_exit(code, Reason.CRASHED, self._current.oom_kills)
        reason, why = _reason_in_log(last_words, reason, why)
        return TrialFailure(
            reason,
            f"the server {describe_exit(code)}{why}; seen as: {failure}",
            log_tail=last_words,
        )

    def _restart(self, configuration: Configuration, trial: int) -> None:
        self.stop()
        if self._runner.may_restart:  # another one's server keeps what it has
            self._gpu_memory.settle()
        labels = {STUDY_LABEL: self._study, TRIAL_LABEL: str(trial)}
        try:
            spec = self._target.launch_spec(configuration)
        except (SpaceError, ValueError) as error:  # what a person's templates make of it
            raise TrialFailure(Reason.INVALID_CONFIGURATION, str(error)) from None
        launch_spec = replace(spec, cpus=self._cpus, labels=labels)
        killed = oom_kills()
        logger.info("start: %s", shlex.join(launch_spec.command))
        try:
            server = self._stack.enter_context(self._runner.start(launch_spec))
        except (CommandNotFound, EngineUnreachable) as error:
            raise ServerMissingError(str(error), hint=error.hint) from None
        except RunnerError as error:
            raise _start_failure(error, killed) from None
        self._current = _Current(server, configuration, 0, killed)
        self._target.apply(server, configuration)


def _exit_code(server: RunningServer) -> int | None:
    """None if the server runs. One that is dying closes its connections before it is gone."""
    deadline = time.monotonic() + _DYING_S
    while server.is_alive() and time.monotonic() < deadline:
        time.sleep(_DYING_POLL_S)
    return server.exit_code()


def _reason_of_exit(code: int, otherwise: Reason, killed: int | None) -> tuple[Reason, str]:
    """Why it ended so, and how that is known.

    The kernel ends what takes too much memory with SIGKILL, and counts whom it ends so: before
    the server was started they were `killed`. Where none was added, a person or a program did it.
    """
    if code != -SIGKILL:
        return otherwise, ""
    now = oom_kills()
    if killed is not None and now == killed:
        return Reason.INTERRUPTED, ", and not for its memory, but by somebody"
    return Reason.OUT_OF_MEMORY, ", most likely for its memory"


def _reason_in_log(log: str, reason: Reason, why: str = "") -> tuple[Reason, str]:
    """That it was for want of memory, where nothing more exact is known and its log says so."""
    if reason in _MAY_LACK_MEMORY and lacked_memory(log):
        return Reason.OUT_OF_MEMORY, ", for want of memory, as its log says"
    return reason, why


def _start_failure(error: RunnerError, killed: int | None) -> TrialFailure:
    reason, why = Reason.START_FAILED, ""
    if isinstance(error, StartTimeout):
        reason = Reason.START_TIMEOUT
    if isinstance(error, StartFailed):
        reason, why = _reason_of_exit(error.exit_code, reason, killed)
        reason, why = _reason_in_log(error.log_tail, reason, why)
    return TrialFailure(reason, f"{error}{why}", log_tail=error.log_tail)
