"""What real processes prove of the settings they were started with."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.runner_tests.waiting import wait_until
from tuner.space.expressions import Value, value_text
from tuner.targets.process_proofs import (
    ACCEPTED,
    CONFIRMED,
    environment_verdict,
    family,
    preload_verdict,
    refuted,
)

# On every machine, and nothing that `cat` and `sh` need.
LIBRARY, MISSING = "libm.so.6", "libno-such.so.9"


@contextmanager
def running(*command: str, **environment: str) -> Iterator[psutil.Process]:
    """A process that ends in a `cat`, once that runs: it has answered."""
    with subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where the linker complains of what it cannot preload
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"\n"
        yield psutil.Process(process.pid)
        process.stdin.close()


def parent(in_child: str = "") -> tuple[str, ...]:
    """A shell with a `cat` for a child, which is started after `in_child`."""
    return ("sh", "-c", f"({in_child} cat); true")


@pytest.fixture
def ended() -> Iterator[int]:
    """A process that ended, and that nobody has asked for its exit status."""
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        yield process.pid


@pytest.fixture
def gone() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (None, "none"), (2, "2"), (0.5, "0.5"), ("Both", "Both")],
)
def test_values(value: Value | None, text: str) -> None:
    """A truth is written small, as servers write it; a text stays as it is."""
    assert value_text(value) == text


class TestFamily:
    def test_all_that_descend(self) -> None:
        """The server's first process, and the workers that it started."""
        with running(*parent()) as process:
            assert [each.name() for each in family(process.pid)] == ["sh", "cat"]

    def test_in_a_container(self, tmp_path: Path) -> None:
        """A container's init process is not the server, but what it started is."""
        init = tmp_path / "docker-init"
        shell = shutil.which("sh")
        assert shell is not None
        shutil.copy(Path(shell).resolve(), init)
        with running(str(init), *parent()[1:]) as process:
            assert [each.name() for each in family(process.pid)] == ["cat"]

    def test_nobody(self, gone: int) -> None:
        """A process that is not there, or cannot be, has no family."""
        assert family(gone) == family(-1) == ()


class TestEnvironment:
    THREADS: Mapping[str, str] = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}

    @pytest.mark.parametrize(
        ("command", "environment", "found"),
        [
            # Variables that are set need not be heeded: that is accepted, no more.
            (parent(), {**THREADS, "OTHER": "1"}, ""),
            (("cat",), {"OMP_NUM_THREADS": "2"}, "process cat has MKL_NUM_THREADS=None"),
            (("cat",), {**THREADS, "MKL_NUM_THREADS": "1"}, "process cat has MKL_NUM_THREADS=1"),
            (("cat",), {}, "process cat has OMP_NUM_THREADS=None"),
            # A server that gives its workers another environment is found out.
            (parent("OMP_NUM_THREADS=1"), THREADS, "process cat has OMP_NUM_THREADS=1"),
        ],
    )
    def test_variables(
        self, command: tuple[str, ...], environment: dict[str, str], found: str
    ) -> None:
        """A variable that a process does not have, or with another value, is refuted."""
        with running(*command, **environment) as process:
            verdict = environment_verdict(process.pid, self.THREADS)
        assert verdict == (refuted(found) if found else ACCEPTED)

    def test_nothing_to_look_at(self, ended: int, gone: int) -> None:
        """What cannot be seen proves nothing, in either direction."""
        for pid in (ended, gone):
            assert environment_verdict(pid, self.THREADS) == ACCEPTED

    @pytest.mark.parametrize(
        ("command", "preload", "absent"),
        [
            (parent(), LIBRARY, ""),
            # The linker goes on without what it does not find; the variable alone is no proof.
            (("cat",), MISSING, MISSING),
            (("cat",), f"{LIBRARY}:{MISSING}", MISSING),
            (("cat",), f"{MISSING}:{LIBRARY}", MISSING),
            # As the launcher does, which takes out of LD_PRELOAD what it does not know.
            (parent("LD_PRELOAD="), LIBRARY, LIBRARY),
        ],
    )
    def test_preloaded(self, command: tuple[str, ...], preload: str, absent: str) -> None:
        """Libraries that all processes have loaded prove more than the variable."""
        with running(*command, LD_PRELOAD=preload) as process:
            verdict = environment_verdict(process.pid, {"LD_PRELOAD": preload})
        loaded = refuted(f"process cat has not loaded {absent}") if absent else CONFIRMED
        assert verdict == loaded

    def test_preloaded_by_path(self) -> None:
        """The same library may be named with its path, or by a link to it."""
        with running("cat", LD_PRELOAD=LIBRARY) as process:
            verdict = environment_verdict(process.pid, {"LD_PRELOAD": f"/some/where/{LIBRARY}"})
        assert verdict == CONFIRMED


class TestPreload:
    def test_nobody(self, ended: int, gone: int) -> None:
        """Without a process that has anything loaded, nothing is proved."""
        with running("cat") as process:
            left = psutil.Process(process.pid)
        for processes in ((), (left,), (psutil.Process(ended),), family(gone)):
            assert preload_verdict(processes, [MISSING]) == ACCEPTED

    def test_those_that_ended_do_not_count(self, ended: int) -> None:
        """A worker that died is not one that did without the library."""
        with running("cat", LD_PRELOAD=LIBRARY) as process:
            assert preload_verdict((psutil.Process(ended), process), [LIBRARY]) == CONFIRMED
