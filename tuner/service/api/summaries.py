"""/api/v1/studies/{study}/summary: what the terminal is told of a study, in one text."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from tuner.report.summaries import SummaryForm, summary, text
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.problems import documented
from tuner.service.api.study_documents import Study

routes = APIRouter(tags=["studies"])


@routes.get(
    "/studies/{study:path}/summary",
    operation_id="summarize_study",
    summary="What the terminal is told of a study: its result, its trials, its Pareto front",
    description="As `tuner studies show` (`study`), `tuner pareto` (`front`), and the ends of "
    "`tuner optimize` (`search`) and `tuner attach` (`result`).",
    response_class=PlainTextResponse,
    responses=documented(404),
)
def summarize_study(
    study: Study,
    service: Here,
    _: Reader,
    *,
    form: Annotated[SummaryForm, Query(description="How much of it.")] = SummaryForm.STUDY,
    width: Annotated[int, Query(ge=40, le=1000, description="Columns of the text.")] = 100,
    styled: Annotated[bool, Query(description="With the codes of a terminal.")] = False,
) -> PlainTextResponse:
    blocks = summary(service.storage, study, form)
    return PlainTextResponse(text(blocks, width=width, styled=styled))
