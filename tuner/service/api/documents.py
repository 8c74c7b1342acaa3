"""Jobs as the interface shows and takes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tuner.analysis.rate_unit import RateUnit
from tuner.clients import webhook
from tuner.errors import masked, quoted
from tuner.store.deliveries import Delivery
from tuner.store.queue import QueueChange, QueuedJob, QueueState

# A name becomes that of a folder and of a file: letters, digits, `.`, `_` and `-`, none that a
# program would take for an option or a hidden file, and none that could be the number of a job.
STUDY_NAME = r"^([A-Za-z_]|[0-9]+[A-Za-z_.-])[A-Za-z0-9_.-]*$"
LONGEST_NAME = 100
# SQL's whole numbers end there.
MOST_ROWS = 2**63 - 1

StudyName = Annotated[
    str,
    StringConstraints(pattern=STUDY_NAME, max_length=LONGEST_NAME),
    Field(
        description="Letters, digits, `.`, `_` and `-`; it begins with a letter or `_`, or with "
        "digits that something else follows.",
        examples=["resnet50-night"],
    ),
]


def printable(value: Any) -> Any:
    """`value`, if each text in it can be stored, and be an argument of a program.

    Raises:
        ValueError: One has a NUL, or half of a surrogate pair.
    """
    match value:
        case str():
            if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
                raise ValueError(f"{quoted(value)} has characters that no text may have")
        case Mapping():
            for each in (*value.keys(), *value.values()):
                printable(each)
        case list():
            for each in value:
                printable(each)
        case _:
            pass
    return value


Limit = Annotated[int, Query(ge=1, le=100, description="So many at most are on a page.")]
Offset = Annotated[int, Query(ge=0, le=MOST_ROWS, description="So many come before the page.")]


class Page(BaseModel):
    """Where a page of a longer list begins, and how long that is."""

    total: Annotated[int, Field(description="All that there are, on all pages.", ge=0)]
    limit: Annotated[int, Field(description="So many at most are on a page.", ge=1)]
    offset: Annotated[int, Field(description="So many come before this page.", ge=0)]


class StatusDocument(BaseModel):
    """How a study stands, as `tuner status --json` says it, without the path of its log."""

    model_config = ConfigDict(extra="ignore")

    study: str
    model: str
    latency_budget: Annotated[str, Field(examples=["p99 <= 50 ms"])]
    percentile: Annotated[float, Field(description="Of the latency budget.", examples=[99.0])]
    limit_ms: Annotated[float, Field(description="Of the latency budget.", examples=[50.0])]
    state: Annotated[
        str,
        Field(
            description="`running`, `resting`, `pausing`, `paused`, `stopping`, `gone`, `ended` "
            "or `unknown`."
        ),
    ]
    why: str
    owner: str | None
    began_at: str | None
    heard_at: str | None
    ended_at: str | None
    ends_at: str | None
    left_s: Annotated[float | None, Field(description="Seconds.")]
    doing: Annotated[str, Field(description="The trial and the phase in progress, in words.")]
    trials: Annotated[dict[str, int], Field(description="How many, by how they ended.")]
    plan: Annotated[str, Field(description="How the rest of the time will be spent, in words.")]
    baseline: Annotated[dict[str, Any] | None, Field(description="The server's defaults.")]
    best: Annotated[float | None, Field(description="What it carries within the budget.")]
    unit: Annotated[str, Field(description="Of that.", examples=list(RateUnit))]
    tokens_per_answer: Annotated[
        float | None, Field(description="Mean output tokens of an answer; null if it has none.")
    ] = None
    configuration: Annotated[dict[str, Any] | None, Field(description="That of the best.")]
    nearest: dict[str, Any] | None
    gain: Annotated[float | None, Field(description="The best as a multiple of the defaults.")]
    gain_interval: list[float] | None
    hosts: Annotated[
        list[dict[str, Any]],
        Field(description="Those of its fleet: group, state, speed and what each measures."),
    ] = []
    failures: Annotated[list[dict[str, Any]], Field(description="The last three.")]


class JobDocument(BaseModel):
    """A job: what was asked for, where it stands, and why."""

    id: Annotated[int, Field(examples=[7])]
    study: Annotated[str, Field(examples=["resnet50-night"])]
    state: QueueState
    why: Annotated[str, Field(description="It is in its state; empty if nothing is to be said.")]
    by: Annotated[str, Field(description="Who asked for it.")]
    submitted_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    attempts: Annotated[int, Field(description="How often its process was started.")]
    options: Annotated[
        dict[str, Any], Field(description="Those of `tuner optimize` that were said.")
    ]
    webhook: Annotated[
        str, Field(description="What is told of its changes, without its path; may be empty.")
    ]
    place: Annotated[
        int | None, Field(description="In the queue, from 0; null if it does not wait.")
    ]
    expected_start: Annotated[
        datetime | None, Field(description="If all before it take their time; null if unknown.")
    ]
    status: Annotated[
        StatusDocument | None, Field(description="Of its study; null before that has begun.")
    ]

    @classmethod
    def of(
        cls,
        job: QueuedJob,
        *,
        place: int | None = None,
        expected_start: datetime | None = None,
        status: StatusDocument | None = None,
    ) -> "JobDocument":
        return cls(
            id=job.id,
            study=job.study,
            state=job.state,
            why=job.why,
            by=job.by,
            submitted_at=job.submitted_at,
            began_at=job.began_at,
            ended_at=job.ended_at,
            attempts=job.attempts,
            options=dict(job.options),
            webhook=webhook.shown(job.webhook),
            place=place,
            expected_start=expected_start,
            status=status,
        )


class JobsDocument(Page):
    """Jobs: those of the queue in its order, then the latest ended."""

    items: list[JobDocument]


class ChangeDocument(BaseModel):
    """A job came into `state`."""

    id: int
    at: datetime
    state: QueueState
    why: str
    by: Annotated[str, Field(description="Who brought it there; empty for the service itself.")]

    @classmethod
    def of(cls, change: QueueChange) -> "ChangeDocument":
        return cls(id=change.id, at=change.at, state=change.state, why=change.why, by=change.by)


class ChangesDocument(BaseModel):
    """All changes of a job's state, the oldest first."""

    items: list[ChangeDocument]


class DeliveryDocument(BaseModel):
    """An attempt to tell the job's webhook of a change."""

    change: Annotated[int, Field(description="The number of the change.")]
    attempt: Annotated[int, Field(description="From 1.")]
    at: datetime
    status: Annotated[int | None, Field(description="Of the answer; null if there was none.")]
    error: Annotated[str, Field(description="Why it was in vain; empty if it arrived.")]

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryDocument":
        return cls(
            change=delivery.change,
            attempt=delivery.attempt,
            at=delivery.at,
            status=delivery.status,
            error=masked(delivery.error),
        )


class DeliveriesDocument(BaseModel):
    """All attempts, the oldest first."""

    items: list[DeliveryDocument]


class StopRequest(BaseModel):
    """How a job is to end."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"now": True}]})

    now: Annotated[
        bool, Field(description="After the load point in progress, without finals.", strict=True)
    ] = False


class MoveRequest(BaseModel):
    """Where a job is to wait."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"place": 0}]})

    place: Annotated[
        int,
        Field(
            description="From 0; after the last, it is the last.", ge=0, le=1_000_000, strict=True
        ),
    ]


Plain = BeforeValidator(printable)
"""Of a model's field: no text in it is one that cannot be stored."""
