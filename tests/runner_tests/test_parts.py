"""The small parts below the runners: interrupts, ports, log tails, exports."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import pytest

from runners.interrupts import interrupts_deferred
from runners.log_ends import complaint, read_log_tail, shorten
from runners.ports import accepts_connections, choose_free_ports, is_held, is_listener_among


@pytest.fixture
def arrivals() -> Iterator[list[int]]:
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGTERM, note)
    yield seen
    signal.signal(signal.SIGTERM, before)


def in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("where", [lambda work: work(), in_a_thread], ids=["main", "thread"])
def test_interrupt_waits_for_the_end(where: Callable[[Callable[[], None]], None]) -> None:
    """Ctrl-C, which the kernel may hand to any thread, is raised when the block is left, once."""
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117 - the order is the test
        with interrupts_deferred():
            for _ in range(2):
                where(partial(signal.raise_signal, signal.SIGINT))
            steps.append("finished")
    assert steps == ["finished"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_reaches_the_former_handler(arrivals: list[int]) -> None:
    """A deferred SIGTERM is given to whoever handled it before, even after an exception."""
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the order is the test
        with interrupts_deferred():
            signal.raise_signal(signal.SIGTERM)
            assert arrivals == []
            raise ZeroDivisionError
    assert arrivals == [signal.SIGTERM]


def test_nothing_to_defer_outside_the_main_thread() -> None:
    """In another thread the block runs unchanged."""
    steps: list[str] = []

    def work() -> None:
        with interrupts_deferred():
            steps.append("worked")

    in_a_thread(work)
    assert steps == ["worked"]


def test_ports_differ() -> None:
    """Ports chosen together are all different and free."""
    ports = choose_free_ports([str(number) for number in range(50)])
    assert len(set(ports.values())) == 50
    assert not any(is_held(port) or accepts_connections(port) for port in ports.values())


def test_listener_is_known() -> None:
    """A port that accepts connections is held, and the process that listens is told apart."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert accepts_connections(port)
        assert is_held(port)
        assert is_listener_among(port, [os.getpid()])
        assert not is_listener_among(port, [])
    assert is_listener_among(port, [])  # nobody listens: nobody can tell


def test_log_tail_of_a_big_file(tmp_path: Path) -> None:
    """Only the asked lines come back, over block borders and without a last line end."""
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%d %s\n" % (number, b"x" * 999) for number in range(100)) + b"end")
    tail = read_log_tail(log, lines=31).splitlines()
    assert [line.split()[0] for line in tail] == [*map(str, range(70, 100)), "end"]


def test_log_tail_of_a_small_file(tmp_path: Path) -> None:
    """A file with fewer lines comes back whole; a missing one is empty."""
    (tmp_path / "log").write_bytes(b"one\n\xfftwo\n")
    assert read_log_tail(tmp_path / "log", lines=40) == "one\n\N{REPLACEMENT CHARACTER}two"
    assert read_log_tail(tmp_path / "missing", lines=40) == ""


def test_log_tail_without_line_ends(tmp_path: Path) -> None:
    """A log that is one endless line is cut."""
    (tmp_path / "log").write_bytes(b"x" * (3 << 20))
    assert len(read_log_tail(tmp_path / "log", lines=1)) == 1 << 20


@pytest.mark.parametrize(
    "line",
    [
        "/opt/tritonserver: unrecognized option '--x=1'",
        "ls: unknown option -- x",
        "server.py: error: unrecognized arguments: --x",
        "tar: invalid option -- 'x'",
    ],
)
def test_complaint(line: str) -> None:
    """The line about an option that a program does not know is found among the others."""
    assert complaint(f"starting\n  {line}\nUsage: server [options]\n") == line
    assert complaint("starting\nno model\n") == ""


def test_a_large_log_is_shortened(tmp_path: Path) -> None:
    """Of a log of more than a mebibyte the last one is kept; others, and none, are left alone."""
    log = tmp_path / "server.log"
    shorten(log)
    assert not log.exists()
    log.write_text("short\n")
    shorten(log)
    assert log.read_text() == "short\n"
    log.write_text("x" * (1 << 20) + "\nlast words\n")
    shorten(log)
    assert log.stat().st_size == 1 << 20
    assert read_log_tail(log, lines=1) == "last words"
