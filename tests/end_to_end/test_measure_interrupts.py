"""An interrupt of `tuner measure`: what was measured is told and kept, and nothing else stays."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.end_to_end.command import TUNER, descendants, wait_until
from tests.measuring import write_json
from tests.servers.triton import TritonServer

REQUESTS = 50  # of each load point, 20 ms each, one at a time


def shared_memory(server: TritonServer) -> Any:
    url = f"{server.http_url}/v2/systemsharedmemory/status"
    return httpx.get(url, trust_env=False).json()


def inferences(server: TritonServer) -> int:
    url = f"{server.http_url}/v2/models/slow/stats"
    [stats] = httpx.get(url, trust_env=False).json()["model_stats"]
    return int(stats["inference_count"])


def in_memory_of(process: subprocess.Popen[str]) -> list[Path]:
    """What this process, or one that it started, has in /dev/shm."""
    folder = Path("/dev/shm")  # noqa: S108 - named by the kernel
    return [path for path in folder.iterdir() if f"-{process.pid}-" in path.name]


def begin(server: TritonServer, folder: Path) -> subprocess.Popen[str]:
    """A sweep of three load points, each of a second, of tensors in shared memory."""
    data = write_json(folder / "data.json", {"data": [{"DELAY": [0.02]}]})
    return subprocess.Popen(
        [
            TUNER, "measure", server.http_url, "-m", "slow", "--input-data", data,
            "--concurrency", "1:3", "--duration", "60s", "--request-count", str(REQUESTS),
            "--warm-up", "0.1s", "--shared-memory", "system", "--json", "-f", "perf.csv",
            "--export", "all.json", "--plot", "plot.html",
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
def test_the_points_so_far_are_kept(
    triton_server: TritonServer, tmp_path: Path, number: signal.Signals
) -> None:
    """In the middle of the second point, the first is printed and written; nothing else stays."""
    before = inferences(triton_server)
    process = begin(triton_server, tmp_path)
    warm_up = 12  # at most, 0.1 s
    wait_until(
        lambda: inferences(triton_server) > before + warm_up + REQUESTS, "the second load point"
    )
    started = descendants(process)
    assert shared_memory(triton_server) != []

    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    [point] = json.loads(out)
    assert (point["concurrency"], point["requests"]) == (1, REQUESTS)
    assert [line for line in err.splitlines() if line] == [
        "JSON: all.json",
        "CSV: perf.csv",
        "plot: plot.html",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all.json",
        "data.json",
        "perf.csv",
        "plot.html",
    ]
    assert len(json.loads((tmp_path / "all.json").read_text())["points"]) == 1
    wait_until(lambda: not any(map(is_alive, started)), "the end of the engine")
    assert shared_memory(triton_server) == []
    assert in_memory_of(process) == []


def test_before_the_first_point(triton_server: TritonServer, tmp_path: Path) -> None:
    """Where nothing was measured, nothing is printed, and no file is made."""
    before = inferences(triton_server)
    process = begin(triton_server, tmp_path)
    wait_until(lambda: inferences(triton_server) > before, "the warm-up")

    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out, "Traceback" in err) == (130, "", False)
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]
    assert shared_memory(triton_server) == []


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
