"""Tables of search spaces, plans and single measurements for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tuner.load.measurement import Measurement
from tuner.records import ServerStatistics
from tuner.report import formats
from tuner.report.columns import unbroken
from tuner.space.settings import ConfigPath, EnvironmentVariables, ModelVariant
from tuner.space.space import Parameter, SearchSpace
from tuner.sweep.point import SweepPoint


def space_tables(space: SearchSpace) -> list[RenderableType]:
    """What may vary, with the bounds of this machine, and the rules between the parameters."""
    table = _table("parameter", "values", "default", "sets", "by")
    table.columns[3].no_wrap = True
    for parameter in space.parameters:
        table.add_row(
            Text(parameter.name),
            Text(parameter.domain),
            Text(formats.value(parameter.default)),
            Text(_sets(parameter)),
            "reload" if parameter.reload else "restart",
        )
    lines = [
        f"{p.name} is there only when {p.when.text}"
        for p in space.parameters
        if p.when is not None
    ]
    lines += [f"proof of {p.name}: {p.proof}" for p in space.parameters if p.proof]
    lines += [f"rule: {rule.expression.text} ({rule.because})" for rule in space.rules]
    return [unbroken(table), *map(Text, lines)]


def plan_lines(content: Mapping[str, Any], size: str) -> list[RenderableType]:
    """What `optimize` would do, in sentences."""
    invalid = ""
    if content["valid_configurations"] is not None:
        left_out = content["assignments"] - content["valid_configurations"]
        invalid = f"; {left_out:,} combinations are left out by conditions and rules"
    return [
        Text(line)
        for line in (
            f"model {content['model']}, latency budget {content['latency_budget']}",
            f"{size} valid configurations{invalid}",
            (
                f"the baseline and up to {content['trials'] - 1} more trials, about "
                f"{formats.duration(content['seconds_per_trial'])} of measuring each, then "
                f"{content['finals']} trials on fresh starts"
            ),
            f"done after about {formats.duration(content['seconds'])} at most",
        )
    ]


def sweep_tables(
    points: Sequence[SweepPoint], percentile: float, *, limit_s: float | None = None
) -> list[RenderableType]:
    """What the client saw, what the server says of itself, and what spoils either.

    With a latency limit there is the goodput: inferences per second that were answered within it.
    A point that the client itself spoiled has no latencies: they would not be the server's.
    """
    shown = sorted({50.0, 90.0, 95.0, 99.0, percentile})
    goodput = () if limit_s is None else (f"inf/s within {limit_s * 1e3:g} ms",)
    titles = ("load", "inf/s", *goodput, "avg ms", *(f"p{q:g} ms" for q in shown), "errors")
    client = _load_table(*titles, title="Client")
    for point in points:
        client.add_row(*_client_cells(point.measurement, shown, limit_s))
    told = [point for point in points if point.statistics or point.process]
    remarks = [
        Text(f"{point.measurement.profile}: {doubt}") for point in points for doubt in point.doubts
    ]
    return [unbroken(client), *([_server_table(told)] if told else []), *remarks]


def _client_cells(
    measurement: Measurement, shown: Sequence[float], limit_s: float | None
) -> Iterator[str | Text]:
    figures = [formats.rate(measurement.throughput)]
    if limit_s is not None:
        figures.append(formats.rate(measurement.goodput(limit_s)))
    figures += map(_ms, (measurement.mean_s, *map(measurement.percentile, shown)))
    if measurement.client_overloaded:
        figures = ["client_overloaded", *[formats.NOTHING] * (len(figures) - 1)]
    yield str(measurement.profile)
    yield from figures
    yield Text(_errors(measurement))


def _server_table(points: Sequence[SweepPoint]) -> Table:
    titles = ("load", "queue ms", "input ms", "infer ms", "output ms", "batch", "cores", "memory")
    table = _load_table(*titles, title="Server")
    for point in points:
        statistics = point.statistics or ServerStatistics()
        parts_s = (
            statistics.queue_s,
            statistics.compute_input_s,
            statistics.compute_infer_s,
            statistics.compute_output_s,
        )
        figures = [_ms(statistics.per_request_s(part_s)) for part_s in parts_s]
        figures.append(f"{statistics.mean_batch:.2f}")
        if point.statistics is None:
            figures = [formats.NOTHING] * len(figures)
        load = str(point.measurement.profile)
        table.add_row(load, *figures, *_process_cells(point))
    return unbroken(table)


def _process_cells(point: SweepPoint) -> Iterator[str]:
    """Processor cores and memory that the server's processes took."""
    process = point.process
    yield formats.NOTHING if process is None or process.cores is None else f"{process.cores:.2f}"
    yield formats.NOTHING if process is None else f"{process.resident_bytes / 1e6:.0f} MB"


def rows_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows of equal keys; the keys are the titles."""
    table = _table(*rows[0]) if rows else _table("nothing here")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    return unbroken(table)


def _table(*titles: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for each in titles:
        table.add_column(each, overflow="fold")
    return table


def _load_table(*titles: str, title: str) -> Table:
    """A table whose rows are loads, each of which stays on one line."""
    table = _table(*titles, title=title)
    table.columns[0].no_wrap = True
    return table


def _sets(parameter: Parameter) -> str:
    match parameter.sets:
        case ConfigPath(path):
            return path
        case EnvironmentVariables(names):
            return "\n".join(names)
        case ModelVariant():
            return "the model"
        case other:
            return other.name


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def _errors(measurement: Measurement) -> str:
    counts = dict(measurement.errors)
    if measurement.unanswered:
        counts["unanswered"] = measurement.unanswered
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "0"
