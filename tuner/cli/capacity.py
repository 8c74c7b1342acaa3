"""`tuner capacity`: how many replicas a demand needs, and what they cost."""

from collections.abc import Iterator, Sequence
from functools import partial

from rich.console import RenderableType
from rich.text import Text

from tuner.analysis.rate_unit import RateUnit
from tuner.cli.best import measure_command
from tuner.cli.capacity_options import CapacityOptions
from tuner.cli.console import print_blocks, print_json
from tuner.errors import InputError
from tuner.planning import day_file
from tuner.planning.demand import Demand
from tuner.planning.offers import Offer, Wish, cheapest
from tuner.report import capacity_text
from tuner.report.capacity_answer import CapacityAnswer, CapacityQuestion, answered
from tuner.report.capacity_model import explanation
from tuner.report.capacity_tables import bills_table, day_table, replicas_table
from tuner.report.capacity_wish import constant_demand, reserve
from tuner.store.storage import Storage


def capacity(options: CapacityOptions) -> None:
    """Print the replicas for each latency budget, and what must be known besides."""
    question = CapacityQuestion(
        wish=Wish(
            demand=_demand(options),
            reserve=reserve(options.peak_factor, options.headroom, options.spare),
        ),
        studies=options.studies or (),
        prices=options.price or (),
        limits_ms=options.budget_ms or (),
        percentile=options.percentile,
    )
    with Storage(options.db) as storage:
        answer = answered(storage, question, partial(measure_command, database=options.db))
    if options.as_json:
        print_json(answer.document())
    if answer.refusal:
        raise answer.refusal
    if options.as_json:
        return
    for same in answer.offers:
        print_blocks(_blocks(answer, same))
    if options.explain:
        best = next(each for same in answer.offers for each in same if each.lines)
        print_blocks([Text(f"{line}\n") for line in explanation(best)])


def _blocks(answer: CapacityAnswer, offers: Sequence[Offer]) -> Iterator[RenderableType]:
    """What is said of one latency budget."""
    sentences = list(answer.sentences(offers))
    yield Text(sentences[0], style="bold")
    if any(each.lines for each in offers):
        yield replicas_table(offers)
    if answer.wish.is_day:
        yield from _day_blocks(offers)
    yield from map(Text, sentences[1:])


def _day_blocks(offers: Sequence[Offer]) -> Iterator[RenderableType]:
    """The replicas over the day of the cheapest study, or the first; and the bills of all."""
    found = cheapest(offers)
    shown = found.offer if found else next((each for each in offers if each.plan), None)
    if shown and shown.plan:
        yield Text(f"Over the day, {capacity_text.whose(shown, offers)}:")
        yield day_table(shown.plan, RateUnit.of(shown.study))
        yield bills_table(offers)


def _demand(options: CapacityOptions) -> Demand:
    """In requests per second."""
    if (options.demand is None) == (options.demand_file is None):
        raise InputError(
            "either `--demand` or `--demand-file` is needed",
            hint="for example: `--demand 1200`, in requests per second",
        )
    if options.demand_file is not None:
        return day_file.read(options.demand_file)
    return constant_demand(options.demand or 0.0)
