"""The CSV file: perf_analyzer's columns, in its order and with its numbers."""

import io
import math
from dataclasses import replace

import pandas as pd
import pytest

from tests.report.sweep_points import GPUS, generated, measured, metrics, point, statistics
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop, Ramp, Replay
from tuner.report import sweep_csv
from tuner.sweep.point import SweepPoint
from tuner.watch.gpu_usage import GpuUsage

# The manual's own header and first line.
HEADER = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency"
)
LINE = "1,69.2,225,2148,64,206,11781,19,0,13891,18795,19753,21018"
VERBOSE = ",Avg latency,request/response,response wait"
GPU = ",Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage,Total GPU Memory"


def manual_point() -> SweepPoint:
    """A hundred latencies with the percentiles and the mean that the manual shows."""
    latencies_us = [13_891] * 50 + [18_795] * 40 + [19_753] * 5 + [21_018] * 5
    measurement = measured([each / 1e6 for each in latencies_us])
    mean_s = (225 + 2148 + 64 + 206 + 11781 + 19) / 1e6
    return point(replace(measurement, mean_s=mean_s, client_receive_s=0.0), statistics())


def closed(concurrency: int, throughput: float) -> SweepPoint:
    return point(measured([0.01] * 100, ClosedLoop(concurrency), throughput=throughput))


def frame(*points: SweepPoint, percentile: float = 99, verbose: bool = False) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(sweep_csv.text(points, percentile, verbose=verbose)))


def test_the_manual_to_the_byte() -> None:
    """Header and line are those of the manual, byte for byte."""
    assert sweep_csv.text([manual_point()], 99) == f"{HEADER}\n{LINE}\n"


def test_in_the_order_of_throughput() -> None:
    """The lines are sorted by throughput, not by load."""
    table = frame(closed(1, 69.2), closed(2, 87.2), closed(3, 84.2), closed(4, 84.2))

    assert table["Concurrency"].tolist() == [1, 3, 4, 2]
    assert table["Inferences/Second"].tolist() == [69.2, 84.2, 84.2, 87.2]


def test_pandas_reads_it() -> None:
    """Every column is a number, also where requests failed or nothing was answered."""
    failing = point(measured([0.01, math.inf], ClosedLoop(2), throughput=50))
    failed = point(measured([math.inf], ClosedLoop(3), throughput=0))

    table = frame(manual_point(), failing, failed)

    assert list(table.columns) == HEADER.split(",")
    assert all(pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes)
    assert table["p50 latency"].tolist() == [math.inf, 10_000, 13_891]
    assert table["p99 latency"].tolist() == [math.inf, math.inf, 21_018]


@pytest.mark.parametrize(
    ("profile", "rate"),
    [
        (OpenLoop(100.5), "100.5"),
        (OpenLoop(1e6), "1e+06"),
        (Ramp((100.0, 300.0), 1.0), "200"),
        (Replay((0.1, 0.3)), "5"),
    ],
)
def test_open_loops(profile: LoadProfile, rate: str) -> None:
    """The first column of open loops is the rate: of a ramp or a replay, the mean."""
    header, line, end = sweep_csv.text([point(measured([0.01], profile))], 99).split("\n")

    assert header == HEADER.replace("Concurrency", "Request Rate")
    assert line.startswith(f"{rate},69.2,")
    assert not end


@pytest.mark.parametrize(
    ("percentile", "columns"),
    [
        (99.9, "p50 latency,p90 latency,p95 latency,p99 latency,p99.9 latency"),
        (75, "p50 latency,p75 latency,p90 latency,p95 latency,p99 latency"),
        (95, "p50 latency,p90 latency,p95 latency,p99 latency"),
    ],
)
def test_the_stabilising_percentile(percentile: float, columns: str) -> None:
    """It has a column of its own where it is none of the usual ones."""
    header = sweep_csv.text([manual_point()], percentile).split("\n")[0]

    assert header.endswith(f"Client Recv,{columns}")


UNKNOWN = replace(measured([0.010, 0.014]), client_send_s=math.nan, client_receive_s=math.nan)
ALL_OF_THE_NETWORK = {
    **dict.fromkeys(["Client Send", "Client Recv", "Server Queue"], 0),
    "Network+Server Send/Recv": 12_000,
}


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (point(UNKNOWN), ALL_OF_THE_NETWORK),
        (  # never negative, as the two sides are measured apart
            point(measured([0.001]), statistics()),
            {"Network+Server Send/Recv": 0, "Server Compute Infer": 11_781},
        ),
        (  # as perf_analyzer divides nanoseconds; 225e-6 * 1e6 is 224.99999999999997
            point(measured([0.000001999])),
            {"p50 latency": 1, "Client Send": 225},
        ),
    ],
    ids=["nobody knows", "the server tells of more than there was", "rounded down"],
)
def test_microseconds(seen: SweepPoint, told: dict[str, int]) -> None:
    """What neither side accounts for is the network's; no float makes one microsecond less."""
    [row] = frame(seen).to_dict("records")

    assert {name: row[name] for name in told} == told


class TestVerbose:
    def test_columns(self) -> None:
        """The mean and the client's share follow, then the GPUs as the manual shows them."""
        known = replace(manual_point(), metrics=metrics())
        header, line, _ = sweep_csv.text([known], 99, verbose=True).split("\n")

        assert header == HEADER + VERBOSE + GPU
        assert line == (
            f"{LINE},14443,225,14218,"
            "gpu_uuid_0:0.33;gpu_uuid_1:0.5;,gpu_uuid_0:55.3;gpu_uuid_1:56.9;,"
            "gpu_uuid_0:10000;gpu_uuid_1:11000;,gpu_uuid_0:50000;gpu_uuid_1:75000;"
        )

    def test_without_gpus(self) -> None:
        """The columns are there also without a GPU, or a number of one."""
        some = {"a": GpuUsage(power_w=60.0), "b": GpuUsage(memory_total_bytes=80 << 30)}
        table = frame(
            manual_point(), replace(closed(2, 80), metrics=metrics(some)), verbose=True
        ).fillna("")

        assert table["Avg GPU Utilization"].tolist() == ["", ""]
        assert table["Avg GPU Power Usage"].tolist() == ["", "a:60;"]
        assert table["Total GPU Memory"].tolist() == ["", "b:85899345920;"]

    def test_gpus_of_the_driver(self) -> None:
        """Where the server tells of no GPU, the driver's word is taken."""
        silent = replace(manual_point(), metrics=metrics({}), driver_gpus=GPUS)

        assert silent.gpus == GPUS
        assert replace(silent, metrics=None).gpus == GPUS
        assert replace(silent, metrics=metrics({"x": GpuUsage()})).gpus == {"x": GpuUsage()}

    def test_nothing_answered(self) -> None:
        """The mean of nothing is not a number."""
        [row] = frame(point(measured([math.inf])), verbose=True).to_dict("records")

        assert math.isnan(row["Avg latency"])
        assert row["response wait"] == 0


class TestTokens:
    def test_columns(self) -> None:
        """Of answers of output tokens, their rate and times follow the latencies, in whole us."""
        spread = generated([0.1] * 98 + [0.2] * 2, [0.02] * 100)
        header, line, _ = sweep_csv.text([point(spread)], 99).split("\n")

        times = "".join(f",p{q} {name}" for name in ("TTFT", "ITL") for q in (50, 90, 95, 99))
        assert header == f"{HEADER},Output Tokens/Second{times}"
        assert line.endswith(",220,100000,100000,100000,200000,20000,20000,20000,20000")

    def test_beside_points_without_any(self) -> None:
        """A load point of which no token is known has no number there, and no fewer columns."""
        table = frame(point(generated([0.1], [0.02], throughput=90)), closed(2, 80))

        assert table["Output Tokens/Second"].isna().tolist() == [True, False]
        assert table["p99 ITL"].tolist()[1] == 20_000
