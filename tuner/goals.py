"""What is to be reached: a latency budget, an objective, in what time."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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


@dataclass(frozen=True, kw_only=True)
class AnswerLimits:
    """What users accept of an answer, in seconds; infinity is any.

    `whole_s` is for all of it, `ttft_s` for its first token, `itl_s` for the mean time between two
    of its tokens.
    """

    whole_s: float = math.inf
    ttft_s: float = math.inf
    itl_s: float = math.inf

    def __post_init__(self) -> None:
        if not min(self.whole_s, self.ttft_s, self.itl_s) > 0:
            raise ValueError(f"limits above 0 were expected, but got {self!r}")

    def times(self, factor: float) -> Self:
        """All of them, in proportion."""
        return type(self)(**{name: factor * each_s for name, each_s in asdict(self).items()})

    def as_record(self) -> dict[str, float]:
        """As JSON values, which have no infinity: those that are there."""
        return {name: each_s for name, each_s in asdict(self).items() if each_s < math.inf}

    def __str__(self) -> str:
        named = {"": self.whole_s, "TTFT ": self.ttft_s, "ITL ": self.itl_s}
        said = [
            f"{name}{each_s * 1e3:g} ms" for name, each_s in named.items() if each_s < math.inf
        ]
        return ", ".join(said)

    @property
    def of_parts(self) -> bool:
        """Whether there are any that only an answer of output tokens can keep."""
        return min(self.ttft_s, self.itl_s) < math.inf

    @property
    def first_s(self) -> float:
        """What its first token may take, whether that limit is its own or that of all of it."""
        return min(self.ttft_s, self.whole_s)

    @property
    def any(self) -> bool:
        return self.whole_s < math.inf or self.of_parts

    @property
    def leading_s(self) -> float:
        """The one whose seconds a request is judged in: the first that is there, in this order."""
        return next(s for s in (self.whole_s, self.ttft_s, self.itl_s) if s < math.inf)


@dataclass(frozen=True)
class LatencyBudget:
    """The latency that users accept: `percentile` percent of requests within `limit_s`.

    A request for output tokens may have several limits at once, `answers`. It keeps all of them or
    it does not: what is judged is the worst of its times, each over its own limit, in seconds of
    the leading one, which is `limit_s`.
    """

    percentile: float
    limit_s: float
    answers: AnswerLimits | None = None

    @classmethod
    def of_answers(cls, percentile: float, answers: AnswerLimits) -> Self:
        """For several limits at once."""
        return cls(percentile, answers.leading_s, answers if answers.of_parts else None)

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise ValueError(f"`0 < percentile < 100` must hold, but got {self.percentile:g}")
        if not 0 < self.limit_s < math.inf:
            raise ValueError(f"`0 < limit` must hold, but got {self.limit_s:g} s")

    def at(self, limit_s: float) -> Self:
        """With another limit in place of `limit_s`; where there are several, all in proportion."""
        answers = self.answers and self.answers.times(limit_s / self.limit_s)
        return replace(self, limit_s=limit_s, answers=answers)

    def is_alike(self, other: Self) -> bool:
        """Whether both limit the same, in the same proportion.

        What was measured for one of them says nothing of another that is not.
        """
        there = self.at(other.limit_s).limits.as_record(), other.limits.as_record()
        return there[0].keys() == there[1].keys() and all(
            math.isclose(each_s, there[1][name]) for name, each_s in there[0].items()
        )

    @property
    def limits(self) -> AnswerLimits:
        """All of them."""
        return self.answers or AnswerLimits(whole_s=self.limit_s)

    def __str__(self) -> str:
        return f"p{self.percentile:g} <= {self.answers or f'{self.limit_s * 1e3:g} ms'}"


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
