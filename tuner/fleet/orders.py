"""What the driver wants of an agent, heard by one thread while another one measures."""

import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Self, assert_never

from tuner.capacity.probes import RisingBeat
from tuner.errors import TunerError
from tuner.fleet.crew import Attempt
from tuner.fleet.messages import Begin, Chunk, Enrol, GiveUp, Raise, Rest, unpacked
from tuner.fleet.travel import Unpacking

FILES = "files"
"""The folder of the job's files, within that of the agent."""


class AttemptGivenUp(BaseException):
    """The driver wants this attempt to end without a record."""


class Dismissed(BaseException):
    """The driver needs this host no more, or is gone."""


class Orders:
    """Begun with `heard`; iterated over, it gives what is to be done next, until Dismissed."""

    def __init__(self, pipe: Connection, folder: Path) -> None:
        self._pipe = pipe
        self._folder = folder
        self._todo: SimpleQueue[Begin | Rest] = SimpleQueue()
        self._enrolled: SimpleQueue[Enrol] = SimpleQueue()
        self._unpacking: Unpacking | None = None
        self._fault: TunerError | OSError | None = None
        self._have_files = threading.Event()
        self._running = 0
        self._given_up: set[int] = set()
        self._beats: dict[int, RisingBeat] = defaultdict(RisingBeat)
        self._is_over = self._was_told = False

    @classmethod
    @contextmanager
    def heard(
        cls, pipe: Connection, folder: Path, then: Callable[[], None] = lambda: None
    ) -> Iterator[Self]:
        """Those that come by `pipe`; the files of the job go into `folder`.

        `then` is called in a thread of its own once the driver is gone. SIGINT and SIGTERM are
        taken; after the block they do nothing, so that nobody is interrupted who cleans up.
        """
        orders = cls(pipe, folder)
        signal.signal(signal.SIGINT, orders._interrupted)
        signal.signal(signal.SIGTERM, orders._terminated)
        threading.Thread(target=orders._hear, args=(then,), name="orders", daemon=True).start()
        try:
            yield orders
        finally:
            orders._was_told = True

    def __iter__(self) -> Iterator[Begin | Rest]:
        while True:
            yield self._todo.get()

    def enrolled(self) -> Enrol:
        """The first order."""
        return self._enrolled.get()

    def check_files(self) -> None:
        """Wait until all files are there.

        Raises:
            TunerError, OSError: One is not what it should be, or could not be written.
        """
        self._have_files.wait()
        if self._fault:
            raise self._fault

    @contextmanager
    def running(self, attempt: Attempt) -> Iterator[RisingBeat]:
        """Within, the attempt can be given up, and what it has to beat rises as the driver says.

        Raises:
            AttemptGivenUp: It is to be.
        """
        beat = self._beats[attempt.number]
        beat.raise_to(attempt.plan.beat)
        try:
            self._running = attempt.number
            if attempt.number in self._given_up:
                raise AttemptGivenUp
            yield beat
        finally:
            self._running = 0
            del self._beats[attempt.number]

    def _hear(self, then: Callable[[], None]) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._take(unpacked(self._pipe.recv_bytes()))
        self._is_over = True
        self._interrupt()
        then()

    def _take(self, message: Enrol | Chunk | Begin | Raise | GiveUp | Rest) -> None:
        match message:
            case Enrol():
                with self._filing():
                    (self._folder / FILES).mkdir()
                    self._unpacking = Unpacking(message.parcel, self._folder / FILES)
                self._enrolled.put(message)
            case Chunk():
                with self._filing():
                    if self._unpacking and not self._fault:
                        self._unpacking.take(message.content)
            case Raise():
                self._beats[message.attempt].raise_to(message.beat)
            case GiveUp():
                self._given_up.add(message.attempt)
                self._interrupt()
            case Begin() | Rest():
                self._todo.put(message)
            case _:
                assert_never(message)

    @contextmanager
    def _filing(self) -> Iterator[None]:
        try:
            yield
        except (TunerError, OSError) as error:
            self._fault = error
            if self._unpacking:
                with suppress(OSError):
                    self._unpacking.close()
        if self._fault or (self._unpacking and self._unpacking.is_complete):
            self._have_files.set()

    def _interrupt(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        """In the main thread, wherever it is; runners defer it where they must not be torn."""
        if self._is_over and not self._was_told:
            self._was_told = True
            raise Dismissed
        if self._running in self._given_up and not self._is_over:
            self._running = 0
            raise AttemptGivenUp

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        self._is_over = True
        self._interrupted(number, frame)
