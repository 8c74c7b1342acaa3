"""The way back from a Triton in this process: its answers, which come on threads of its own."""

import asyncio
import os
from contextlib import suppress
from ctypes import byref, c_void_p
from itertools import count
from select import select
from time import monotonic
from typing import Protocol

from tuner.load.in_process.callbacks import RESPONSE, Callbacks
from tuner.load.in_process.library import TritonLibrary

_LAST = 1  # TRITONSERVER_RESPONSE_COMPLETE_FINAL
# Responses that are read at once.
_MOST_AT_ONCE = 1024


class Receiver(Protocol):
    """Who waits for one answer."""

    def received(self, response: int, at_s: float) -> None:
        """The answer was there at `at_s`; 0 is none. Its response is deleted afterwards."""


class Answers:
    """Receives the answers of one server, in the event loop that `listen` names.

    `allocator` and `respond` are for its requests.
    """

    def __init__(self, library: TritonLibrary) -> None:
        self._call = library.call
        self._receivers: dict[int, Receiver] = {}
        self._numbers = count(1)
        self._came, self._pipe = os.pipe()
        os.set_blocking(self._came, False)
        self._callbacks = Callbacks(self._pipe)
        self.allocator, self.respond = c_void_p(), self._callbacks.respond
        self._call.ResponseAllocatorNew(
            byref(self.allocator), self._callbacks.allocate, self._callbacks.release, None
        )

    def drain(self, within_s: float) -> None:
        """Wait for what is under way: models are not unloaded while an answer is not deleted."""
        until_s = monotonic() + within_s
        while self._receivers and (left_s := until_s - monotonic()) > 0:
            if select([self._came], [], [], left_s)[0]:
                self._deliver()

    def close(self) -> None:
        """After the server has stopped: it calls nobody any more."""
        self._call.ResponseAllocatorDelete(self.allocator)
        os.close(self._came)
        os.close(self._pipe)

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receivers are told within `loop` from now on."""
        loop.add_reader(self._came, self._deliver)

    def expected(self, receiver: Receiver) -> int:
        """The number under which Triton is to answer `receiver`."""
        number = next(self._numbers)
        self._receivers[number] = receiver
        return number

    def forget(self, number: int) -> None:
        """There will be no answer: the request was refused."""
        del self._receivers[number]

    def _deliver(self) -> None:
        with suppress(BlockingIOError):
            came = os.read(self._came, RESPONSE.size * _MOST_AT_ONCE)
            now = monotonic()
            for response, flags, number in RESPONSE.iter_unpack(came):
                if flags & _LAST:
                    self._receivers.pop(number).received(response, now)
                if response:
                    self._call.InferenceResponseDelete(response)
