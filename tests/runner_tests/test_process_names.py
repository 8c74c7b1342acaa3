"""Names of processes: each is one process's alone, and says whether that is no more."""

import os
import socket
import subprocess
import sys

import pytest

from runners.process_names import (
    in_words,
    is_gone,
    is_here,
    is_of_another_start,
    machine,
    own_name,
)

NAMES = "from runners.process_names import own_name; print(own_name(), flush=True); input()"


def test_the_own_name() -> None:
    """It has the machine and the number, for people too; the process is here, and not gone."""
    name = own_name()

    assert in_words(name) == f"process {os.getpid()} on {socket.gethostname()}"
    assert is_here(name)
    assert not is_gone(name)
    assert own_name() == name


def test_a_process_that_ends() -> None:
    """It is gone as soon as it has ended, also while its parent has not asked after it."""
    command = [sys.executable, "-c", NAMES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name = process.stdout.readline().decode().strip()
        assert (is_here(name), is_gone(name)) == (True, False)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        assert is_gone(name)
    assert is_gone(name)


@pytest.mark.parametrize("name", ["elsewhere:1/1/1", "elsewhere:1/999999999/1", ""])
def test_a_process_elsewhere(name: str) -> None:
    """Of another machine's, or of no process at all, nobody can tell."""
    assert (is_here(name), is_gone(name)) == (False, False)


def test_a_number_that_was_given_again() -> None:
    """A process with the number of another, that began at another time, is not that one."""
    assert is_gone(f"{own_name()}0")


def test_another_start_of_the_machine() -> None:
    """Of it, or of a container: no process of another start is left in it."""
    place, _, numbers = own_name().partition("/")
    of_before = f"{place}/{numbers.rpartition('/')[0]}/0a1b2c3d"

    assert not is_of_another_start(own_name())
    assert is_of_another_start(of_before)
    assert is_gone(of_before)
    assert is_of_another_start(f"{machine()}:1/{numbers}")
    assert is_of_another_start(f"elsewhere:1/{numbers}")


def test_a_name_that_an_older_version_wrote() -> None:
    """It does not say in which start of the machine, and its process is not gone for that."""
    older = own_name().rpartition("/")[0]

    assert not is_gone(older)
    assert is_gone(older[:-1])
