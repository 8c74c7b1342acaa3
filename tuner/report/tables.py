"""Tables of search spaces, plans and single measurements for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tuner.load import ClosedLoop, LoadProfile, Measurement
from tuner.report import formats
from tuner.space import ConfigPath, EnvironmentVariables, Parameter, SearchSpace
from tuner.targets.base import ServerStatistics


def space_tables(space: SearchSpace) -> list[RenderableType]:
    """What may vary, with the bounds of this machine, and the rules between the parameters."""
    table = _table("parameter", "values", "default", "sets", "by")
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
    lines += [f"rule: {rule.expression.text} ({rule.because})" for rule in space.rules]
    return [table, *map(Text, lines)]


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


def load_text(profile: LoadProfile) -> str:
    """A load in words."""
    if isinstance(profile, ClosedLoop):
        return f"concurrency {profile.concurrency}"
    return f"{profile.rate:g} requests/s ({profile.arrivals.value})"


def measurement_tables(
    results: Sequence[tuple[Measurement, ServerStatistics]], percentile: float
) -> list[RenderableType]:
    """What the client saw, what the server says of itself, and what spoils either."""
    shown = sorted({50.0, 90.0, 95.0, 99.0, percentile})
    client = _table(
        "load", "inf/s", "avg ms", *(f"p{q:g} ms" for q in shown), "errors", title="Client"
    )
    server = _table(
        "load", "queue ms", "input ms", "infer ms", "output ms", "batch", title="Server"
    )
    remarks: list[RenderableType] = []
    for measurement, statistics in results:
        load = load_text(measurement.profile)
        client.add_row(
            load,
            formats.rate(measurement.throughput),
            *(_ms(s) for s in (measurement.mean_s, *map(measurement.percentile, shown))),
            Text(_errors(measurement)),
        )
        parts = (
            statistics.queue_s,
            statistics.compute_input_s,
            statistics.compute_infer_s,
            statistics.compute_output_s,
        )
        each = (_ms(statistics.per_request_s(part)) for part in parts)
        server.add_row(load, *each, f"{statistics.mean_batch:.2f}")
        remarks += [Text(f"{load}: {remark}") for remark in _remarks(measurement)]
    return [client, server, *remarks]


def rows_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows of equal keys; the keys are the titles."""
    table = _table(*rows[0]) if rows else _table("nothing here")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    return table


def _table(*titles: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for each in titles:
        table.add_column(each, overflow="fold")
    return table


def _sets(parameter: Parameter) -> str:
    match parameter.sets:
        case ConfigPath(path):
            return path
        case EnvironmentVariables(names):
            return ", ".join(names)
        case flag:
            return flag.name


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def _errors(measurement: Measurement) -> str:
    counts = dict(measurement.errors)
    if measurement.unanswered:
        counts["unanswered"] = measurement.unanswered
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "0"


def _remarks(measurement: Measurement) -> list[str]:
    remarks = []
    if measurement.stopped_early:
        remarks.append(f"stopped early: {measurement.stopped_early}")
    if measurement.send_lag_p99_s > 1e-3:
        remarks.append(
            f"requests left {measurement.send_lag_p99_s * 1e3:.1f} ms late (p99): this machine is "
            "too busy to trust the latencies"
        )
    return remarks
