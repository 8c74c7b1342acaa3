"""What `tuner measure` of a real Triton tells and writes: JSON, CSV, export, plot, metrics."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.measuring import LASTING, Measure
from tests.servers.triton import TritonServer
from tuner import __version__
from tuner.load.measurement import Measurement

# perf_analyzer's manual, "Visualizing Latency vs. Throughput".
COLUMNS = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency"
)
# The same, "Server-side Prometheus metrics".
GPU_COLUMNS = "Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage,Total GPU Memory"
KEYS = {
    "concurrency", "throughput", "requests", "duration_s", "avg_ms", "std_ms", "p50_ms", "p90_ms",
    "p95_ms", "p99_ms", "p99.9_ms", "first_response", "errors", "unanswered", "reconnected",
    "stopped_early", "client_overloaded", "stability", "send_lag_p99_ms", "client_send_ms",
    "client_receive_ms", "bytes_sent", "bytes_received", "engine_cpu_us_per_request",
    "engine_priority", "workers", "server", "tokens",
}  # fmt: skip
SERVER_KEYS = {
    "inferences", "executions", "queue_ms", "compute_input_ms", "compute_infer_ms",
    "compute_output_ms", "batches", "process", "gpus", "metrics",
    "scheduling",
}  # fmt: skip
LATENCIES = ("avg_ms", "std_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99.9_ms")


@pytest.fixture
def url(triton_server: TritonServer) -> str:
    return triton_server.http_url


def test_json(measure: Measure, url: str) -> None:
    """All that is known of a point is on stdout, and nothing else."""
    [point] = measure(url, "-m", "echo")
    assert set(point) == KEYS
    assert set(point["server"]) == SERVER_KEYS
    assert point["engine_priority"]


def test_the_servers_process(measure: Measure, triton_server: TritonServer) -> None:
    """The process that listens on the port is watched, with its descendants."""
    [point] = measure(triton_server.http_url, "-m", "echo", *LASTING)
    process = point["server"]["process"]
    assert (process["pid"], process["name"]) == (triton_server.pid, "tritonserver")
    assert process["cores"] > 0.05
    assert process["resident_bytes"] > 20e6
    assert process["processes"] > 5  # one more for each model


def test_tables(measure: Measure, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--json` there are two tables: what the client saw and what the server says."""
    monkeypatch.setenv("COLUMNS", "140")
    result = measure.run(url, "-m", "echo", "--concurrency", "1:2", "--budget-ms", "60000")
    assert (result.status, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert ["Client"] in lines
    assert ["Server"] in lines
    assert [line[0] for line in lines if line[:2] == ["load", "inf/s"]] == ["load"]
    assert "inf/s within 60000 ms" in result.out
    for concurrency in ("1", "2"):
        assert len([line for line in lines if line[:2] == ["concurrency", concurrency]]) == 2


def test_csv(measure: Measure, url: str) -> None:
    """The columns are perf_analyzer's, the lines in the order of throughput."""
    points = measure_with_files(measure, url, "--concurrency", "1:3", "-f", "perf.csv")
    assert Path("perf.csv").read_text().splitlines()[0] == COLUMNS
    table = pd.read_csv("perf.csv")
    assert sorted(table["Concurrency"]) == [1, 2, 3]
    assert table["Inferences/Second"].is_monotonic_increasing
    assert (table["p50 latency"] <= table["p99 latency"]).all()
    by_concurrency = table.set_index("Concurrency")
    for point in points:
        row = by_concurrency.loc[point["concurrency"]]
        assert row["Inferences/Second"] == pytest.approx(point["throughput"], rel=1e-4)
        assert row["p99 latency"] == pytest.approx(point["p99_ms"] * 1e3, abs=1)
        assert row["Server Compute Infer"] == pytest.approx(
            point["server"]["compute_infer_ms"] * 1e3, abs=1
        )


def test_csv_of_an_open_loop(measure: Measure, url: str) -> None:
    """An open loop's first column is its rate, and a percentile of one's own is there."""
    # A machine that is busy may send late; what was sent counts all the same here.
    options = ("--rate", "20:40:20", "--percentile", "75", "--request-count", "5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Measurement, "client_overloaded", "")
        measure_with_files(measure, url, *options, "-f", "perf.csv")
    header = COLUMNS.replace("Concurrency", "Request Rate")
    header = header.replace("p90 latency", "p75 latency,p90 latency")
    assert Path("perf.csv").read_text().splitlines()[0] == header
    assert sorted(pd.read_csv("perf.csv")["Request Rate"]) == [20, 40]


def test_verbose_csv_with_metrics(measure: Measure, triton_server: TritonServer) -> None:
    """Triton's own metrics are collected; a machine without GPUs has none to put into the CSV."""
    metrics = ("--collect-metrics", "--metrics-url", triton_server.metrics_url)
    options = (*metrics, "--metrics-interval", "50", *LASTING, "--duration", "1s")
    files = ("-f", "perf.csv", "--verbose-csv")
    [point] = measure_with_files(measure, triton_server.http_url, *options, *files)
    added = f"Avg latency,request/response,response wait,{GPU_COLUMNS}"
    assert Path("perf.csv").read_text().splitlines()[0] == f"{COLUMNS},{added}"
    assert (pd.read_csv("perf.csv")["Avg latency"] > 0).all()
    seen = point["server"]["metrics"]
    assert seen["scrapes"] >= 2
    counted = {name: n for name, n in seen["counters"].items() if 'model="echo"' in name}
    [successes] = [n for name, n in counted.items() if name.startswith("nv_inference_request_suc")]
    assert successes == point["requests"]


def test_metrics_that_are_not_there(measure: Measure, url: str) -> None:
    """Without the page there are no metrics, which is said, and the results are kept."""
    result = measure.run(
        url, "-m", "echo", "--json", "--metrics-url", "http://127.0.0.1:9/metrics"
    )
    assert result.status == 0
    assert result.err.startswith(
        "warning: metrics of the server are missing: asked for http://127.0.0.1:9/metrics, got: "
    )
    assert result.json[0]["server"]["metrics"] is None


def test_export(measure: Measure, url: str) -> None:
    """The export has every point with its histogram and its requests, and says when and what."""
    before = datetime.now(UTC).replace(microsecond=0)
    points = measure_with_files(measure, url, "--concurrency", "1:2", "--export", "all.json")
    export = json.loads(Path("all.json").read_text())
    started_at = datetime.fromisoformat(export.pop("started_at"))
    assert before <= started_at <= datetime.now(UTC)
    exported = export.pop("points")
    assert export == {
        "tool": "serving-tuner",
        "version": __version__,
        "endpoint": url,
        "model": "echo",
    }
    for point, each in zip(points, exported, strict=True):
        histogram, samples = each.pop("histogram"), each.pop("samples")
        assert each == point
        assert sum(histogram["counts"]) == len(samples["latency_s"]) == 64
        assert max(samples["latency_s"]) <= max(histogram["upper_s"]) * 1.0001


def test_plot(measure: Measure, url: str) -> None:
    """The plot is one HTML page about this model."""
    measure_with_files(measure, url, "--concurrency", "1:2", "--plot", "plot.html")
    page = Path("plot.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert ("echo" in page, url in page, "concurrency 2" in page) == (True, True, True)


class TestOverloadedClient:
    """Latencies that are the client's own are nowhere to be seen."""

    @pytest.fixture(autouse=True)
    def overloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that is overloaded from two requests in flight on."""
        reason = property(lambda self: "it slept" if self.profile.concurrency > 1 else "")
        monkeypatch.setattr(Measurement, "client_overloaded", reason)

    def test_in_json(self, measure: Measure, url: str) -> None:
        """They are null in JSON."""
        good, spoiled = measure(url, "-m", "echo", "--concurrency", "1:2")
        assert spoiled["client_overloaded"] == "it slept"
        assert {name: spoiled[name] for name in LATENCIES} == dict.fromkeys(LATENCIES)
        assert None not in {name: good[name] for name in LATENCIES}.values()

    def test_in_tables(self, measure: Measure, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are no numbers in the table, and a sentence says why."""
        monkeypatch.setenv("COLUMNS", "140")
        result = measure.run(url, "-m", "echo", "--concurrency", "2")
        lines = [line.split() for line in result.out.splitlines()]
        client = next(line for line in lines if line[:2] == ["concurrency", "2"])
        assert client[2:] == ["client_overloaded", *"-----", "0"]
        assert "concurrency 2: the client was overloaded: it slept" in result.out

    def test_in_files(self, measure: Measure, url: str) -> None:
        """They are left out of CSV and plot."""
        files = ("-f", "perf.csv", "--plot", "plot.html")
        measure_with_files(measure, url, "--concurrency", "1:2", *files)
        assert list(pd.read_csv("perf.csv")["Concurrency"]) == [1]
        assert "concurrency 2" not in Path("plot.html").read_text()

    def test_no_file_without_a_point(self, measure: Measure, url: str) -> None:
        """Where nothing else was measured, there is no CSV and no plot, which is said."""
        result = measure.run(
            url, "-m", "echo", "--concurrency", "2", "-f", "perf.csv", "--plot", "plot.html"
        )
        assert result.status == 0
        assert result.err == (
            "no CSV and no plot: the client was overloaded at every load point\n"
        )
        assert os.listdir() == []  # noqa: PTH208 - the folder that the test is in


def measure_with_files(measure: Measure, url: str, *options: str) -> list[dict[str, Any]]:
    """The load points; on stderr is said what was written, and where."""
    result = measure.run(url, "-m", "echo", "--json", *options)
    written = {"--export": "JSON", "-f": "CSV", "--plot": "plot"}
    notes = [
        f"{what}: {options[options.index(option) + 1]}\n"
        for option, what in written.items()
        if option in options
    ]
    assert (result.status, result.err) == (0, "".join(notes))
    points: list[dict[str, Any]] = result.json
    return points
