"""/api/v1/studies and /api/v1/compare: what the studies of the database found."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tuner.analysis.standings import standings
from tuner.errors import InputError
from tuner.records import TrialState
from tuner.report import effects_text, export, frames
from tuner.report.best import best
from tuner.report.comparisons import check_compared, comparisons, comparisons_document
from tuner.report.fronts import front_document, front_of
from tuner.report.status import StudyState, trial_document
from tuner.report.study_advice import study_advice_document
from tuner.report.study_lists import studies_page
from tuner.report.study_tables import StudyTable
from tuner.service.access.principal import Reader
from tuner.service.api.documents import Limit, Offset
from tuner.service.api.lookup import Here
from tuner.service.api.problems import ProblemError, documented
from tuner.service.api.study_documents import (
    ComparisonsDocument,
    EffectsDocument,
    HintsDocument,
    JsonAnswer,
    LoadPointsDocument,
    ParetoDocument,
    StudiesDocument,
    Study,
    TrialsDocument,
    Wish,
)
from tuner.store.studies import points_page, trials_page

_MOST_COMPARED = 10


routes = APIRouter(tags=["studies"])


# Comes last: names of studies may have slashes.
whole = APIRouter(tags=["studies"])


@whole.get(
    "/studies/{study:path}",
    operation_id="show_study",
    summary="A study: its result, its trials, and what it was measured on",
    response_model=dict[str, Any],
    response_description="What `tuner studies show --json` says.",
    responses=documented(404),
)
def show_study(
    study: Study,
    service: Here,
    _: Reader,
    *,
    trials: Annotated[
        bool, Query(description="Without its trials where it is false: they may be many.")
    ] = True,
) -> JsonAnswer:
    storage = service.storage
    found = storage.study(study, brief=not trials)
    if not trials:
        result = standings(found)
        sides = (result.baseline, result.winner, result.fastest)
        found = storage.in_full(found, [each.trial.number for each in sides if each])
    document = export.study_document(found, standings(found))
    if not trials:
        del document["trials"]
    return JsonAnswer(document)


@routes.get(
    "/studies",
    operation_id="list_studies",
    summary="Studies, the newest first",
    response_model=StudiesDocument,
    responses=documented(),
)
def list_studies(
    service: Here,
    _: Reader,
    state: Annotated[StudyState | None, Query(description="Only those in it.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> JsonAnswer:
    found = studies_page(service.storage, state=state, limit=limit, offset=offset)
    return _page(found.items, found.total, limit, offset)


@routes.get(
    "/compare",
    operation_id="compare_studies",
    summary="Studies against the first one: versions, machines or models",
    response_model=ComparisonsDocument,
    response_description="What `tuner compare --json` says.",
    responses=documented(404),
)
def compare_studies(
    service: Here,
    _: Reader,
    study: Annotated[
        list[Annotated[str, Query(max_length=200)]],
        Query(
            min_length=2, max_length=_MOST_COMPARED,
            description="The names of two studies or more.", examples=[["before", "after"]],
        ),
    ],
) -> JsonAnswer:  # fmt: skip
    check_compared(study)
    studies = [service.storage.study(each) for each in study]
    return JsonAnswer(comparisons_document(comparisons(studies, study)))


@routes.get(
    "/studies/{study:path}/trials",
    operation_id="list_trials",
    summary="How the trials of a study ended",
    response_model=TrialsDocument,
    responses=documented(404),
)
def list_trials(
    study: Study,
    service: Here,
    _: Reader,
    state: Annotated[TrialState | None, Query(description="Only those in it.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> JsonAnswer:
    service.storage.study(study, trials=False)
    found = trials_page(service.storage, study, state=state, limit=limit, offset=offset)
    return _page([trial_document(trial) for trial in found.trials], found.total, limit, offset)


@routes.get(
    "/studies/{study:path}/load-points",
    operation_id="list_load_points",
    summary="The load points of a study, with the configurations they were measured of",
    description="The rows of `tuner studies export --format json`; durations in seconds.",
    response_model=LoadPointsDocument,
    responses=documented(404),
)
def list_load_points(
    study: Study, service: Here, _: Reader, limit: Limit = 100, offset: Offset = 0
) -> JsonAnswer:
    storage = service.storage
    asked = storage.study(study, trials=False)
    page = points_page(storage, study, limit=limit, offset=offset)
    found = storage.in_full(asked, page.trials)
    rows = json.loads(frames.as_text(found, StudyTable.LOAD_POINTS, "json"))
    items = rows[page.skipped : page.skipped + limit]
    return _page(items, page.total, limit, offset)


@routes.get(
    "/studies/{study:path}/pareto",
    operation_id="show_pareto",
    summary="What throughput costs in latency: the Pareto front of the load points",
    response_model=ParetoDocument,
    responses=documented(404),
)
def show_pareto(study: Study, service: Here, _: Reader) -> JsonAnswer:
    return JsonAnswer(front_document(front_of(service.storage, study)))


@routes.get(
    "/studies/{study:path}/best",
    operation_id="show_best",
    summary="The best configuration for a latency budget and an objective",
    description="Without a question it is what the study confirmed; for others it is what "
    "its load points say. Where nothing meets the budget, `best` is null.",
    response_model=dict[str, Any],
    response_description="What `tuner best --json` says.",
    responses=documented(404),
)
def show_best(
    study: Study,
    service: Here,
    _: Reader,
    wish: Wish,
    *,
    remarks: Annotated[
        bool, Query(description="Also what `tuner best` says beside a file, as `remarks`.")
    ] = False,
) -> JsonAnswer:
    found = best(service.storage, study, wish, service.command.measure)
    beside = {"remarks": found.remarks} if remarks else {}
    return JsonAnswer(found.document | beside)


@routes.get(
    "/studies/{study:path}/effects",
    operation_id="show_effects",
    summary="Which parameters helped, by how much, and how sure that is",
    response_model=EffectsDocument,
    responses=documented(404, 409),
)
def show_effects(study: Study, service: Here, _: Reader) -> JsonAnswer:
    record = service.storage.study(study, brief=True)
    result = standings(record)
    found = effects_text.of(record, result)
    try:
        effects_text.check(record, found)
    except InputError as error:  # what is asked is fine: the study cannot say it yet
        raise ProblemError(HTTPStatus.CONFLICT, error.message, error.hint) from None
    return JsonAnswer(effects_text.study_effects_document(record, result, found))


@routes.get(
    "/studies/{study:path}/hints",
    operation_id="show_hints",
    summary="Which advice holds for a study, and what was found there of the very thing",
    response_model=HintsDocument,
    responses=documented(404),
)
def show_hints(study: Study, service: Here, _: Reader) -> JsonAnswer:
    return JsonAnswer(study_advice_document(service.storage, study))


def _page(items: Sequence[Any], total: int, limit: int, offset: int) -> JsonAnswer:
    return JsonAnswer({"items": items, "total": total, "limit": limit, "offset": offset})
