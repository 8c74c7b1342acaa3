"""Recognises the answer that nearly every request of a load test gets.

Responses to one method differ from each other in the stream's id and in the message, and, while
the outputs keep their shape, in nothing else. Comparing with an answer that was read before is
several times cheaper than reading.
"""

from collections.abc import Mapping
from typing import Self

from tuner.load.grpc import frames as h2
from tuner.load.grpc.calls import PREFIX_SIZE, HeaderMeaning, prefix
from tuner.load.grpc.frames import FRAME_HEADER_SIZE, unpack_frame_header

_HEAD = h2.HEADERS << 8 | h2.END_HEADERS
_MESSAGE = h2.DATA << 8
_TRAILERS = _HEAD | h2.END_STREAM
# Length, type and flags of a frame: what comes before the stream's id.
_START = 5


class UsualAnswer:
    """An answer in three frames: headers, one message, trailers.

    It has `size` bytes, `data_size` of them in the DATA frame; they are kept in parts, between
    which the stream's id goes.
    """

    def __init__(self, data: bytes, at: int, ends: tuple[int, int, int]) -> None:
        head_end, message_end, end = (each - at for each in ends)
        answer = data[at : at + end]
        name_end = _START + 4
        self._first = answer[:_START]
        self._second = answer[name_end : head_end + _START]
        self._prefix = answer[head_end + name_end : head_end + name_end + PREFIX_SIZE]
        self._last_start = answer[message_end : message_end + _START]
        self._last = answer[message_end + name_end :]
        self._last_at = message_end
        self.data_size = message_end - head_end - FRAME_HEADER_SIZE
        self.size = end

    @classmethod
    def read(cls, data: bytes, at: int, meanings: Mapping[bytes, HeaderMeaning]) -> Self | None:
        """The answer that begins at `at`; None if it is another, or not there as a whole."""
        ends, blocks, streams = [], [], set()
        begin = at
        for expected in (_HEAD, _MESSAGE, _TRAILERS):
            if len(data) - begin < FRAME_HEADER_SIZE:
                return None
            length_high, length, kind, stream = unpack_frame_header(data, begin)
            end = begin + FRAME_HEADER_SIZE + (length_high << 16 | length)
            if kind != expected or end > len(data):
                return None
            ends.append(end)
            blocks.append(data[begin + FRAME_HEADER_SIZE : end])
            streams.add(stream)
            begin = end
        head, message, trailers = blocks
        well = meanings[head].head == "" and meanings[trailers].trailers == ""
        size = len(message) - PREFIX_SIZE
        whole = size >= 0 and message.startswith(prefix(size))
        if not well or not whole or len(streams) > 1:
            return None
        return cls(data, at, (ends[0], ends[1], ends[2]))

    def stream_at(self, data: bytes, at: int) -> int:
        """The stream to which this is the answer that begins at `at`; 0 if it is not there."""
        if not data.startswith(self._first, at):
            return 0
        name = data[at + _START : at + _START + 4]
        second_at = at + _START + 4
        last_at = at + self._last_at
        if (
            data.startswith(self._second, second_at)
            and data.startswith(name + self._prefix, second_at + len(self._second))
            and data.startswith(self._last_start, last_at)
            and data.startswith(name + self._last, last_at + _START)
        ):
            return int.from_bytes(name, "big")
        return 0
