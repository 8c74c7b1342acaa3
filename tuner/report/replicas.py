"""How many copies of a server carry a demand: a table of round demands for the report."""

from collections.abc import Sequence

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standing
from tuner.analysis.token_figures import tokens_per_answer
from tuner.planning.proved import proved
from tuner.planning.replicas import Fleet, Reserve
from tuner.records import Interval, StudyRecord
from tuner.report import figures, formats
from tuner.report.proof_text import about_plan
from tuner.report.sheet import Sheet

# What the table assumes.
RESERVE = Reserve(headroom=0.2, spare=1)
# The demands of the table, from half the best capacity to this many times as much.
_FROM, _TO = 0.5, 30.0


def demands(standing: Standing) -> list[float]:
    """Round demands around what one copy carries, in its unit."""
    least, most = _FROM * standing.throughput, _TO * standing.throughput
    return [each for each in figures.round_numbers(least, most) if least <= each <= most]


def sheet(study: StudyRecord, sides: dict[str, Standing], winner: Standing) -> Sheet:
    """What each of `sides` needs for round demands."""
    capacities = [carries(study, side) for side in sides.values()]
    rows = [
        (_demand(demand), *(_needed(demand, capacity) for capacity in capacities))
        for demand in demands(winner)
    ]
    return Sheet(
        "Replicas for round demands",
        (RateUnit.of(study).capitalize(), *(title.capitalize() for title in sides)),
        tuple(rows),
        numbers=frozenset(range(1 + len(sides))),
    )


def title(study: StudyRecord, winner: Standing) -> str:
    """How many copies of the winner carry a demand, in a sentence."""
    demand = suggested_demand(winner)
    fleet = _fleet(demand, carries(study, winner))
    if fleet is None:
        return "How many replicas a demand needs is not known"
    needed = formats.counted(fleet.count, "replica")
    return f"{_demand(demand)} {RateUnit.of(study)} need {needed}"


def carries(study: StudyRecord, side: Standing) -> Interval:
    """What one copy is planned with."""
    return proved(study, side.configuration).planned_with(side)


def assumptions(study: StudyRecord, winner: Standing) -> tuple[str, ...]:
    """What the table takes for granted."""
    free = formats.per_cent(RESERVE.headroom)
    spare = formats.counted(RESERVE.spare, "spare replica")
    usual = (
        f"Replicas, and the share of their capacity that the demand takes. {free} of the capacity "
        f"is kept free, of which the lower end of the 95 % interval counts, and there is {spare}. "
        "It is assumed that each replica has a machine like the one that was measured, and that "
        "the demand is spread evenly over them."
    )
    found = proved(study, winner.configuration)
    less = about_plan(found, study, tokens_per_answer(study.trials))
    return (usual, f"Of the best configuration {less}.") if less else (usual,)


def suggested_demand(winner: Standing) -> float:
    """Where a reader may begin: a round demand of several copies."""
    found: Sequence[float] = demands(winner)
    return next((each for each in found if each >= 3 * winner.throughput), 1.0)


def _demand(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 1 else f"{per_s:g}"


def _needed(demand: float, capacity: Interval) -> str:
    fleet = _fleet(demand, capacity)
    if fleet is None:
        return formats.NOTHING
    return f"{fleet.count:,} ({formats.per_cent(fleet.utilisation.estimate)})"


def _fleet(demand: float, capacity: Interval) -> Fleet | None:
    """None where the capacity is not known to be more than nothing."""
    if not capacity.low > 0:
        return None
    return Fleet(demand=demand, capacity=capacity, reserve=RESERVE)
