"""The keeper: does what is left to do once its process ended, however that happened."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.runner_tests.waiting import dead_process, wait_until
from tuner.clients.keeper import Keeper

PROGRAM = [sys.executable, "-m", "tuner.clients.keeper"]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that the action makes."""
    return tmp_path / "mark"


def test_acts(mark: Path) -> None:
    """At the end of the block the action is called, and done."""
    with Keeper(partial(Path.touch, mark)):
        assert not mark.exists()
    assert mark.exists()


def test_dismissed(mark: Path) -> None:
    """With nothing left to do nothing is done."""
    with Keeper(partial(Path.touch, mark)) as keeper:
        keeper.dismiss()
    assert not mark.exists()


def test_long_order(mark: Path) -> None:
    """An order that no pipe holds at once arrives whole."""
    with Keeper(partial(Path.write_bytes, mark, bytes(1 << 20))):
        pass
    assert mark.stat().st_size == 1 << 20


def test_killed(mark: Path) -> None:
    """A keeper that was killed is no error of the one it stood by."""
    with Keeper(partial(Path.touch, mark)) as keeper:
        keeper._process.kill()
        keeper._process.wait()
        keeper.dismiss()
    assert not mark.exists()


@pytest.mark.parametrize("order", [b"", b"\x80"])
def test_half_an_order(order: bytes) -> None:
    """A process that died while it gave the order had nothing to be done yet."""
    ended = subprocess.run([*PROGRAM, "1", "2"], input=order, capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_dead_already(mark: Path) -> None:
    """A process that died right after the order is noticed."""
    order = Keeper(partial(Path.touch, mark))._order
    numbers = str(dead_process()), str(len(order))
    with subprocess.Popen([*PROGRAM, *numbers], stdin=subprocess.PIPE) as keeper:
        assert keeper.stdin
        keeper.stdin.write(order)
        keeper.stdin.flush()
        wait_until(mark.exists)


FORKING = """
import os
import sys
from functools import partial
from pathlib import Path
from tuner.clients.keeper import Keeper

with Keeper(partial(Path.touch, Path(sys.argv[1]))):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_forked_child(mark: Path) -> None:
    """A child that outlives the process, with its end of the pipe, does not keep it alive."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(mark)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.kill()
        wait_until(mark.exists)
