"""Answers about stored studies: how they are sent, and what is asked in their addresses."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tuner.analysis.rate_unit import RateUnit
from tuner.errors import quoted
from tuner.goals import Objective
from tuner.report.best import BestWish
from tuner.report.json_text import json_text
from tuner.report.status import StudyState
from tuner.service.api.documents import Page
from tuner.service.api.problems import not_found


class JsonAnswer(JSONResponse):
    """Content as JSON; infinities and NaN, which JSON does not have, become null."""

    def render(self, content: Any) -> bytes:
        return json_text(content, indent=None).encode()


def _study(
    study: Annotated[
        str, Path(description="The name of a study.", max_length=200, examples=["night"])
    ],
) -> str:
    # PostgreSQL takes no null character, not even in a question.
    if not study.isprintable():
        raise not_found("study", quoted(study)[1:-1])
    return study


Study = Annotated[str, Depends(_study)]
"""The name of a study in a path; names may have slashes."""
BudgetMs = Annotated[
    float | None,
    Query(
        gt=0, lt=3_600_000, allow_inf_nan=False,
        description="Another latency limit than the study's, in milliseconds.",
    ),
]  # fmt: skip
Percentile = Annotated[
    float | None,
    Query(
        ge=1, le=99.99, allow_inf_nan=False,
        description="Another percentile of the latency than the study's.",
    ),
]  # fmt: skip


def _wish(
    budget_ms: BudgetMs = None,
    percentile: Percentile = None,
    objective: Annotated[
        Objective, Query(description="What the best one is best in.")
    ] = Objective.THROUGHPUT,
    min_throughput: Annotated[
        float | None,
        Query(
            gt=0, allow_inf_nan=False,
            description="For other objectives: what it carries, in the study's `unit`.",
        ),
    ] = None,
) -> BestWish:  # fmt: skip
    return BestWish(
        budget_ms=budget_ms,
        percentile=percentile,
        objective=objective,
        min_throughput=min_throughput,
    )


Wish = Annotated[BestWish, Depends(_wish)]
"""For what the best configuration is wanted."""


class NearestDocument(BaseModel):
    """What comes closest where nothing is within the latency budget.

    It was measured at a load (`throughput`), at a concurrency, or at one request at a time.
    """

    trial: int
    configuration: dict[str, Any]
    latency_ms: float | None
    over_ms: float | None
    factor: float | None
    throughput: float | None
    unit: Annotated[str, Field(description="Of `throughput`.", examples=list(RateUnit))]
    concurrency: int | None
    times: Annotated[
        list[str] | None,
        Field(
            description="Of a language model: which times have limits. `latency_ms` is the worst"
            " over its own limit, as the first of them."
        ),
    ] = None


class StudySummary(BaseModel):
    """A study in one line."""

    study: str
    created_at: datetime
    server: str
    model: str
    latency_budget: Annotated[str, Field(examples=["p99 <= 50 ms"])]
    trials: Annotated[int, Field(description="Configurations that were tried.")]
    best: Annotated[float | None, Field(description="What the winner carries.")]
    unit: Annotated[str, Field(description="Of that.", examples=list(RateUnit))]
    gain: Annotated[float | None, Field(description="Times what the defaults carry.")]
    nearest: NearestDocument | None
    state: StudyState


class StudiesDocument(Page):
    """A page of studies, the newest first."""

    items: list[StudySummary]


class TrialDocument(BaseModel):
    """How a trial ended."""

    trial: int
    purpose: str
    host: Annotated[str, Field(description="Of the fleet; empty for one machine.")] = ""
    state: str
    reason: str | None
    message: str
    log: str
    cure: str | None
    proof: Annotated[str, Field(description="The verdict on the load that was to be proved.")]
    throughput: Annotated[float | None, Field(description="In the study's `unit`.")]
    seconds: float | None
    finished_at: datetime
    configuration: dict[str, Any]


class TrialsDocument(Page):
    """A page of a study's trials, by their numbers."""

    items: list[TrialDocument]


class LoadPointsDocument(Page):
    """A page of a study's load points, by their trials; docs/data.md has the columns."""

    items: list[dict[str, Any]]


class ParetoDocument(BaseModel):
    """The load points that no other beats in throughput and latency.

    Of several objectives, also the trials that no other beats in all of them. Of a language model
    `tokens` has what output tokens per second cost in the speed that a user sees (`speed`, tokens
    per second) and in the time to the first token (`ttft_ms`).
    """

    load_points: list[dict[str, Any]]
    unit: Annotated[str, Field(description="Of their throughputs.", examples=list(RateUnit))]
    objectives: dict[str, Any] | None
    tokens: dict[str, list[dict[str, Any]]] | None
    nearest: NearestDocument | None


class EffectsDocument(BaseModel):
    """What was found of each parameter; ratios are of capacities."""

    study: str
    nearest: NearestDocument | None
    measured: int
    stopped_because_beaten: int
    without_capacity: int
    unexplained_log_spread: float | None
    best_together: float | None
    best_multiplied: list[float | None] | None
    effects: list[dict[str, Any]]


class HintsDocument(BaseModel):
    """Which advice holds; of what is `unknown`, the facts that are missing."""

    study: str
    hints: list[dict[str, Any]]
    checked: int
    unknown: dict[str, list[str]]


class CapacityDocument(BaseModel):
    """How many replicas the demand needs, for each latency budget."""

    demand: dict[str, float | None]
    reserve: dict[str, float]
    latency_budgets: list[dict[str, Any]]


class ComparisonsDocument(BaseModel):
    """Each of the further studies against the first one."""

    comparisons: list[dict[str, Any]]
