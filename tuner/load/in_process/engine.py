"""The tuner's end of a load engine that holds the server which it asks."""

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from tuner.errors import EngineLostError
from tuner.load.client import LoadEngine, Place
from tuner.load.in_process.hosted import HostedTriton, Question
from tuner.load.measurement import Measurement
from tuner.load.profile import LoadRun

# Seconds for a model to be loaded, weights and compilation included.
_START_PATIENCE_S = 1800.0
# Seconds for an answer about a model.
_PATIENCE_S = 20.0
# Seconds for a Triton to stop.
_ENDING_S = 20.0
# Of what a server said that is gone, so many lines are shown.
_LAST_LINES = 5


class HostingEngine(LoadEngine):
    """A load engine of one process, which holds `triton` within the `with` block.

    What the server and its models say goes to the file `log`.

    Raises:
        ServerMissingError: The library of the server cannot be loaded.
        ServerError: The server does not start, or cannot load the model.
        EngineLostError: Its process died; so it does in every method, where the server crashes.
    """

    def __init__(
        self,
        triton: HostedTriton,
        *,
        log: Path,
        environment: Mapping[str, str],
        cpus: Iterable[int] = (),
    ) -> None:
        self._triton = triton
        self._log = log
        self._said_at_start = 0
        place = Place(environment=environment, log=log, ending_s=_ENDING_S)
        super().__init__(cpus=cpus, place=place)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._ask(self._triton, _START_PATIENCE_S)
            self._said_at_start = self._log.stat().st_size
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        [pid] = self.pids
        super().__exit__()
        # Processes of models whose server crashed; they are of the engine's group.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def ask(self, question: Question) -> str:
        """The answer of the server, as JSON; raises ServerError where it refuses."""
        return self._ask(question, _PATIENCE_S)

    def measure(self, run: LoadRun) -> Measurement:
        """As LoadEngine does; nothing goes over a wire."""
        try:
            measurement = super().measure(run)
        except EngineLostError as error:
            raise self._crashed(error) from None
        return replace(measurement, bytes_sent=0, bytes_received=0)

    def _ask(self, message: HostedTriton | Question, patience_s: float) -> str:
        [process] = self._processes
        try:
            process.send(message)
            return str(process.receive(patience_s))
        except EngineLostError as error:
            raise self._crashed(error) from None

    def _crashed(self, error: EngineLostError) -> EngineLostError:
        """The error, in the words of who knows what else was in that process."""
        [process] = self._processes
        status = process.process.poll()
        if status is None:
            return error
        ended = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return EngineLostError(
            f"the load engine's process, with Triton in it, was ended {ended}{self._last_words()}",
            hint="a model or a backend has crashed its server, or the machine is out of memory: "
            "see whether `tritonserver` survives the same requests",
        )

    def _last_words(self) -> str:
        text = self._log.read_bytes()[self._said_at_start :].decode(errors="replace")
        said = [line.rstrip() for line in text.split("\n") if line.strip()][-_LAST_LINES:]
        return "".join(["; its last words:", *(f"\n  {line}" for line in said)]) if said else ""
