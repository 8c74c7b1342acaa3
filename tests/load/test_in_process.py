"""What Triton calls in the engine's process, and what its requests there are made of."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_int, c_int64, c_void_p, cast, memmove, string_at
from typing import NoReturn

import pytest

from tuner.load.in_process import payloads
from tuner.load.in_process.callbacks import RESPONSE, Callbacks
from tuner.load.in_process.library import AllocateOutput, ReleaseOutput, Responded


@contextmanager
def callbacks(*, native: bool) -> Iterator[tuple[Callbacks, int]]:
    """The functions, and where their responses can be read."""
    came, pipe = os.pipe()
    os.set_blocking(came, False)
    try:
        yield Callbacks(pipe, native=native), came
    finally:
        os.close(came)
        os.close(pipe)


def allocated(functions: Callbacks, byte_size: int) -> tuple[int, tuple[object, ...]]:
    """The address of the memory, and what else was said of it."""
    memory, of_memory, kind, kind_id = c_void_p(7), c_void_p(7), c_int(2), c_int64(7)
    allocate = cast(functions.allocate, AllocateOutput)
    places = byref(memory), byref(of_memory), byref(kind), byref(kind_id)
    assert allocate(None, b"OUTPUT", byte_size, 2, 7, None, *places) is None
    return memory.value or 0, (of_memory.value, kind.value, kind_id.value)


@pytest.mark.parametrize("native", [True, False], ids=["machine code", "Python"])
class TestCallbacks:
    """In both forms they do the same."""

    def test_memory(self, native: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """An output gets memory of the processor for itself, whatever kind was asked for."""
        with callbacks(native=native) as (functions, _):
            first, said = allocated(functions, 5000)
            second, _ = allocated(functions, 5000)
            assert said == (None, 0, 0)
            for place, byte in ((first, b"a"), (second, b"b")):
                memmove(place, byte * 5000, 5000)
            assert (string_at(first, 5000), string_at(second, 5000)) == (b"a" * 5000, b"b" * 5000)
            release = cast(functions.release, ReleaseOutput)
            assert [release(None, each, None, 5000, 0, 0) for each in (first, second)] == [
                None
            ] * 2

    def test_responses(self, native: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """Responses can be read in the order of the calls, the one that is none among them."""
        with callbacks(native=native) as (functions, came):
            respond = cast(functions.respond, Responded)
            responses = [(2**47 - 1, 1, 1), (0, 1, 2**33), (16, 0, 3)]
            for each in responses:
                respond(*each)
            assert list(RESPONSE.iter_unpack(os.read(came, 1000))) == responses


def test_where_no_machine_code_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that forbids it, as SELinux can, gets the functions in Python."""

    def forbidden(*_: object, **__: object) -> NoReturn:
        raise PermissionError

    monkeypatch.setattr(mmap, "mmap", forbidden)
    with callbacks(native=True) as (functions, came):
        cast(functions.respond, Responded)(16, 1, 3)
        assert RESPONSE.unpack(os.read(came, 1000)) == (16, 1, 3)


def test_payloads() -> None:
    """A payload names its step; in a sequence it has flags and a correlation id as well."""
    assert payloads.unpacked(payloads.payload(3)) == (0, 0, 3)
    forms = payloads.sequence_step(4).forms
    flags = {}
    for key, (before, after) in forms.items():
        correlation_id, flags[key], step = payloads.unpacked(
            before + payloads.encode_id(2**64 - 1) + after
        )
        assert (correlation_id, step) == (2**64 - 1, 4)
    assert flags == {
        (False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3,
    }  # fmt: skip
