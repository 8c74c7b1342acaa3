"""Tables of the load points of `tuner measure`."""

import math
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tuner.analysis.rate_unit import RateUnit
from tuner.goals import AnswerLimits
from tuner.load.measurement import Measurement
from tuner.load.tokens import PIECES_COUNTED
from tuner.records import ServerStatistics
from tuner.report import formats
from tuner.report.columns import folded_table
from tuner.report.scheduling_table import scheduling_table
from tuner.report.token_text import about_together
from tuner.sweep.point import SweepPoint, server_parts_s

_NO_LIMITS = AnswerLimits()
_TOKEN_PERCENTILES = (50, 95, 99)


def sweep_tables(
    points: Sequence[SweepPoint], percentile: float, *, limits: AnswerLimits = _NO_LIMITS
) -> list[RenderableType]:
    """What the client saw, what the server says of itself, and what spoils either.

    With limits there is the goodput: what was answered within all of them, per second.
    A point that the client itself spoiled has no latencies: they would not be the server's.
    """
    shown = sorted({50.0, 90.0, 95.0, 99.0, percentile})
    unit = RateUnit.of_answers(generated=any(point.generated for point in points)).short
    goodput = (f"{unit} within {limits}",) if limits.any else ()
    titles = ("load", unit, *goodput, "avg ms", *(f"p{q:g} ms" for q in shown), "errors")
    rows = [_client_cells(point.measurement, shown, limits) for point in points]
    client = folded_table(rows, *titles, whole="load", title="Client")
    measured = [point.measurement for point in points]
    streamed = [each for each in measured if each.first_response and not each.tokens]
    generated = [each for each in measured if each.tokens and each.tokens.output]
    told = [point for point in points if point.statistics or point.process]
    remarks = [
        Text(f"{point.measurement.profile}: {remark}")
        for point in points
        for remark in (*_reconnected(point.measurement), *_told(point.measurement), *point.doubts)
    ]
    firsts = [_first_table(streamed, shown)] if streamed else []
    tokens = [_token_table(generated)] if generated else []
    scheduled = scheduling_table(points)
    servers = [*([_server_table(told)] if told else []), *([scheduled] if scheduled else [])]
    return [client, *firsts, *tokens, *servers, *remarks]


def _token_table(measurements: Sequence[Measurement]) -> Table:
    """Of answers that are made of output tokens: how many, and when they came."""
    times = [f"{name} p{q} ms" for name in ("TTFT", "ITL") for q in _TOKEN_PERCENTILES]
    titles = ("load", "tokens/s", "an answer", *times)
    return folded_table(map(_token_cells, measurements), *titles, whole="load", title="Tokens")


def _token_cells(measurement: Measurement) -> Iterator[str]:
    tokens = measurement.tokens
    yield str(measurement.profile)
    if tokens is None or measurement.client_overloaded:
        yield from [formats.NOTHING] * (2 + 2 * len(_TOKEN_PERCENTILES))
        return
    yield formats.rate(tokens.throughput)
    yield f"{tokens.output / tokens.answers:.3g}" if tokens.answers else formats.NOTHING
    for of in (measurement.ttft, measurement.itl):
        for q in _TOKEN_PERCENTILES:
            seconds = of(q)
            yield formats.NOTHING if math.isnan(seconds) else _ms(seconds)


def _told(measurement: Measurement) -> Iterator[str]:
    """What is to be known of how tokens were counted."""
    tokens = measurement.tokens
    if tokens is None or not tokens.output:
        return
    if tokens.counted_by != "server":
        yield PIECES_COUNTED
    if not math.isnan(measurement.itl(50)) and (said := about_together(tokens.together_share)):
        yield said


def _first_table(measurements: Sequence[Measurement], shown: Sequence[float]) -> Table:
    """The times to the first of several responses."""
    titles = ("load", *(f"p{q:g} ms" for q in shown))
    rows = (_first_cells(measurement, shown) for measurement in measurements)
    return folded_table(rows, *titles, whole="load", title="To the first response")


def _first_cells(measurement: Measurement, shown: Sequence[float]) -> Iterator[str]:
    firsts = None if measurement.client_overloaded else measurement.first_response
    yield str(measurement.profile)
    for q in shown:
        yield _ms(firsts.percentile(q)) if firsts else formats.NOTHING


def _client_cells(
    measurement: Measurement, shown: Sequence[float], limits: AnswerLimits
) -> Iterator[str]:
    figures = [formats.rate(measurement.throughput)]
    if limits.any:
        figures.append(formats.rate(measurement.goodput(limits)))
    figures += map(_ms, (measurement.mean_s, *map(measurement.percentile, shown)))
    if measurement.client_overloaded:
        figures = ["client_overloaded", *[formats.NOTHING] * (len(figures) - 1)]
    yield str(measurement.profile)
    yield from figures
    yield _errors(measurement)


def _server_table(points: Sequence[SweepPoint]) -> Table:
    titles = ("load", "queue ms", "input ms", "infer ms", "output ms", "batch", "cores", "memory")
    return folded_table(map(_server_cells, points), *titles, whole="load", title="Server")


def _server_cells(point: SweepPoint) -> Iterator[str]:
    """The load, what the server says of it, and the cores and memory that its processes took."""
    statistics, process = point.statistics or ServerStatistics(), point.process
    figures = [_ms(part_s) for part_s in server_parts_s(statistics).values()]
    figures.append(f"{statistics.mean_batch:.2f}")
    yield str(point.measurement.profile)
    yield from figures if point.statistics else [formats.NOTHING] * len(figures)
    yield formats.NOTHING if process is None or process.cores is None else f"{process.cores:.2f}"
    yield formats.NOTHING if process is None else f"{process.resident_bytes / 1e6:.0f} MB"


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
