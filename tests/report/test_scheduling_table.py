"""How language-model servers scheduled, as a table of `tuner measure` and beside it."""

from dataclasses import replace
from io import StringIO

from rich.console import Console  # noqa: TID251 - what it prints is looked at

from tests.report.sweep_points import measured, metrics, point
from tuner.report.sweep_json import point_document
from tuner.report.sweep_tables import sweep_tables
from tuner.sweep.point import SweepPoint
from tuner.watch.metrics import Gauge

VLLM = replace(
    metrics(),
    counters={
        "vllm:num_preemptions_total": 3.0,
        "vllm:prefix_cache_hits_total": 1.0,
        "vllm:prefix_cache_queries_total": 4.0,
    },
    gauges={
        "vllm:num_requests_running": Gauge(7.5, 8.0),
        "vllm:num_requests_waiting": Gauge(0.25, 2.0),
        "vllm:kv_cache_usage_perc": Gauge(0.5, 0.99),
    },
)
PREEMPTED = (
    "the server put 3 requests back, as its cache was full: what it had computed for them, it "
    "computed again"
)


def printed(*points: SweepPoint) -> str:
    out = Console(file=StringIO(), width=200)
    for block in sweep_tables(points, 99.0):
        out.print(block)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


def test_what_the_server_says() -> None:
    """Means, and the largest values in brackets; a dash for what it does not say."""
    busy = replace(point(measured([0.01])), metrics=VLLM)
    silent = replace(point(measured([0.01])), metrics=metrics())
    _, _, table = printed(busy, silent).partition("Scheduling, by the server")
    _, _, first, second, *_ = [line.split() for line in table.splitlines() if line.strip()]
    assert first == [
        "concurrency",
        "1",
        *["7.5", "(8)", "0.25", "(2)", "50%", "(99%)", "3", "25%", "-"],
    ]
    assert second == ["concurrency", "1", *["-"] * 6]


def test_preemptions_are_told() -> None:
    """They are work that was done twice."""
    assert PREEMPTED in printed(replace(point(measured([0.01])), metrics=VLLM))


def test_other_servers_have_no_such_table() -> None:
    """Nor has one whose metrics nobody asked for."""
    without = point(measured([0.01]))
    assert "Scheduling" not in printed(replace(without, metrics=metrics()), without)


def test_as_json() -> None:
    """The same as numbers."""
    said = point_document(replace(point(measured([0.01])), metrics=VLLM), 99.0)
    assert said["server"]["scheduling"] == {
        "running": {"mean": 7.5, "largest": 8.0},
        "waiting": {"mean": 0.25, "largest": 2.0},
        "cache_use": {"mean": 0.5, "largest": 0.99},
        "preemptions": 3.0,
        "reused": 0.25,
        "accepted": None,
    }
