"""What `tuner compare` says of two studies, in sentences, tables and as plain data."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Ratio
from tuner.analysis.study_comparison import (
    Carried,
    Difference,
    LimitPair,
    Pair,
    Side,
    StudyComparison,
)
from tuner.analysis.token_figures import tokens_per_answer
from tuner.errors import masked
from tuner.report import figures, formats, nearest_text
from tuner.report.columns import text_table
from tuner.report.host_speeds import about_hosts
from tuner.report.json_text import budget_facts
from tuner.report.token_text import limits_text

# Rows of configurations that both measured: a search of a night leaves thousands.
_MOST_ROWS = 20
_STARTS = "Three fresh starts of each would show how much they scatter."
_ANOTHER_TIME = (
    "The intervals have the scatter of fresh starts; what else changed on a machine between two "
    "studies is in none of them."
)


@dataclass(frozen=True)
class Names:
    """What the two studies are called."""

    first: str
    other: str


def comparison_blocks(found: StudyComparison, names: Names) -> list[RenderableType]:
    """The verdict first, then the tables that it rests on, and what else differs."""
    title = Text(f"{names.other} against {names.first}, within {found.budget}", style="bold")
    blocks: list[RenderableType] = [Group(title, *map(Text, sentences(found, names)))]
    rows, unit = [*_headline_rows(found)], RateUnit.of(found.first.study).short
    if rows:
        blocks.append(_pairs_table(rows, names, "within the budget", unit))
        blocks += _token_lines(found, names)
    if found.same:
        blocks.append(Text("Configurations that both measured:"))
        blocks.append(_pairs_table(_same_rows(found), names, "configuration", unit))
        if len(found.same) > _MOST_ROWS:
            blocks.append(Text(f"{len(found.same) - _MOST_ROWS:,} more: `--json` has all."))
    if found.limits:
        blocks.append(Text(f"The most that each carries, by the limit of {_percentile(found)}:"))
        blocks.append(_pairs_table(_limit_rows(found), names, "limit", unit))
    blocks.append(_differences_table(found.differences, names))
    return [*blocks, *map(Text, warnings(found, names))]


def sentences(found: StudyComparison, names: Names) -> tuple[str, ...]:
    """Who carries more, and how sure that is."""
    said = [_about_winners(found, names)]
    said += _about_baselines(found, names)
    if found.overall:
        said.append(f"{_averaged(found)}, on average: {_ratio_text(found.overall, names)}")
    said += _about_lost(found, names)
    if found.limits:
        said.append(_about_limits(found, names))
    elif found.winners:
        said.append("At no latency limit is it known of both what they carry at most")
    sentences = [f"{each}." for each in said]
    pairs = (found.winners, found.baselines)
    few_starts = any(p and p.ratio.decided and not p.ratio.proved for p in pairs)
    # What is read from load points rests on no finals.
    return (*sentences, _STARTS) if few_starts and not found.first.recut else tuple(sentences)


def warnings(found: StudyComparison, names: Names) -> tuple[str, ...]:
    """Why the figures may not be comparable, a sentence each."""
    said = [*_about_conditions(found, names)]
    for side, name in ((found.first, names.first), (found.other, names.other)):
        if side.winner and not side.winner.confirmations and not side.recut:
            said.append(
                f"The best of {name} is from the search alone, and no fresh start confirmed it."
            )
        said += [f"{name}: {each}" for each in about_hosts(side.study)]
    return (*said, _ANOTHER_TIME)


def comparison_document(found: StudyComparison, names: Names) -> dict[str, Any]:
    """All of it as plain data; every ratio is of the other study over the first."""
    return {
        **budget_facts(found.budget),
        "first": _side(found.first, names.first),
        "other": _side(found.other, names.other),
        "winners": _pair(found.winners),
        "baselines": _pair(found.baselines),
        "same_configurations": [
            {"configuration": dict(each.first.trial.configuration), **_pair_facts(each)}
            for each in found.same
        ],
        "same_overall": _ratio(found.overall),
        "same_averaged": len(found.averaged),
        "only_first": [_carried(each) for each in found.only_first],
        "only_other": [_carried(each) for each in found.only_other],
        "limits": [
            {**_limit_facts(found, each.limit_s), **_pair_facts(each)} for each in found.limits
        ],
        "dominates": dominating(found.limits, names),
        "differences": [
            {"name": each.name, "first": _hidden(each.first), "other": _hidden(each.other)}
            for each in found.differences
        ],
        "said": list(sentences(found, names)),
        "warnings": list(warnings(found, names)),
    }


def _limit_facts(found: StudyComparison, limit_s: float) -> dict[str, Any]:
    """Of several limits, all in proportion, also what they are called."""
    facts: dict[str, Any] = {"limit_ms": limit_s * 1e3}
    return facts | {"limits": _limit(found, limit_s)} if found.budget.answers else facts


def dominating(limits: Sequence[LimitPair], names: Names) -> str | None:
    """Who carries more within every limit that both cover, and surely so within one of them.

    None if nobody does. One limit is enough: all of them are read from the same load curves.
    """
    if not any(each.ratio.decided for each in limits):
        return None
    if all(each.ratio.estimate > 1 for each in limits):
        return names.other
    if all(each.ratio.estimate < 1 for each in limits):
        return names.first
    return None


def _about_winners(found: StudyComparison, names: Names) -> str:
    if found.winners:
        return f"Best configurations: {_carries(found.winners, names)}"
    sides = ((found.first, names.first), (found.other, names.other))
    missing = [_without(side, name, found) for side, name in sides if side.winner is None]
    return "; ".join(missing)


def _about_baselines(found: StudyComparison, names: Names) -> Iterator[str]:
    if found.baselines:
        yield f"Server's defaults: {_carries(found.baselines, names)}"
        return
    for side, name in ((found.first, names.first), (found.other, names.other)):
        if side.baseline:
            yield f"Server's defaults: only {name} is known to carry something with them"


def _averaged(found: StudyComparison) -> str:
    count, of = len(found.averaged), len(found.same)
    if count == of:
        return f"The {count:,} configurations that both measured"
    return f"Of {of:,} configurations that both measured, the {count:,} without a bound"


def _about_lost(found: StudyComparison, names: Names) -> Iterator[str]:
    """What is in no ratio, since it carries something in one study alone."""
    for lost, own, without in (
        (found.only_first, names.first, names.other),
        (found.only_other, names.other, names.first),
    ):
        if lost:
            yield (
                f"{own} carries up to {formats.rate(lost[0].throughput)} "
                f"{RateUnit.of(found.first.study)} with "
                f"{formats.counted(len(lost), 'configuration')} of which {without} measured no "
                "load within the budget"
            )


def _without(side: Side, name: str, found: StudyComparison) -> str:
    if side.nearest is None:
        return f"{name} has no configuration that could be measured"
    what = "configuration" if side.nearest.over_s else "load that was measured"
    return (
        f"{name} has no {what} within {found.budget}; the nearest is trial "
        f"{side.nearest.trial.number}: {nearest_text.found(side.nearest)}"
    )


def _carries(pair: Pair, names: Names) -> str:
    """`B carries 1.12x (1.05 to 1.19) of A: ...`; where one of them is a bound, that it is."""
    text = _ratio_text(pair.ratio, names)
    bounds = [
        name
        for carried, name in ((pair.first, names.first), (pair.other, names.other))
        if carried.is_bound
    ]
    return f"{text} ({formats.listed(bounds)} may carry more)" if bounds else text


def _ratio_text(ratio: Ratio, names: Names) -> str:
    text = f"{names.other} carries {formats.gain(ratio)} of {names.first}"
    if ratio.proved:
        return f"{text}: beyond the scatter of fresh starts"
    if ratio.decided:
        return f"{text}: beyond the uncertainty"
    return f"{text}: no difference beyond the uncertainty"


def _limit(found: StudyComparison, limit_s: float) -> str:
    budget = found.budget
    return limits_text(budget.at(limit_s)) if budget.answers else formats.latency(limit_s)


def _about_limits(found: StudyComparison, names: Names) -> str:
    limits = found.limits
    low, high = (_limit(found, each.limit_s) for each in (limits[0], limits[-1]))
    several = len(limits) > 1
    span = f"from {low} to {high}" if several else f"of {low}"
    decided = [each for each in limits if each.ratio.decided]
    sure = f"beyond the uncertainty at {len(decided)} of {formats.counted(len(limits), 'limit')}"
    ahead = dominating(limits, names)
    if ahead:
        which = "every limit" if several else "the limit"
        return f"Within {which} {span} {ahead} carries more, {sure}"
    leads = (
        _leads(names.first, found, [e for e in limits if e.ratio.estimate < 1]),
        _leads(names.other, found, [e for e in limits if e.ratio.estimate > 1]),
    )
    who = "; ".join(filter(None, leads)) or "both carry as much"
    which = "limits" if several else "the limit"
    return f"Within {which} {span} neither is surely ahead ({who}), {sure}"


def _leads(name: str, found: StudyComparison, ahead: Sequence[LimitPair]) -> str:
    """That one carries more, and at which limits unless at all; empty where it is at none."""
    if not ahead:
        return ""
    if len(ahead) == len(found.limits):
        return f"{name} carries more"
    return f"{name} more at {formats.listed([_limit(found, each.limit_s) for each in ahead])}"


def _about_conditions(found: StudyComparison, names: Names) -> Iterator[str]:
    first, other = found.first.study, found.other.study
    if found.other.recut:
        yield (
            f"{names.other} searched for {other.budget}, not for {found.budget}: both were read "
            "from load points."
        )
    if first.arrivals != other.arrivals:
        yield (
            f"{names.first} was loaded by `{first.arrivals.value}` arrivals, {names.other} by "
            f"`{other.arrivals.value}`: their throughputs do not mean the same."
        )
    if first.request != other.request:
        yield "Their requests differ: one is not the same work in both."
    if first.model_fingerprint != other.model_fingerprint:
        yield "Their models differ."
    if first.hardware.get("fingerprint") != other.hardware.get("fingerprint"):
        yield "They ran on different machines."


def _headline_rows(found: StudyComparison) -> Iterator[tuple[str, Pair]]:
    if found.winners:
        yield "best configuration", found.winners
    if found.baselines:
        yield formats.DEFAULTS, found.baselines


def _same_rows(found: StudyComparison) -> Iterator[tuple[str, Pair]]:
    baseline = found.first.study.baseline
    defaults = baseline.configuration if baseline else None
    for each in found.same[:_MOST_ROWS]:
        yield formats.short(each.first.trial.configuration, defaults), each


def _limit_rows(found: StudyComparison) -> Iterator[tuple[str, Pair]]:
    for each in found.limits:
        yield _limit(found, each.limit_s), each


def _token_lines(found: StudyComparison, names: Names) -> Iterator[Text]:
    """What the best configurations carry in output tokens; nothing where there are none."""
    for side, name in ((found.first, names.first), (found.other, names.other)):
        tokens = tokens_per_answer(side.study.trials)
        if side.winner and not math.isnan(tokens):
            per_s = formats.rate(side.winner.throughput * tokens)
            yield Text(f"{name}: {per_s} output tokens/s, {tokens:.4g} in an answer")


def _pairs_table(
    rows: Sequence[tuple[str, Pair]] | Iterator[tuple[str, Pair]],
    names: Names,
    what: str,
    unit: str,
) -> RenderableType:
    numbers = (f"{names.first} {unit}", f"{names.other} {unit}", "ratio (95 % interval)")
    cells = [
        (title, _throughput(p.first), _throughput(p.other), formats.gain(p.ratio), _verdict(p))
        for title, p in rows
    ]
    columns = [Column(each, justify="right", no_wrap=True) for each in numbers]
    return text_table(cells, Column(what, overflow="fold"), *columns, "verdict")


def _differences_table(differences: Sequence[Difference], names: Names) -> RenderableType:
    if not differences:
        return Text("Nothing else is known to differ.")
    rows = [(each.name, _fact(each, each.first), _fact(each, each.other)) for each in differences]
    columns = [Column(each, overflow="fold") for each in ("differs", names.first, names.other)]
    return text_table(rows, *columns)


def _fact(difference: Difference, value: object) -> str:
    name = difference.name.rpartition(" ")[2]
    return formats.NOTHING if value is None else masked(formats.fact(name, value))


def _hidden(value: object) -> object:
    """Users and passwords of addresses are no facts to forward."""
    return masked(value) if isinstance(value, str) else value


def _throughput(carried: Carried) -> str:
    return formats.with_margin(carried.throughput, figures.margin(carried))


def _verdict(pair: Pair) -> str:
    if pair.is_bound:
        return "a bound"
    if pair.ratio.proved:
        return "> scatter"
    return "> error" if pair.ratio.decided else "tie"


def _percentile(found: StudyComparison) -> str:
    return f"p{found.budget.percentile:g}"


def _side(side: Side, name: str) -> dict[str, Any]:
    return {
        "study": name,
        **budget_facts(side.study.budget),
        "from_load_points": side.recut,
        "unit": RateUnit.of(side.study).value,
        "tokens_per_answer": tokens_per_answer(side.study.trials),
        "winner": _carried(side.winner),
        "baseline": _carried(side.baseline),
        "nearest": nearest_text.nearest_document(side.nearest),
    }


def _carried(carried: Carried | None) -> dict[str, Any] | None:
    if carried is None:
        return None
    return {
        "trial": carried.trial.number,
        "configuration": dict(carried.trial.configuration),
        "throughput": carried.throughput,
        "log_error": carried.log_error,
        "fresh_starts": carried.confirmations,
        "at_least": carried.is_bound,
    }


def _pair(pair: Pair | None) -> dict[str, Any] | None:
    return _pair_facts(pair) if pair else None


def _pair_facts(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first.throughput,
        "other": pair.other.throughput,
        "ratio": _ratio(pair.ratio),
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {
        "low": ratio.low,
        "estimate": ratio.estimate,
        "high": ratio.high,
        "p_value": ratio.p_value,
        "decided": ratio.decided,
        "beyond_fresh_starts": ratio.proved,
    }
