"""A landscape that nobody measured: a formula, over a space too large to be measured whole."""

from benchmarks.landscapes.table import Point, Row, Table
from benchmarks.search_overhead import BUDGET, carried, space_of_sixteen_cores
from tuner.errors import Reason
from tuner.records import Phase, TrialState
from tuner.space.space import Configuration

NAME = "formula"
# The loads of a row, as shares of its capacity, and what their p99 is of the latency limit.
_LOADS = ((0.9, 0.7), (1.1, 1.6), (1.03, 1.1))
_SATURATION = 1.2
_POINT_S = 2.0
_OTHER_S = 6.0


def formula() -> Table:
    """One row for each configuration; they differ in nothing but what they carry."""
    space = space_of_sixteen_cores()
    rows = {configuration: _row(configuration) for configuration in space.grid()}
    return Table(NAME, "paper", BUDGET, space, rows, noise=0.0)


def _row(configuration: Configuration) -> Row:
    capacity = carried(configuration)
    probes = (_point(Phase.UNLOADED, 1, 0.1), _point(Phase.SATURATION, 8, 2.0))
    searched = (_point(Phase.SEARCH, load * capacity, share) for load, share in _LOADS)
    points = (*probes, *searched) if capacity else probes[:1]
    search_s = _POINT_S * (len(points) - len(probes)) if capacity else 0.0
    return Row(
        configuration=configuration,
        state=TrialState.FEASIBLE if capacity else TrialState.FAILED,
        reason=None if capacity else Reason.OUT_OF_MEMORY,
        throughput=capacity,
        log_error=0.01,
        unloaded_s=0.1 * BUDGET.limit_s,
        saturation=_SATURATION * capacity,
        timings_s={"search": search_s, "total": _OTHER_S + search_s},
        points=points,
        ladder=(),
    )


def _point(phase: Phase, load: float, share: float) -> Point:
    """The 95th percentile is at nine tenths of the 99th."""
    p99_s = share * BUDGET.limit_s
    kind = "open" if phase is Phase.SEARCH else "closed"
    return Point(phase, kind, load, _POINT_S, load, {50: p99_s / 2, 95: 0.9 * p99_s, 99: p99_s})
