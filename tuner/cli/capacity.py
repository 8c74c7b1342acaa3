"""`tuner capacity`: how many replicas a demand needs, and what they cost."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from tuner.cli.best import measure_command
from tuner.cli.capacity_options import CapacityOptions
from tuner.cli.console import print_blocks, print_json
from tuner.cli.values import checked_percentile, limit_s, unfit
from tuner.errors import InputError, did_you_mean
from tuner.goals import LatencyBudget, Objective
from tuner.planning import day_file
from tuner.planning.capacities import capacities
from tuner.planning.demand import HIGHEST_RATE, Demand
from tuner.planning.offers import Offer, Wish, cheapest, offer, requests_carry
from tuner.planning.replicas import Reserve
from tuner.records import StudyRecord
from tuner.report import capacity_text
from tuner.report.capacity_json import capacity_document
from tuner.report.capacity_model import explanation
from tuner.report.capacity_tables import bills_table, day_table, replicas_table
from tuner.store.storage import Storage

_PRICE = re.compile(r"(?:(?P<study>.+)=)?(?P<amount>\d+(?:\.\d+)?)/h")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_HIGHEST_PEAK = 1000


def capacity(options: CapacityOptions) -> None:
    """Print the replicas for each latency budget, and what must be known besides."""
    wish = Wish(demand=_demand(options), reserve=_reserve(options))
    with Storage(options.db) as storage:
        read = [
            _read(storage, name, options) for name in dict.fromkeys(options.studies or (None,))
        ]
    studies = [study for study, _ in read]
    prices = _prices(options.price or (), [study.name for study in studies])
    _check_requests(studies)
    offers = [
        [
            offer(capacities(study, budget, front), wish, prices[study.name])
            for study, front in read
        ]
        for budget in _budgets(options, studies)
    ]
    if options.as_json:
        _print_document(wish, offers, options.db)
    if not any(each.lines for same in offers for each in same):
        nowhere = offers[0][0]
        raise capacity_text.nothing_within(nowhere, _measure(nowhere, options.db))
    if options.as_json:
        return
    for same in offers:
        print_blocks(_blocks(wish, same, options.db))
    if options.explain:
        best = next(each for same in offers for each in same if each.lines)
        print_blocks([Text(f"{line}\n") for line in explanation(best)])


def _read(
    storage: Storage, name: str | None, options: CapacityOptions
) -> tuple[StudyRecord, frozenset[int]]:
    """A study and the trials of its front, with the load points that will be asked for.

    For its own latency budget that is none: the trials say it all.
    """
    other = bool(options.budget_ms) or options.percentile is not None
    study = storage.study(name, brief=not other)
    return study, storage.front_trials(study)


def _blocks(wish: Wish, offers: Sequence[Offer], database: str) -> Iterator[RenderableType]:
    """What is said of one latency budget."""
    sentences = list(_sentences(wish, offers, database))
    yield Text(sentences[0], style="bold")
    if any(each.lines for each in offers):
        yield replicas_table(offers)
    if wish.is_day:
        yield from _day_blocks(offers)
    yield from map(Text, sentences[1:])


def _day_blocks(offers: Sequence[Offer]) -> Iterator[RenderableType]:
    """The replicas over the day of the cheapest study, or the first; and the bills of all."""
    found = cheapest(offers)
    shown = found.offer if found else next((each for each in offers if each.plan), None)
    if shown and shown.plan:
        yield Text(f"Over the day, {capacity_text.whose(shown, offers)}:")
        yield day_table(shown.plan)
        yield bills_table(offers)


def _sentences(wish: Wish, offers: Sequence[Offer], database: str) -> Iterator[str]:
    """The result first, then what must be known besides; of several studies each says whose."""
    found = cheapest(offers)
    several = len(offers) > 1
    if several and found:
        yield capacity_text.about_cheapest(found, offers, wish)
    for each in offers:
        whose = f"study `{each.study.name}`: " if several else ""
        yield f"{whose}{capacity_text.headline(each, wish)}"
        for remark in capacity_text.remarks(each, wish, _measure(each, database)):
            yield f"{whose}{remark}"
    if not found and sum(each.plan is not None for each in offers) > 1:
        yield capacity_text.ABOUT_PRICES
    if models := capacity_text.about_models(offers):
        yield models


def _measure(offer: Offer, database: str) -> str:
    """The command that measures what an offer is not sure of."""
    return measure_command(offer.study, offer.budget, Objective.THROUGHPUT, database)


def _print_document(wish: Wish, offers: Sequence[Sequence[Offer]], database: str) -> None:
    documents = {
        same[0].budget: (cheapest(same), list(_sentences(wish, same, database))) for same in offers
    }
    print_json(capacity_document(wish, [each for same in offers for each in same], documents))


def _demand(options: CapacityOptions) -> Demand:
    """In requests per second."""
    if (options.demand is None) == (options.demand_file is None):
        raise InputError(
            "either `--demand` or `--demand-file` is needed",
            hint="for example: `--demand 1200`, in requests per second",
        )
    if options.demand_file is not None:
        return day_file.read(options.demand_file)
    if not 0 < (options.demand or 0.0) <= HIGHEST_RATE:
        example = "for example: `--demand 1200`, in requests per second"
        wanted = f"above 0 and up to {HIGHEST_RATE:g}"
        raise unfit("--demand", wanted, options.demand or 0.0, example)
    return Demand.constant(options.demand or 0.0)


def _reserve(options: CapacityOptions) -> Reserve:
    if not 1 <= options.peak_factor <= _HIGHEST_PEAK:
        hint = "for example: `--peak-factor 1.5`"
        raise unfit("--peak-factor", f"from 1 to {_HIGHEST_PEAK}", options.peak_factor, hint)
    share = _PERCENT.fullmatch(options.headroom.strip())
    if share is None or float(share[1]) >= 100:
        hint = "for example: `--headroom 20%`"
        raise unfit("--headroom", "a percentage below 100", options.headroom, hint)
    return Reserve(
        peak_factor=options.peak_factor, headroom=float(share[1]) / 100, spare=options.spare
    )


def _prices(texts: Sequence[str], studies: Sequence[str]) -> Mapping[str, float]:
    """By study; NaN where none was given. What names a study comes before what names none."""
    given: dict[str | None, float] = {}
    for text in texts:
        found = _PRICE.fullmatch(text.strip())
        if found is None or not 0 < float(found["amount"]) < math.inf:
            hint = "for example: `--price 0.53/h`, or `--price STUDY=0.53/h` for one of several"
            raise unfit("--price", "an amount above 0 for an hour", text, hint)
        name = found["study"]
        if name is not None and name not in studies:
            raise InputError(
                f"`--price` names the study `{name}`, which is not asked about",
                hint=did_you_mean(name, studies),
            )
        if name in given:
            raise InputError(
                "`--price` was given twice for the same", hint="leave one of them out"
            )
        given[name] = float(found["amount"])
    usual = given.get(None, math.nan)
    return {name: given.get(name, usual) for name in studies}


def _budgets(options: CapacityOptions, studies: Sequence[StudyRecord]) -> list[LatencyBudget]:
    """Those that were asked for, or the one of all studies."""
    asked = options.percentile
    percentile = None if asked is None else checked_percentile(asked)
    limits_s = list(dict.fromkeys(map(limit_s, options.budget_ms or ())))
    budgets = dict.fromkeys(
        LatencyBudget(percentile or study.budget.percentile, each_s)
        for study in studies
        for each_s in limits_s or [study.budget.limit_s]
    )
    if len(budgets) > max(1, len(limits_s)):
        own = dict.fromkeys(str(study.budget) for study in studies)
        raise InputError(
            f"the studies have different latency budgets: {', '.join(own)}",
            hint="`--budget-ms 50 --percentile 99` asks all of them for the same",
        )
    return list(budgets)


def _check_requests(studies: Sequence[StudyRecord]) -> None:
    """Refuse studies to which one demand in requests would not mean the same."""
    carried = {study.name: requests_carry(study) for study in studies}
    if len(set(carried.values())) > 1:
        said = ", ".join(f"{count} in `{name}`" for name, count in carried.items())
        raise InputError(
            f"the studies' requests carry different numbers of inferences: {said}",
            hint="ask about one study at a time",
        )
