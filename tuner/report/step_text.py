"""What single steps of parameters did, in sentences."""

import math
from collections.abc import Sequence

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.steps import Step
from tuner.records import StudyRecord
from tuner.report import formats, markup

# Steps that are told in a sentence each,
_MOST_TOLD = 8
# and those that are named in one.
_MOST_NAMED = 8

LEAD = (
    "Steps of one parameter between measured configurations that are otherwise the same, but for "
    "parameters that only one of them has (of several such the fastest is taken), as far as they "
    "are beyond the uncertainty. With other values of the others, a step may do something else."
)


def sentences(study: StudyRecord, steps: Sequence[Step]) -> tuple[str, ...]:
    """The steps that are beyond the uncertainty, corrected for the number of steps."""
    return tuple(_sentence(study, each) for each in _decided(steps)[:_MOST_TOLD])


def remarks(steps: Sequence[Step]) -> tuple[str, ...]:
    """Which steps the sentences leave out."""
    more = len(_decided(steps)) - _MOST_TOLD
    undecided = [each for each in steps if not each.ratio.decided]
    named = [f"{_name(each)} ({_change(each.ratio.estimate)})" for each in undecided]
    others = len(named) - _MOST_NAMED
    and_more = f", and {formats.counted(others, 'other')}" if others > 0 else ""
    said = (
        f"Left out: {formats.counted(more, 'such step')}." if more > 0 else "",
        f"Within the uncertainty: {', '.join(named[:_MOST_NAMED])}{and_more}." if named else "",
    )
    return tuple(filter(None, said))


def _decided(steps: Sequence[Step]) -> list[Step]:
    return [each for each in steps if each.ratio.decided]


def _sentence(study: StudyRecord, step: Step) -> str:
    """`batch` 8 to 16: +21 % throughput (+10 % to +33 %), +0.8 ms p99 at 1,500 inferences/s."""
    ratio = step.ratio
    throughput = (
        f"{_change(ratio.estimate)} throughput ({_change(ratio.low)} to {_change(ratio.high)})"
    )
    latency = f", {_latency(study, step)}" if math.isfinite(step.slower_s) else ""
    return f"{_name(step)}: {throughput}{latency} ({_grounds(step)})"


def _latency(study: StudyRecord, step: Step) -> str:
    """Of several limits, by how much of them the worst time rose."""
    budget, where = study.budget, _where(study, step)
    if budget.answers is None:
        return f"{_slower(step.slower_s)} p{budget.percentile:g} {where}"
    share = _signed(f"{100 * step.slower_s / budget.limit_s:+.0f} %")
    return f"p{budget.percentile:g} {share} of its limit {where}"


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _grounds(step: Step) -> str:
    """Which trials say so."""
    before, after = step.trials
    trials = f"trials {before} and {after}"
    if step.comparisons > 1:
        return f"the mean of {step.comparisons} comparisons, among them {trials}"
    return f"the best configuration, {trials}" if step.of_best else trials


def _name(step: Step) -> str:
    before, after = formats.value(step.before), formats.value(step.after)
    return f"{markup.code(step.parameter)} {before} to {after}"


def _change(ratio: float) -> str:
    return _signed(f"{100 * (ratio - 1):+,.0f} %")


def _slower(duration_s: float) -> str:
    sign = "\N{MINUS SIGN}" if duration_s < 0 else "+"
    return f"{sign}{formats.latency(abs(duration_s))}"


def _where(study: StudyRecord, step: Step) -> str:
    if not step.load:
        return "without load"
    return f"at {formats.rate(step.load)} {RateUnit.of(study)}"
