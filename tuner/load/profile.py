"""What is sent, where to, and how the requests arrive."""

from dataclasses import dataclass
from enum import StrEnum


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


LoadProfile = ClosedLoop | OpenLoop


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Overload:
    """When an open loop may stop early, because the server has lost the race.

    It stops once more than `outstanding` requests are unanswered and their number has not fallen
    for `blocks` checks in a row (one check every 100 ms).
    """

    outstanding: int
    blocks: int = 4


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """One run of the load engine.

    `connections` are opened before the clock starts; an open loop opens more as it needs them,
    up to `max_connections`. A request without an answer after `timeout_s` is a timeout. After
    `duration_s` nothing new is sent, and what is in flight has `drain_s` to be answered.
    """

    endpoint: Endpoint
    profile: LoadProfile
    duration_s: float
    timeout_s: float = 10.0
    drain_s: float = 1.0
    connections: int = 16
    max_connections: int = 1024
    overload: Overload | None = None
