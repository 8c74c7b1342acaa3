"""An agent hears what its driver wants while it measures."""

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.end_to_end.command import wait_until
from tests.fleet.own_server import prepared_in
from tuner.capacity.probes import Beat
from tuner.fleet.crew import Attempt
from tuner.fleet.messages import Begin, Chunk, Enrol, ExpectedStudy, GiveUp, Raise, Rest, packed
from tuner.fleet.orders import FILES, AttemptGivenUp, Dismissed, Orders
from tuner.fleet.packing import pack
from tuner.fleet.travel import Unpacking
from tuner.records import Purpose
from tuner.space.space import Configuration
from tuner.study.trial import TrialPlan

PLAN = TrialPlan(number=0, purpose=Purpose.SEARCH, configuration=Configuration.of({}))


@dataclass
class Heard:
    """Orders, and the driver's end of their pipe."""

    driver: Connection
    orders: Orders
    folder: Path

    def tell(self, *messages: object) -> None:
        for message in messages:
            self.driver.send_bytes(packed(message))


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    """The thread that hears has ended, with its signals, before others may handle these."""
    own = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    driver, agent = Pipe()
    is_over = threading.Event()
    try:
        with agent, driver:
            with Orders.heard(agent, tmp_path, is_over.set) as orders:
                yield Heard(driver, orders, tmp_path)
            driver.close()
            assert is_over.wait(60)
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)


def test_the_files_of_the_job_are_there_once_all_chunks_came(heard: Heard, tmp_path: Path) -> None:
    """The agent waits for them."""
    prepared = prepared_in(tmp_path / "mine")
    files = pack(prepared)
    enrol = Enrol("a-host", files.parcel, ExpectedStudy("night", "0", "0"))
    heard.tell(enrol, *(Chunk(files.chunk(n)) for n in range(files.parcel.chunks)))

    assert heard.orders.enrolled() == enrol
    heard.orders.check_files()
    assert len(list((heard.folder / FILES).rglob("*.*"))) == 3


def test_a_disk_that_is_full_is_told_of(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after it is not written."""
    files = pack(prepared_in(tmp_path / "mine"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Unpacking, "take", full)
    heard.tell(Enrol("a-host", files.parcel, ExpectedStudy("night", "0", "0")))
    heard.tell(Chunk(b"..."), Chunk(b"..."))

    with pytest.raises(OSError, match="No space left on device"):
        heard.orders.check_files()


def test_what_is_to_be_done_comes_in_its_order(heard: Heard) -> None:
    """Attempts and rests, one after the other."""
    begins = [Begin(Attempt(number, PLAN)) for number in (1, 2)]
    heard.tell(begins[0], Rest(), begins[1])
    orders = iter(heard.orders)

    assert [next(orders) for _ in range(3)] == [begins[0], Rest(), begins[1]]


def test_what_an_attempt_has_to_beat_rises_before_and_while_it_runs(heard: Heard) -> None:
    """It never falls, and is that attempt's alone."""
    heard.tell(Raise(2, Beat(20.0)), Raise(1, Beat(5.0)), Begin(Attempt(1, PLAN)))
    next(iter(heard.orders))
    with heard.orders.running(Attempt(1, replace(PLAN, beat=Beat(7.0)))) as beat:
        assert beat.now == Beat(7.0)
        heard.tell(Raise(1, Beat(9.0)))
        wait_until(lambda: beat.now == Beat(9.0), "the beat")
    with heard.orders.running(Attempt(2, PLAN)) as beat:
        assert beat.now == Beat(20.0)


def test_an_attempt_that_is_given_up_is_left_at_once(heard: Heard) -> None:
    """Wherever it is; another one, or nothing, is left alone."""
    heard.tell(GiveUp(2), Rest())
    next(iter(heard.orders))
    with pytest.raises(AttemptGivenUp), heard.orders.running(Attempt(3, PLAN)):
        _wait_after(heard.tell, GiveUp(3))
    with heard.orders.running(Attempt(4, PLAN)):
        heard.tell(GiveUp(3), Rest())
        assert next(iter(heard.orders)) == Rest()


def test_a_driver_that_hangs_up_dismisses_the_agent_wherever_it_is(heard: Heard) -> None:
    """Even while nothing is to be done."""
    with pytest.raises(Dismissed):
        _hang_up_and_wait(heard)


def _wait_after(tell: Callable[[object], None], message: object) -> None:
    tell(message)
    threading.Event().wait(60)


def _hang_up_and_wait(heard: Heard) -> None:
    heard.driver.close()
    next(iter(heard.orders))
