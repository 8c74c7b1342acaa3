"""How language-model servers scheduled the load points of `tuner measure`, as a table."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from tuner.report import formats
from tuner.report.columns import folded_table
from tuner.sweep.point import SweepPoint
from tuner.watch.metrics import Gauge


def scheduling_table(points: Sequence[SweepPoint]) -> Table | None:
    """Means, with the largest value seen in brackets; None where no server says it."""
    if not any(point.scheduling for point in points):
        return None
    titles = ("load", "running", "waiting", "cache", "preempted", "reused", "accepted")
    rows = map(_cells, points)
    return folded_table(rows, *titles, whole="load", title="Scheduling, by the server")


def _cells(point: SweepPoint) -> Iterator[str]:
    yield str(point.measurement.profile)
    said = point.scheduling
    if said is None:
        yield from [formats.NOTHING] * 6
        return
    yield _gauge(said.running)
    yield _gauge(said.waiting)
    use = said.cache_use
    yield formats.NOTHING if use is None else f"{use.mean:.0%} ({use.largest:.0%})"
    yield formats.NOTHING if said.preemptions is None else f"{said.preemptions:.0f}"
    for share in (said.reused, said.accepted):
        yield formats.NOTHING if share is None else f"{share:.0%}"


def _gauge(gauge: Gauge | None) -> str:
    return formats.NOTHING if gauge is None else f"{gauge.mean:.3g} ({gauge.largest:.3g})"
