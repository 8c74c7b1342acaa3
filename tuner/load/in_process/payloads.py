"""Payloads of requests to a Triton in the engine's process: which step of a ModelCall it is.

There is nothing to encode: inputs lie in the memory of the process that the model reads. The form
is the correlation id (0: none), the flags of the C API, and the number of the step.
"""

import struct

from tuner.load.requests import SequenceStep

# TRITONSERVER_REQUEST_FLAG_SEQUENCE_START and _END.
_START, _END = 1, 2
_FORM = struct.Struct("<QII")
_ID = struct.Struct("<Q")
_FLAGS_AND_STEP = struct.Struct("<II")

unpacked = _FORM.unpack


def payload(step: int) -> bytes:
    """A request that belongs to no sequence."""
    return _FORM.pack(0, 0, step)


def encode_id(correlation_id: int) -> bytes:
    """A correlation id as `sequence_step` has room for it."""
    return _ID.pack(correlation_id)


def sequence_step(step: int) -> SequenceStep:
    """A step of a sequence, its correlation id left open for `encode_id`."""

    def halves(first_and_last: tuple[bool, bool]) -> tuple[bytes, bytes]:
        first, last = first_and_last
        return b"", _FLAGS_AND_STEP.pack(_START * first | _END * last, step)

    return SequenceStep.of(halves)
