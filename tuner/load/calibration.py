"""What the load engine can do on this machine, found against a server that does nothing."""

import math
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tuner.errors import LoadError
from tuner.load import http1
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, Endpoint, LoadRun, OpenLoop
from tuner.load.requests import RequestSet

# Requests in flight of the closed loop that bounds the rate.
_CONCURRENCY = 8
# Connections that the kernel keeps for the server until it has taken them.
_BACKLOG = 512
# The processor time of a request is taken at the closed loop's rate divided by this.
_TRIAL_DIVISOR = 4
# Runs without any answer, until the machine is held to be too busy.
_TRIES = 3


@dataclass(frozen=True)
class Calibration:
    """One engine process on this machine, against a server that does nothing on the same one.

    `rate` is the requests per second that it could send in an open loop if it had a core to
    itself: from the processor time of each, but no more than a closed loop of 8 gets answered.
    `send_lag_p99_s` is how late the sends of an open loop with Poisson arrivals are at half of it.
    """

    rate: float
    send_lag_p99_s: float

    def workers(self, rate: float) -> int:
        """How many processes send `rate` requests per second, each at half of what it can."""
        return max(1, math.ceil(rate / (self.rate / 2)))


def calibrate(
    *, payload_bytes: int = 2, duration_s: float = 1.0, cpus: Iterable[int] = ()
) -> Calibration:
    """Measure the engine itself; takes three times `duration_s` and a little more.

    `payload_bytes` is the size of the body of each request: large ones take longer to send.

    Raises:
        LoadError: The engine cannot send at all, or this machine does nothing for seconds.
    """
    request = http1.request_bytes("/", host="null", headers={}, body=bytes(payload_bytes))
    with null_server(len(request)) as endpoint, LoadEngine(cpus=cpus) as engine:
        engine.prepare(RequestSet((request,)))
        closed = _answered(engine, _run(endpoint, ClosedLoop(_CONCURRENCY), duration_s))
        trial = OpenLoop(closed.throughput / _TRIAL_DIVISOR)
        cpu_s = _answered(engine, _run(endpoint, trial, duration_s)).engine_cpu_per_request_s
        rate = min(closed.throughput, 1 / cpu_s)
        half = _answered(engine, _run(endpoint, OpenLoop(rate / 2), duration_s))
    return Calibration(rate, half.send_lag_p99_s)


@contextmanager
def null_server(request_bytes: int = 0) -> Iterator[Endpoint]:
    """A server in a process of its own that answers any request at once, on 127.0.0.1.

    Requests that may not come in one piece must all be of `request_bytes`.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
        endpoint = Endpoint("127.0.0.1", listening.getsockname()[1])
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tuner.load.null_server"),
                *(str(listening.fileno()), str(request_bytes)),
            ],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            process_group=0,
        )
    with process:  # leaving it closes its standard input, which ends it
        yield endpoint


def _answered(engine: LoadEngine, run: LoadRun) -> Measurement:
    """A measurement with answers; a machine that others take may give none for a second."""
    for _ in range(_TRIES):
        measurement = engine.measure(run)
        if measurement.throughput > 0:
            return measurement
    raise LoadError(
        f"a server that does nothing gave no answer in {_TRIES} times {run.duration_s:g} s",
        hint="this machine is too busy to measure: end what else runs on it",
    )


def _run(endpoint: Endpoint, profile: ClosedLoop | OpenLoop, duration_s: float) -> LoadRun:
    return LoadRun(endpoint=endpoint, profile=profile, duration_s=duration_s)
