"""What load is put on which endpoint, and how the requests arrive."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tuner.goals import AnswerLimits


class Arrivals(StrEnum):
    """How the requests of an open loop are spread in time."""

    POISSON = "poisson"
    CONSTANT = "constant"


@dataclass(frozen=True)
class ClosedLoop:
    """A fixed number of requests in flight: each answer sends the next (MLPerf: MultiStream)."""

    concurrency: int

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"`concurrency >= 1` must hold, but got {self.concurrency}")

    def __str__(self) -> str:
        return f"concurrency {self.concurrency}"


@dataclass(frozen=True)
class OpenLoop:
    """Requests arrive whether or not the server keeps up (MLPerf: Server).

    `rate` is in requests per second. One seed always gives the same arrivals, scaled by the
    rate: configurations compared under one seed meet the same traffic (common random numbers).
    """

    rate: float
    arrivals: Arrivals = Arrivals.POISSON
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"`rate > 0` must hold, but got {self.rate}")

    def __str__(self) -> str:
        return f"{self.rate:g} requests/s ({self.arrivals.value})"


@dataclass(frozen=True)
class Ramp:
    """An open loop whose rate climbs (or falls) by steps of `step_s` seconds, without a pause."""

    rates: tuple[float, ...]
    step_s: float
    arrivals: Arrivals = Arrivals.POISSON
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rates or not min(self.rates) > 0 or not self.step_s > 0:
            raise ValueError(f"rates and step must be above 0, but got {self!r}")

    def __str__(self) -> str:
        first, last = self.rates[0], self.rates[-1]
        return f"ramp from {first:g} to {last:g} requests/s, {self.step_s:g} s each"

    @property
    def rate(self) -> float:
        """Requests per second on average."""
        return math.fsum(self.rates) / len(self.rates)


@dataclass(frozen=True)
class Replay:
    """An open loop with recorded intervals, in seconds, repeated until the run ends."""

    intervals_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.intervals_s or min(self.intervals_s) < 0 or not sum(self.intervals_s) > 0:
            raise ValueError("a replay needs intervals of 0 s or more that are not all 0")

    def __str__(self) -> str:
        return f"replay of {len(self.intervals_s)} intervals"

    @property
    def rate(self) -> float:
        """Requests per second on average."""
        return len(self.intervals_s) / math.fsum(self.intervals_s)


LoadProfile = ClosedLoop | OpenLoop | Ramp | Replay


def load_of(profile: LoadProfile) -> float:
    """The concurrency of a closed loop, the requests per second of an open one."""
    return profile.concurrency if isinstance(profile, ClosedLoop) else profile.rate


@dataclass(frozen=True)
class TlsSettings:
    """How to speak TLS: whom to believe, who to be. The server is verified unless `verify` is off.

    `ca_file` holds certificates in PEM form that are believed in place of the system's;
    `certificate` and `key` are the client's own, `server_name` is expected in the server's
    certificate in place of the host.
    """

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    verify: bool = True
    server_name: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens: host and port, or a Unix socket, which goes before them."""

    host: str
    port: int
    tls: TlsSettings | None = None
    unix_socket: Path | None = None

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Overload:
    """When an open loop may stop early, because the server has lost the race.

    It stops once more than `outstanding` requests are unanswered and their number has not fallen
    for `blocks` checks in a row (one check every 100 ms). Where `slow_s` is given, it also stops,
    after `after_s`, once more than `forgiven` requests failed or took longer than that.
    """

    outstanding: int
    blocks: int = 4
    slow_s: float | None = None
    forgiven: int = 0
    after_s: float = 0.0


@dataclass(frozen=True)
class Share:
    """Which part of a run an engine process takes: the `index`-th of `of` equal ones."""

    index: int = 0
    of: int = 1

    def part(self, total: int) -> int:
        """What this process takes of `total` requests, users or sequences."""
        return (total + self.of - 1 - self.index) // self.of


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """One run of the load engine.

    `connections` are opened before the clock starts; an open loop opens more as it needs them,
    up to `max_connections`. Over gRPC a connection carries up to `streams` requests at a time. A
    request without an answer after `timeout_s` is a timeout. After `duration_s`, or `max_requests`
    if that is not 0, nothing new is sent, and what is in flight has `drain_s` to be answered.
    A server that has begun to stream an answer may be silent for `timeout_s` as well. `serial` is
    another number for each run, of which the serial numbers in its requests are made. With
    `limits`, requests for output tokens are judged by all of them at once.
    """

    endpoint: Endpoint
    profile: LoadProfile
    duration_s: float
    timeout_s: float = 10.0
    drain_s: float = 1.0
    connections: int = 16
    max_connections: int = 1024
    streams: int = 8
    max_requests: int = 0
    overload: Overload | None = None
    share: Share = Share()
    serial: int = 0
    limits: AnswerLimits | None = None
