"""/planner: how many replicas a demand needs, and what they cost."""

import math
from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from tuner.analysis.rate_unit import RateUnit
from tuner.errors import InputError, TunerError
from tuner.planning.capacities import Role
from tuner.planning.offers import Line, Offer, Wish
from tuner.records import Interval
from tuner.report import formats
from tuner.report.capacity_answer import CapacityAnswer, CapacityQuestion, answered
from tuner.report.capacity_text import money
from tuner.report.capacity_wish import constant_demand, reserve
from tuner.report.sheet import Sheet
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.pages.compare import MOST_LISTED
from tuner.service.pages.rendering import page
from tuner.service.service import Service
from tuner.store.studies import study_names

routes = APIRouter(include_in_schema=False)


class Asked(BaseModel):
    """What the form says, as it was typed."""

    study: Annotated[str, Field(max_length=200)] = ""
    demand: Annotated[str, Field(max_length=30)] = ""
    headroom: Annotated[str, Field(max_length=30)] = "20"
    spare: Annotated[str, Field(max_length=30)] = "1"
    price: Annotated[str, Field(max_length=30)] = ""
    budget_ms: Annotated[str, Field(alias="budget-ms", max_length=30)] = ""


@routes.get("/planner")
def planner(
    request: Request, service: Here, _: Reader, said: Annotated[Asked, Query()]
) -> HTMLResponse:
    """The form, and the answer once a demand is said."""
    found: CapacityAnswer | None = None
    error: TunerError | None = None
    if said.demand:
        try:
            found = _answer(service, said)
        except InputError as refused:
            error = refused
        else:
            error = found.refusal
    offers = found.offers[0] if found and not error else ()
    return page(
        request,
        "planner.html",
        code=422 if isinstance(error, InputError) else 200,
        names=study_names(service.storage, limit=MOST_LISTED).found,
        said=said,
        error=error,
        sentences=list(found.sentences(offers)) if found and offers else (),
        sheets=[_sheet(each) for each in offers],
    )


def _answer(service: Service, said: Asked) -> CapacityAnswer:
    """What the study says of the demand.

    Raises:
        InputError: Something was said that is no number, or is out of range.
    """
    question = CapacityQuestion(
        wish=Wish(
            demand=constant_demand(_number("--demand", said.demand)),
            reserve=reserve(1.0, f"{said.headroom}%", _count("--spare", said.spare)),
        ),
        studies=[said.study] if said.study else (),
        prices=[f"{said.price}/h"] if said.price else (),
        limits_ms=[_number("--budget-ms", said.budget_ms)] if said.budget_ms else (),
    )
    return answered(service.storage, question, service.command.measure)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"`{option}` must be a number, but got `{text}`") from None


def _count(option: str, text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise InputError(f"`{option}` must be a whole number from 0 on, but got `{text}`")
    return int(text)


def _sheet(offer: Offer) -> Sheet:
    priced = math.isfinite(offer.price)
    unit, generated = RateUnit.of(offer.study), not math.isnan(offer.tokens)
    headings = ["Configuration", f"{unit.capitalize()} of one"]
    headings += ["Output tokens/s", "Replicas"] if generated else ["Replicas"]
    headings.append("Of their capacity")
    headings += ["Cost an hour", f"A million {unit.noun}s"] if priced else []
    rows = [tuple(_cells(offer, line, priced=priced)) for line in offer.lines]
    return Sheet(
        f"Replicas, by study {offer.study.name} within {offer.budget}",
        tuple(headings),
        tuple(rows),
        numbers=frozenset(range(1, len(headings))),
        best=frozenset({0}),
    )


def _cells(offer: Offer, line: Line, *, priced: bool) -> Iterator[str]:
    generated = not math.isnan(offer.tokens)
    own = line.capacity
    yield {
        Role.WINNER: f"Best, trial {own.trial}",
        Role.BASELINE: "Server's defaults",
        Role.FRONT: f"Trial {own.trial}",
    }[own.role]
    if line.plan is None:
        yield from [formats.NOTHING] * ((5 if priced else 3) + generated)
        return
    fleet, bill = line.plan.peak, line.plan.fixed
    yield f"{formats.rate(fleet.capacity.estimate)} ({_span(fleet.capacity, formats.rate)})"
    if generated:
        yield formats.rate(fleet.capacity.estimate * offer.tokens)
    yield f"{fleet.count:,} ({_span(fleet.counts, _whole)})"
    yield f"{formats.per_cent(fleet.utilisation.estimate)}"
    if priced:
        yield money(bill.per_hour.high)
        yield money(bill.per_million.high)


def _span(interval: Interval, text: Callable[[float], str]) -> str:
    low, high = text(interval.low), text(interval.high)
    if math.isinf(interval.high):
        return f"{low} or more"
    return low if low == high else f"{low} to {high}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"
