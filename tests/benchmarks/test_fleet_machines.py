"""Machines in namespaces are separate, can be cut off and switched off, and leave nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.fleet_machines import Machine, machines

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")

# Says whether something listens at an address, within a second.
ASKS = "import socket, sys; socket.create_connection((sys.argv[1], 7), timeout=1)"
LISTENS = (
    "import socket, time; s = socket.create_server(('', 7)); print('ready', flush=True);"
    "time.sleep(600)"
)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[Machine]]:
    with machines(["left", "right"], tmp_path) as made:
        yield made


def reaches(machine: Machine, other: Machine) -> bool:
    """By its name."""
    command = machine.inside([sys.executable, "-c", ASKS, other.name])
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def listen(machine: Machine) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        machine.inside([sys.executable, "-c", LISTENS]), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def test_they_are_separate(two: list[Machine]) -> None:
    """Each has its own name, address, files in /tmp and processes."""
    left, right = two
    (left.tmp / "mark").touch()
    assert [each.run("hostname").strip() for each in two] == ["left", "right"]
    assert left.address != right.address
    assert "mark" in left.run("ls", "/tmp").split()  # noqa: S108
    assert "mark" not in right.run("ls", "/tmp").split()  # noqa: S108
    assert len(left.run("ps", "-e", "--no-headers").splitlines()) == 2  # the first, and `ps`


def test_the_network(two: list[Machine]) -> None:
    """They reach each other, but not while one is cut off, or deaf to the other."""
    left, right = two
    listener = listen(right)
    assert reaches(left, right)
    with right.away():
        assert not reaches(left, right)
    with right.deaf_to(left):
        assert not reaches(left, right)
    assert reaches(left, right)
    right.switch_off()
    listener.wait()


def test_a_machine_that_is_off(two: list[Machine]) -> None:
    """All that ran there is gone; when it is on again, its files are there and its address is."""
    left, right = two
    listener = listen(right)
    [process] = right.processes("sleep")
    (right.tmp / "mark").touch()
    right.switch_off()
    listener.wait()
    assert not psutil.pid_exists(process.pid)
    assert right.processes() == []
    with pytest.raises(RuntimeError, match="right is switched off"):
        right.run("true")
    right.switch_on()
    assert (right.tmp / "mark").exists()
    again = listen(right)
    assert reaches(left, right)
    right.switch_off()
    again.wait()
