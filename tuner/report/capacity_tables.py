"""How many replicas a demand needs, as tables for the terminal."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from itertools import groupby

from rich.console import RenderableType
from rich.table import Column

from tuner.analysis.rate_unit import RateUnit
from tuner.planning.bill import Bill, Plan
from tuner.planning.capacities import ReplicaCapacity, Role
from tuner.planning.offers import Line, Offer
from tuner.records import Interval
from tuner.report import formats
from tuner.report.capacity_text import known, money
from tuner.report.columns import text_table

_HOUR = "cost an hour"


def replicas_table(offers: Sequence[Offer]) -> RenderableType:
    """Replicas for the peak of a demand; all offers are for the same latency budget.

    Of several studies the winner and the defaults, of one the Pareto front as well.
    """
    several = len(offers) > 1
    priced, generated = _priced(offers), _generated(offers)
    unit = RateUnit.of(offers[0].study)
    of_one = f"{unit.short} of one"
    rates_of_one = (of_one, "tokens/s") if generated else (of_one,)
    costs = (_HOUR, *_millions(unit, generated=generated)) if priced else ()
    titles = (*rates_of_one, "replicas", "of capacity", *costs)
    columns = [Column(each, justify="right") for each in titles]
    first = ("study", "configuration") if several else ("configuration",)
    rows = [
        [
            *((offer.study.name,) if several else ()),
            *_cells(offer, line, priced=priced, generated=generated),
        ]
        for offer in offers
        for line in offer.lines
        if not several or line.capacity.role is not Role.FRONT
    ]
    texts = [Column(each, overflow="fold") for each in first]
    return text_table(rows, *texts, *columns, leading=1)


def day_table(plan: Plan, unit: RateUnit) -> RenderableType:
    """The replicas of one configuration over a day; neighbours with as many are one line."""
    steps = zip(plan.demand.periods, plan.fleets, strict=True)
    rows = []
    for _, same in groupby(steps, key=lambda step: step[1].counts):
        periods, fleets = zip(*same, strict=True)
        load = max(each.load for each in fleets)
        used = max(each.utilisation.estimate for each in fleets)
        rows.append(
            (
                periods[0].begins,
                periods[-1].ends,
                formats.rate(load),
                _whole(fleets[0].count),
                _span(fleets[0].counts, _whole),
                formats.per_cent(used),
            )
        )
    titles = (f"up to {unit.short}", "replicas", "95 % interval", "of capacity")
    columns = [Column(each, justify="right") for each in titles]
    return text_table(rows, "from", "to", *columns)


def bills_table(offers: Sequence[Offer]) -> RenderableType:
    """Hours and costs of replicas that follow a day's demand, and of those of its peak all day."""
    several, priced = len(offers) > 1, _priced(offers)
    generated = _generated(offers)
    titles = ["replica-hours: following", "fixed"]
    if priced:
        titles += [
            "cost: following",
            "fixed",
            *_millions(RateUnit.of(offers[0].study), generated=generated),
        ]
    rows = [
        [
            *((offer.study.name,) if several else ()),
            _name(line.capacity),
            *_bill_cells(offer, line.plan, priced=priced, generated=generated),
        ]
        for offer in offers
        for line in offer.lines
        if line.plan and line.capacity.role is not Role.FRONT
    ]
    first = [Column("study", overflow="fold")] if several else []
    columns = [Column(each, justify="right") for each in titles]
    return text_table(rows, *first, "configuration", *columns, leading=1)


def _priced(offers: Sequence[Offer]) -> bool:
    return any(math.isfinite(each.price) for each in offers)


def _generated(offers: Sequence[Offer]) -> bool:
    """Whether it is known of how many output tokens answers are made."""
    return any(math.isfinite(each.tokens) for each in offers)


def _millions(unit: RateUnit, *, generated: bool) -> tuple[str, ...]:
    """What the cost of a million is told of."""
    of_one = f"a million {unit.short.removesuffix('/s')}"
    return (of_one, "a million tokens") if generated else (of_one,)


def _bill_cells(offer: Offer, plan: Plan, *, priced: bool, generated: bool) -> Iterator[str]:
    bills = (plan.scaled, plan.fixed)
    for bill in bills:
        yield _stated(bill.replica_hours, formats.rate)
    if priced:
        for bill in bills:
            yield _stated(bill.total, money)
        yield from _per_million(offer, plan.scaled, generated=generated)


def _per_million(offer: Offer, bill: Bill, *, generated: bool) -> Iterator[str]:
    yield _stated(bill.per_million, money)
    if generated:
        yield _stated(_scaled(bill.per_million, 1 / offer.tokens), money)


def _cells(offer: Offer, line: Line, *, priced: bool, generated: bool) -> Iterator[str]:
    """Each with its 95 % interval below it."""
    own = known(line.capacity, by_study=offer.budget == offer.study.budget)
    yield f"{_name(line.capacity)}\n{own}"
    if line.plan is None:
        yield from [formats.NOTHING] * (3 + generated + (2 + generated if priced else 0))
        return
    fleet, bill = line.plan.peak, line.plan.fixed
    for each in (1.0, offer.tokens) if generated else (1.0,):
        carried = _scaled(fleet.capacity, each)
        yield f"{formats.rate(carried.estimate)}\n{_span(carried, formats.rate)}"
    yield _stated(fleet.counts, _whole)
    used = fleet.utilisation
    yield f"{formats.per_cent(used.estimate)}\n{_span(used, _percent)} %"
    if priced:
        yield _stated(bill.per_hour, money)
        yield from _per_million(offer, bill, generated=generated)


def _scaled(interval: Interval, factor: float) -> Interval:
    """Of another unit."""
    return Interval(*(factor * each for each in astuple(interval)))


def _name(capacity: ReplicaCapacity) -> str:
    match capacity.role:
        case Role.WINNER:
            return f"best, trial {capacity.trial}"
        case Role.BASELINE:
            return formats.DEFAULTS
        case Role.FRONT:
            return f"trial {capacity.trial}"


def _stated(interval: Interval, text: Callable[[float], str]) -> str:
    """What is recommended, the high end of an interval, and the interval where it is one."""
    span = _span(interval, text)
    return f"{text(interval.high)}\n{span}" if " " in span else span


def _span(interval: Interval, text: Callable[[float], str]) -> str:
    low, high = text(interval.low), text(interval.high)
    if math.isinf(interval.high):
        return f"{low} or more"
    if not interval.low:
        return f"up to {high}"
    return low if low == high else f"{low} to {high}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
