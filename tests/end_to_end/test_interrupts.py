"""Whatever ends the tuner, no server stays behind and the study goes on."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.command import EASY, begin, descendants, tuner, wait_until
from tests.runner_tests.waiting import is_gone

ARGUMENTS = (
    *("optimize", *EASY, "--seed", "3"),
    *("--study", "night", "--trials", "2", "--timeout", "10m"),
)


def _server_runs(process: subprocess.Popen[str]) -> bool:
    """Whether a server of the study does: one with a model repository.

    Triton is asked for its flags before; that process has no arguments any more once it has ended.
    """
    words = (word for child in descendants(process) for word in _arguments(child))
    return any(word.startswith("--model-repository") for word in words)


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() if "tritonserver" in process.name() else []
    except psutil.Error:  # it has just ended
        return []


def _stub_runs(process: subprocess.Popen[str]) -> bool:
    return any("triton_python" in child.name() for child in descendants(process))


def _gone(processes: list[psutil.Process]) -> bool:
    return all(is_gone(process.pid) for process in processes)


def _left_in_shared_memory(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"tuner-tuner-workspace-{pid}-*"))  # noqa: S108


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "terminated", "kill -9"],
)
@pytest.mark.parametrize("moment", ["while the server starts", "under load"])
def test_no_server_stays_and_the_study_continues(
    number: int, status: int, moment: str, tmp_path: Path
) -> None:
    """After an interrupt at any moment the server is gone, and the study can be continued."""
    process = begin(*ARGUMENTS, folder=tmp_path)
    runs = _server_runs if moment == "while the server starts" else _stub_runs
    wait_until(lambda: runs(process), moment)
    started = descendants(process)

    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == status
    wait_until(lambda: _gone(started), "the server's end")
    assert _left_in_shared_memory(process.pid) == []
    if number != signal.SIGKILL:
        assert "interrupted; the server is gone and study night is kept" in err
        assert "go on with it: tuner resume night" in err
    listed = tuner("studies", "list", "--json", folder=tmp_path)
    assert [study["study"] for study in listed.json] == ["night"]


def test_a_study_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """A kill -9 costs the trial in progress and nothing else."""
    process = begin(*ARGUMENTS, folder=tmp_path)
    if process.stderr is None:
        pytest.fail("no stderr to read the progress from")
    next(line for line in process.stderr if line.startswith("trial 0 (baseline)"))
    wait_until(lambda: _stub_runs(process), "the second trial")
    process.kill()
    process.communicate(timeout=60)

    done = tuner(*ARGUMENTS, "--confirmations", "0", "--json", folder=tmp_path)

    assert done.status == 0, done.err
    assert [t["purpose"] for t in done.json["trials"]] == ["baseline", "search"]
    assert "trial 0" not in done.err
