"""The tables that benchmarks.replay prints."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from benchmarks.landscapes.table import Table
from benchmarks.replay_contestants import HINTS, RANDOM
from benchmarks.replay_metrics import Comparison, Spread, Summary, comparison, summary
from benchmarks.replayed_trials import Cost, exhaustive
from benchmarks.tables import table as markdown_table
from tuner.records import Interval, TrialState

# Of the best feasible capacity; the first one is what contestants are compared by.
SHARES = (0.95, 0.99)
RIVALS = (RANDOM, HINTS)

# What a search took, for each share; None where it did not get there.
Costs = tuple[Cost | None, ...]


@dataclass(frozen=True)
class Replays:
    """All searches on one landscape: for each contestant, in the order of the seeds."""

    table: Table
    costs: Mapping[str, Sequence[Costs]]

    @cached_property
    def summaries(self) -> Mapping[str, Sequence[Summary]]:
        """For each contestant, one for each share."""
        whole = exhaustive(self.table)
        return {
            name: [summary(costs, whole) for costs in zip(*searches, strict=True)]
            for name, searches in self.costs.items()
        }

    @cached_property
    def comparisons(self) -> Mapping[str, Mapping[str, Comparison]]:
        """For each contestant, with each of the random orders."""
        points = {name: self._points(name) for name in self.costs}
        return {
            name: {rival: comparison(points[name], points[rival]) for rival in RIVALS}
            for name in self.costs
        }

    def _points(self, name: str) -> list[float]:
        whole = exhaustive(self.table)
        return [(costs[0] or whole).points for costs in self.costs[name]]


def markdown(replays: Sequence[Replays]) -> str:
    return "\n\n".join([*(part for each in replays for part in _landscape(each)), _all(replays)])


def as_json(replays: Sequence[Replays]) -> str:
    return json.dumps({each.table.name: _facts(each) for each in replays}, indent=2)


def _facts(replays: Replays) -> dict[str, object]:
    table = replays.table
    return {
        "machine": table.machine,
        "configurations": len(table.rows),
        "best": {"configuration": dict(table.best.configuration), "capacity": table.best.capacity},
        "noise": table.noise,
        "exhaustive": asdict(exhaustive(table)),
        "contestants": {
            name: {
                "searches": len(searches),
                "shares": {
                    str(share): asdict(each)
                    for share, each in zip(SHARES, replays.summaries[name], strict=True)
                },
                "beside": {
                    rival: asdict(each) | {"verdict": each.verdict}
                    for rival, each in replays.comparisons[name].items()
                },
            }
            for name, searches in replays.costs.items()
        },
    }


def _landscape(replays: Replays) -> Iterator[str]:
    table, whole = replays.table, exhaustive(replays.table)
    states = [row.state for row in table.rows.values()]
    defaults = table.rows[table.space.defaults]
    yield f"### {table.name}"
    yield (
        f"{whole.trials} configurations, {states.count(TrialState.FEASIBLE)} of them feasible for "
        f"{table.budget}, {states.count(TrialState.FAILED)} fail. The best: "
        f"{table.best.capacity:.0f}/s (`{table.best.configuration}`); the defaults: "
        f"{defaults.capacity:.0f}/s. Noise: {table.noise:.1%}. Exhaustive: {whole.points} load "
        f"points. Measured on {table.machine}."
    )
    for number, share in enumerate(SHARES):
        yield _summary_table(replays, number, f"to {share:.0%} of the best")
    yield _comparison_table(replays)


def _summary_table(replays: Replays, number: int, title: str) -> str:
    headings = [title, "trials", "load points", "of exhaustive", "seconds", "got there"]
    rows = [
        [
            name,
            _spread(each.trials),
            _spread(each.points),
            f"{each.exhaustive_share:.1%}",
            _spread(each.time_s),
            f"{each.found:.0%}",
        ]
        for name, summaries in replays.summaries.items()
        for each in [summaries[number]]
    ]
    return markdown_table(headings, rows)


def _comparison_table(replays: Replays) -> str:
    headings = [f"load points to {SHARES[0]:.0%}"]
    for rival in RIVALS:
        headings += [f"/ {rival}", f"- {rival}", "says"]
    rows = [
        [name, *(cell for rival in RIVALS for cell in _compared(beside[rival]))]
        for name, beside in replays.comparisons.items()
    ]
    return markdown_table(headings, rows)


def _all(replays: Sequence[Replays]) -> str:
    """One row for each contestant, one column for each landscape."""
    title = f"load points to {SHARES[0]:.0%}, of exhaustive; beside {RANDOM}"
    rows = [
        [
            name,
            *(
                f"{each.summaries[name][0].exhaustive_share:.1%}, "
                f"{each.comparisons[name][RANDOM].verdict}"
                for each in replays
            ),
        ]
        for name in replays[0].costs
    ]
    parts = ["### All landscapes", markdown_table([title, *(e.table.name for e in replays)], rows)]
    return "\n\n".join(parts)


def _compared(comparison: Comparison) -> list[str]:
    return [
        _interval(comparison.ratio, 2),
        _interval(comparison.difference, 0),
        comparison.verdict,
    ]


def _spread(spread: Spread) -> str:
    return f"{spread.median:.0f} ({spread.worst_decile:.0f})"


def _interval(interval: Interval, digits: int) -> str:
    return (
        f"{interval.estimate:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"
    )
