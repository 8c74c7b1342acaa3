"""What is to be reached: a latency budget, an objective, in what time."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from tuner.errors import InputError


class Objective(StrEnum):
    """What to make as large, or as small, as possible.

    throughput   capacity: the highest throughput within the latency budget, inferences per second
    latency      the budget's percentile at the reference load, seconds
    memory       the most resident memory that the server's processes had, bytes
    cpu          processor time of the server for each inference, seconds
    energy       what the GPUs took for each inference, joules
    """

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    MEMORY = "memory"
    CPU = "cpu"
    ENERGY = "energy"

    @property
    def maximize(self) -> bool:
        return self is Objective.THROUGHPUT


@dataclass(frozen=True)
class LatencyBudget:
    """The latency that users accept: `percentile` percent of requests within `limit_s`."""

    percentile: float
    limit_s: float

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise ValueError(f"`0 < percentile < 100` must hold, but got {self.percentile:g}")
        if not 0 < self.limit_s < math.inf:
            raise ValueError(f"`0 < limit` must hold, but got {self.limit_s:g} s")

    def __str__(self) -> str:
        return f"p{self.percentile:g} <= {self.limit_s * 1e3:g} ms"


class Loop(StrEnum):
    """How the load under which a capacity is searched arrives.

    poisson   an open loop: at random, whether or not the server keeps up
    closed    a closed loop: a number of requests in flight, each answer starts the next
    """

    OPEN = "poisson"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class SearchBudget:
    """When to stop: `trials` of the search, `timeout_s` for all, finals included.

    Pauses do not count, unless there is a time of the clock when it `ends_at`.

    The finals measure the `finalists` best configurations and the baseline again, each on
    `confirmations` fresh starts: as many of them as 35 % of the time allow.
    """

    trials: int = 60
    timeout_s: float = 120.0
    finalists: int = 3
    confirmations: int = 3
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        for name, smallest in (("trials", 1), ("finalists", 1), ("confirmations", 0)):
            if getattr(self, name) < smallest:
                raise InputError(
                    f"`{name} >= {smallest}` must hold, but got {getattr(self, name)}"
                )
        if not self.timeout_s > 0:
            raise InputError(f"`timeout > 0` must hold, but got {self.timeout_s:g} s")

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """What `as_record` made of it."""
        ends_at = record["ends_at"] and datetime.fromisoformat(record["ends_at"])
        return cls(**{**record, "ends_at": ends_at})

    def as_record(self) -> dict[str, Any]:
        """As JSON values."""
        ends_at = self.ends_at and self.ends_at.astimezone(UTC).isoformat()
        return {**asdict(self), "ends_at": ends_at}

    @property
    def finals(self) -> int:
        """The trials after the search, the baseline's among them."""
        return self.confirmations * (self.finalists + 1)
