"""Tables of search spaces, plans and single measurements for the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from tuner.load.measurement import Measurement
from tuner.records import ServerStatistics
from tuner.report import formats
from tuner.report.columns import text_table
from tuner.space.settings import ModelVariant
from tuner.sweep.point import SweepPoint, server_parts_s


def space_tables(content: Mapping[str, Any]) -> list[RenderableType]:
    """What may vary, with the bounds of a machine, and the rules between the parameters."""
    titles = ("parameter", "values", "default", "sets", "by")
    parameters = content["parameters"]
    rows = [
        (
            each["name"],
            each["domain"],
            formats.value(each["default"]),
            _sets(each["sets"]),
            "reload" if each["reload"] else "restart",
        )
        for each in parameters
    ]
    lines = [f"{p['name']} is there only when {p['when']}" for p in parameters if p["when"]]
    lines += [f"proof of {p['name']}: {p['proof']}" for p in parameters if p["proof"]]
    lines += [f"rule: {each['rule']} ({each['because']})" for each in content["rules"]]
    return [_table(rows, *titles, whole="sets"), *map(Text, lines)]


def plan_lines(content: Mapping[str, Any], size: str) -> list[RenderableType]:
    """What `optimize` would do, in sentences."""
    invalid = ""
    if content["valid_configurations"] is not None:
        left_out = content["assignments"] - content["valid_configurations"]
        invalid = f"; {left_out:,} combinations are left out by conditions and rules"
    withheld = ", ".join(content["environment_withheld"])
    kept = [f"not handed on to the server, as parameters set them: {withheld}"] if withheld else []
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
            *kept,
            content["too_short"],
        )
        if line
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
    rows = [_client_cells(point.measurement, shown, limit_s) for point in points]
    client = _table(rows, *titles, whole="load", title="Client")
    streamed = [point.measurement for point in points if point.measurement.first_response]
    told = [point for point in points if point.statistics or point.process]
    remarks = [
        Text(f"{point.measurement.profile}: {remark}")
        for point in points
        for remark in (*_reconnected(point.measurement), *point.doubts)
    ]
    firsts = [_first_table(streamed, shown)] if streamed else []
    return [client, *firsts, *([_server_table(told)] if told else []), *remarks]


def _first_table(measurements: Sequence[Measurement], shown: Sequence[float]) -> Table:
    """The times to the first of several responses."""
    titles = ("load", *(f"p{q:g} ms" for q in shown))
    rows = (_first_cells(measurement, shown) for measurement in measurements)
    return _table(rows, *titles, whole="load", title="To the first response")


def _first_cells(measurement: Measurement, shown: Sequence[float]) -> Iterator[str]:
    firsts = None if measurement.client_overloaded else measurement.first_response
    yield str(measurement.profile)
    for q in shown:
        yield _ms(firsts.percentile(q)) if firsts else formats.NOTHING


def _client_cells(
    measurement: Measurement, shown: Sequence[float], limit_s: float | None
) -> Iterator[str]:
    figures = [formats.rate(measurement.throughput)]
    if limit_s is not None:
        figures.append(formats.rate(measurement.goodput(limit_s)))
    figures += map(_ms, (measurement.mean_s, *map(measurement.percentile, shown)))
    if measurement.client_overloaded:
        figures = ["client_overloaded", *[formats.NOTHING] * (len(figures) - 1)]
    yield str(measurement.profile)
    yield from figures
    yield _errors(measurement)


def _server_table(points: Sequence[SweepPoint]) -> Table:
    titles = ("load", "queue ms", "input ms", "infer ms", "output ms", "batch", "cores", "memory")
    return _table(map(_server_cells, points), *titles, whole="load", title="Server")


def _server_cells(point: SweepPoint) -> Iterator[str]:
    """The load, what the server says of it, and the cores and memory that its processes took."""
    statistics, process = point.statistics or ServerStatistics(), point.process
    figures = [_ms(part_s) for part_s in server_parts_s(statistics).values()]
    figures.append(f"{statistics.mean_batch:.2f}")
    yield str(point.measurement.profile)
    yield from figures if point.statistics else [formats.NOTHING] * len(figures)
    yield formats.NOTHING if process is None or process.cores is None else f"{process.cores:.2f}"
    yield formats.NOTHING if process is None else f"{process.resident_bytes / 1e6:.0f} MB"


def _table(
    rows: Iterable[Iterable[str]], *titles: str, whole: str = "", title: str | None = None
) -> Table:
    """A table in which the lines of the column `whole` are not broken."""
    columns = [Column(each, overflow="fold", no_wrap=each == whole) for each in titles]
    return text_table(rows, *columns, pad_edge=True, title=title, title_justify="left")


def _sets(sets: Mapping[str, str]) -> str:
    if ModelVariant.kind in sets:
        return "the model"
    form = f" ({sets['form']})" if "form" in sets else ""
    [names] = [names for kind, names in sets.items() if kind != "form"]
    return names.replace(", ", "\n") + form


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def _reconnected(measurement: Measurement) -> Iterator[str]:
    if count := measurement.reconnected:
        yield f"{count} reconnected: sent again, as the server had closed their connections"


def _errors(measurement: Measurement) -> str:
    counts = dict(measurement.errors)
    if measurement.unanswered:
        counts["unanswered"] = measurement.unanswered
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "0"
