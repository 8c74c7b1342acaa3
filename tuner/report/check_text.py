"""What a check found, for people and as values."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis.loss import looks
from tuner.analysis.rate_unit import RateUnit
from tuner.records import Interval, TrialRecord
from tuner.report import formats
from tuner.report.columns import text_table
from tuner.study.check import Checked, CheckOutcome, Side

_TITLES = ("then", "now", "now over then (95 %)")
# The lines of a server's log that are shown of a start that failed.
_LOG_LINES = 10


def headline(found: Checked) -> str:
    """The outcome in a sentence."""
    tolerated = f"{100 * found.plan.tolerance:g} %"
    match found.outcome:
        case CheckOutcome.NOT_COMPARABLE:
            return f"Not comparable: {found.obstacle}"
        case CheckOutcome.WORSE if found.winner.change.fails:
            return f"Worse: the best configuration fails: {_failure(found.winner.failures[-1])}"
        case CheckOutcome.WORSE:
            return f"Worse: the best configuration lost more than {tolerated}{_by(found)}"
        case CheckOutcome.AS_GOOD:
            return f"As good: the best configuration lost no more than {tolerated}{_by(found)}"
        case CheckOutcome.UNDECIDED:
            return f"No loss of more than {tolerated} is proved{_by(found)}"


def remarks(found: Checked) -> tuple[str, ...]:
    """What must be known beside it, in sentences."""
    return tuple(
        filter(
            None,
            (
                _smallest(found),
                _shared(found),
                _machine(found),
                _disturbed(found),
                *(f"Failed: {_failure(each)}" for each in found.winner.failures),
                *(
                    f"The server's defaults failed: {_failure(each)}"
                    for each in (found.canary.failures if found.canary else ())
                ),
                *(f"Changed: {each}" for each in found.differences if not each.rules_out),
            ),
        )
    )


def blocks(found: Checked) -> list[RenderableType]:
    """The headline, the figures, the remarks."""
    lines: list[RenderableType] = [Text(headline(found), style="bold")]
    rows = [row(name, side) for name, side in _sides(found)]
    if found.rounds:
        title = f"{RateUnit.of(found.study).short} within {found.study.budget}"
        columns = [Column(each, justify="right", overflow="fold") for each in _TITLES]
        lines.append(text_table(rows, Column(title, no_wrap=True), *columns))
    spent = f"{formats.counted(found.rounds, 'round')}, {formats.duration(found.spent_s)}"
    return [*lines, *map(Text, remarks(found)), *([Text(f"{spent}.")] if found.rounds else [])]


def row(name: str, side: Side) -> tuple[str, ...]:
    """The capacities of one configuration, and their ratio."""
    change = side.change
    ratio = "-" if change.ratio is None else _interval(change.ratio)
    return name, _mean(change.then), _mean(change.now), ratio


def document(found: Checked) -> dict[str, Any]:
    """Everything that was found, as JSON values."""
    winner, canary = found.winner, found.canary
    return {
        "study": found.study.name,
        "model": found.study.model,
        "latency_budget": str(found.study.budget),
        "outcome": found.outcome.value,
        "headline": headline(found),
        "remarks": list(remarks(found)),
        "tolerance": found.plan.tolerance,
        "rounds": found.rounds,
        "seconds": found.spent_s,
        "unit": RateUnit.of(found.study).value,
        "winner": _side(winner),
        "defaults": _side(canary) if canary else None,
        "winner_over_defaults": _ends(winner.change.over(canary.change)) if canary else None,
        "machine": list(found.machine),
        "smallest_loss": winner.change.smallest_loss(found.plan.tolerance, _looks(found)),
        "differences": [
            {"name": d.name, "then": d.then, "now": d.now, "rules_out": d.rules_out}
            for d in found.differences
        ],
    }


def _sides(found: Checked) -> list[tuple[str, Side]]:
    canary = [("server's defaults", found.canary)] if found.canary else []
    return [("best configuration", found.winner), *canary]


def _looks(found: Checked) -> int:
    return looks(found.plan.rounds)


def _side(side: Side) -> dict[str, Any]:
    change = side.change
    return {
        "configuration": dict(side.configuration),
        "then": list(change.then),
        "now": list(change.now),
        "ratio": _ends(change.ratio),
        "failures": [
            {"reason": t.reason.value if t.reason else t.state.value, "message": t.message}
            for t in side.failures
        ],
    }


def _ends(ratio: Interval | None) -> dict[str, float] | None:
    if ratio is None:
        return None
    return {"low": ratio.low, "estimate": ratio.estimate, "high": ratio.high}


def _by(found: Checked) -> str:
    ratio = found.winner.change.ratio
    if ratio is None:
        return ""
    return f": it carries {formats.times(ratio.estimate)} what it did ({_range(ratio)})"


def _smallest(found: Checked) -> str:
    """How much could be lost and not be seen."""
    if found.outcome is not CheckOutcome.UNDECIDED:
        return ""
    lost = found.winner.change.smallest_loss(found.plan.tolerance, _looks(found))
    if math.isclose(lost, 1.0):
        return ""
    return (
        f"With starts that scatter as these do, a loss of {formats.per_cent(lost)} or more would "
        "have been proved; more rounds show smaller ones (`--rounds`)."
    )


def _shared(found: Checked) -> str:
    """Whether what was lost is the configuration's own."""
    canary = found.canary.change.ratio if found.canary else None
    lost = found.outcome is CheckOutcome.WORSE and not found.winner.change.fails
    if canary is None or found.canary is None or not lost:
        return ""
    own = found.winner.change.over(found.canary.change)
    if own is not None and own.high < 1:
        return "The server's defaults did not lose as much: it is this configuration's own."
    if canary.high < 1:
        return (
            "The server's defaults lost, too: at least a part of it is the server's, the model's "
            "or the machine's; that this configuration lost more is not proved."
        )
    return ""


def _machine(found: Checked) -> str:
    if not found.machine:
        return ""
    seen = formats.listed([formats.times(each) for each in found.machine])
    return (
        f"The load engine against a server that does nothing: {seen} of its speed then; a "
        "quarter more or less says nothing."
    )


def _disturbed(found: Checked) -> str:
    """The load points of now that the machine disturbed."""
    points = [p for _, side in _sides(found) for t in side.now for p in t.points]
    disturbed = [point for point in points if point.disturbed]
    if not disturbed:
        return ""
    kinds = formats.listed(list(dict.fromkeys(each for p in disturbed for each in p.disturbed)))
    return f"{len(disturbed)} of {len(points)} load points were disturbed ({kinds})."


def _failure(trial: TrialRecord) -> str:
    if trial.reason is None:
        return "no load meets the latency budget"
    last = "\n".join(trial.log_tail.splitlines()[-_LOG_LINES:])
    return f"{trial.reason.value}: {trial.message}" + (f"\n{last}" if last else "")


def _mean(starts: Sequence[float]) -> str:
    """The geometric mean, and of how many starts."""
    if not starts:
        return formats.NOTHING
    mean = math.exp(math.fsum(map(math.log, starts)) / len(starts))
    return f"{formats.rate(mean)} ({formats.counted(len(starts), 'start')})"


def _interval(ratio: Interval) -> str:
    return f"{formats.times(ratio.estimate)} ({_range(ratio)})"


def _range(ratio: Interval) -> str:
    return f"{ratio.low:.2f} to {ratio.high:.2f}"
