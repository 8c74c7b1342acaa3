"""Replicas for a demand: of one study, or of several that are compared by what they cost."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints

from tuner.planning.offers import Wish
from tuner.report.capacity_answer import CapacityQuestion, answered
from tuner.report.capacity_wish import constant_demand, reserve
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.problems import documented
from tuner.service.api.study_documents import CapacityDocument, JsonAnswer, Study
from tuner.service.service import Service

_MOST_STUDIES = 10
_SAYS = "What `tuner capacity --json` says."
_Name = Annotated[str, StringConstraints(max_length=200)]
_Price = Annotated[str, StringConstraints(max_length=300)]
_LimitMs = Annotated[float, Field(gt=0, lt=3_600_000, allow_inf_nan=False)]


class CapacityQuery(BaseModel):
    """What is asked, as the options of `tuner capacity`."""

    demand: Annotated[
        float,
        Field(
            allow_inf_nan=False,
            description="Requests per second, of all users.",
            examples=[1200],
        ),
    ]
    peak_factor: Annotated[
        float, Field(allow_inf_nan=False, description="How many times the demand the peak is.")
    ] = 1.0
    headroom: Annotated[
        str,
        Field(max_length=20, description="Share of each replica's capacity to keep free: `20%`."),
    ] = "0%"
    spare: Annotated[int, Field(ge=0, le=10_000, description="Replicas that may fail.")] = 0
    price: Annotated[
        list[_Price],
        Field(
            max_length=_MOST_STUDIES + 1,
            description="Of a replica: `0.53/h` for all, or `STUDY=0.53/h`.",
        ),
    ] = []
    budget_ms: Annotated[
        list[_LimitMs],
        Field(max_length=20, description="Latency limits in ms; the studies' own without."),
    ] = []
    percentile: Annotated[
        float | None,
        Field(
            ge=1,
            le=99.99,
            allow_inf_nan=False,
            description="Another percentile of the latency than the studies'.",
        ),
    ] = None

    def of(self, studies: Sequence[str]) -> CapacityQuestion:
        """The question to these studies.

        Raises:
            InputError: A value is out of range.
        """
        kept = reserve(self.peak_factor, self.headroom, self.spare)
        return CapacityQuestion(
            wish=Wish(demand=constant_demand(self.demand), reserve=kept),
            studies=studies,
            prices=self.price,
            limits_ms=self.budget_ms,
            percentile=self.percentile,
        )


class SeveralQuery(CapacityQuery):
    """The same, of several studies."""

    study: Annotated[
        list[_Name], Field(min_length=1, max_length=_MOST_STUDIES, description="Their names.")
    ]


routes = APIRouter(tags=["studies"])


@routes.get(
    "/studies/{study:path}/capacity",
    operation_id="show_capacity",
    summary="How many replicas a demand needs, how busy they are and what they cost",
    response_model=CapacityDocument,
    response_description=_SAYS,
    responses=documented(404),
)
def show_capacity(
    study: Study, service: Here, _: Reader, asked: Annotated[CapacityQuery, Query()]
) -> JsonAnswer:
    return _answer(service, asked.of([study]))


@routes.get(
    "/capacity",
    operation_id="compare_capacity",
    summary="The same for several studies, and which of them is the cheapest",
    response_model=CapacityDocument,
    response_description=_SAYS,
    responses=documented(404),
)
def compare_capacity(
    service: Here, _: Reader, asked: Annotated[SeveralQuery, Query()]
) -> JsonAnswer:
    return _answer(service, asked.of(asked.study))


def _answer(service: Service, question: CapacityQuestion) -> JsonAnswer:
    return JsonAnswer(answered(service.storage, question, service.command.measure).document())
