"""One gRPC connection of the load engine: HTTP/2 on prepared frames (RFC 9113), without grpcio."""

import asyncio
import math
from dataclasses import dataclass
from time import monotonic
from typing import cast

from tuner.load.grpc import frames as h2
from tuner.load.grpc.calls import HeaderMeanings, request_block
from tuner.load.grpc.frames import (
    END_STREAM,
    FRAME_HEADER_SIZE,
    LARGEST_WINDOW,
    Http2Error,
    frame,
    frame_header,
    read_number,
    read_settings,
    unpack_frame_header,
    window_update,
    without_padding,
)
from tuner.load.grpc.lane import GrpcLane, StreamLane
from tuner.load.grpc.sender import GrpcSender
from tuner.load.grpc.usual_answer import UsualAnswer
from tuner.load.lane import LaneOwner
from tuner.load.requests import GrpcCall, ResponseCheck

# Type and flags, as one number, of the frames that nearly all responses consist of.
_MESSAGE = h2.DATA << 8
_TRAILERS = h2.HEADERS << 8 | h2.END_HEADERS | END_STREAM
# The begin of a frame that widens the connection's window, and the bytes of the frame.
_ROOM = frame_header(4, h2.WINDOW_UPDATE, 0, 0)
_ROOM_SIZE = FRAME_HEADER_SIZE + 4
# The last ids are left alone: streams that are opened between two looks find enough of them.
_RETIRE_AT = h2.LAST_STREAM - (1 << 20)
# Seconds that a server has for the end of its streams, and between two looks.
_STREAMS_END_S = 1.0
_LOOK_EVERY_S = 0.001
# Bytes of a priority, of a ping's payload, and of a GOAWAY's without debug data (RFC 9113
# sections 6.2, 6.7 and 6.8).
_PRIORITY_SIZE = 5
_PING_SIZE = 8
_GOAWAY_SIZE = 8


@dataclass
class _HeaderBlock:
    """A header block that CONTINUATION frames are to complete."""

    stream: int
    fragments: bytearray
    ended: bool


class GrpcConnection(asyncio.Protocol):
    """Offers its lanes when `ready`, and tells the owner how each of their requests ended.

    `ready` fails with a ConnectionError if the peer goes before it has said its settings. There
    are as many `lanes` as `streams`, or as the peer allows at a time.

    Raises:
        InputError: The metadata of `call` cannot be sent.
    """

    def __init__(
        self,
        owner: LaneOwner,
        call: GrpcCall,
        authority: str,
        scheme: str,
        streams: int,
        check: ResponseCheck | None = None,
    ) -> None:
        self.owner = owner
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lanes: tuple[GrpcLane, ...] = ()
        self.streams: dict[int, GrpcLane] = {}
        self._ending: set[int] = set()  # streams that the peer is to end, and nobody listens to
        self._most_streams: float = math.inf  # at a time, as far as the peer has said
        self.now_s = 0.0
        self.bytes_received = 0
        self._call, self._check = call, check
        self._block = request_block(call, authority, scheme)
        self._lane_count = streams
        self._greeted = self._retired = self._over = False
        self._meanings = HeaderMeanings()
        # A message that nobody looks into need not be found in its answer.
        self._learns = call.stream is None and check is None
        self._usual: UsualAnswer | None = None
        self._open_block: _HeaderBlock | None = None
        self._rest = bytearray()  # the begin of a frame
        self._needed = 0  # bytes of it, to go on
        self._consumed = 0  # bytes of DATA since the connection's window was opened last
        self._handlers = {
            h2.DATA: self._take_data,
            h2.HEADERS: self._take_headers,
            h2.RST_STREAM: self._take_reset,
            h2.SETTINGS: self._take_settings,
            h2.PUSH_PROMISE: self._refuse,
            h2.PING: self._take_ping,
            h2.GOAWAY: self._take_goaway,
            h2.WINDOW_UPDATE: self._take_window_update,
            h2.CONTINUATION: self._take_continuation,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio.Transport says without being one.
        self._transport = cast("asyncio.Transport", transport)
        unary = self._call.stream is None
        self.sender = GrpcSender(self._transport, self._block, unary=unary)

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        try:
            taken = self._take(data)
        except Http2Error as error:
            self._fail(error)
            return
        if taken < len(data):
            self._rest += memoryview(data)[taken:]
        if self._consumed > LARGEST_WINDOW // 2:
            self.sender.answer(window_update(0, self._consumed))
            self._consumed = 0
        if self.sender.last_stream > _RETIRE_AT:
            self._retire("connection_lost")
        if self._retired:
            self.close_if_done()

    def pause_writing(self) -> None:
        self.sender.pause()

    def resume_writing(self) -> None:
        self.sender.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection_lost", "the server closed before it sent its settings")

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """Close at once, and tell the owner nothing."""
        if not self._over:
            self.sender.leave(h2.NO_ERROR)
            self._finish("the connection was closed before the server sent its settings")

    async def finish(self) -> None:
        """Close when the server has ended the streams that carry several requests."""
        for lane in self.lanes:
            lane.end_stream()
        deadline_s = monotonic() + _STREAMS_END_S
        while self._ending and monotonic() < deadline_s:
            await asyncio.sleep(_LOOK_EVERY_S)
        self.close()

    def let_end(self, stream: int) -> None:
        """Half-close a stream (RFC 9113 section 5.1); its lane leaves it.

        Triton can crash (signal 11 in its gRPC threads, 2.51) when a stream is cut instead.
        """
        self.sender.end_stream(stream)
        self._ending.add(stream)

    def has_spare_stream(self) -> bool:
        """Whether the peer allows one more while each lane has its own."""
        return len(self.lanes) + len(self._ending) < self._most_streams

    def close_if_done(self) -> None:
        """Close a connection that the peer has ended, if nothing is in flight any more."""
        if self._retired and not any(lane.in_flight for lane in self.lanes):
            self.close()

    def _take(self, data: bytes) -> int:
        """Take what `data` has of whole frames, and write what follows from it; where they end."""
        self.sender.hold()
        try:
            taken = self._take_usual(data)
            if taken < len(data):
                self.now_s = monotonic()
                taken = self._take_frames(data, taken)
            return taken
        finally:
            self.sender.release()

    def _take_usual(self, data: bytes) -> int:
        """Take answers like the one before them, and what room the peer gives; where they end."""
        usual = self._usual
        if usual is None or self._open_block is not None:
            return 0
        streams, at, end = self.streams, 0, len(data)
        while at < end:
            if data.startswith(_ROOM, at) and end - at >= _ROOM_SIZE:
                self.sender.widen(
                    int.from_bytes(data[at + FRAME_HEADER_SIZE : at + _ROOM_SIZE], "big")
                )
                at += _ROOM_SIZE
                continue
            stream = usual.stream_at(data, at)
            lane = streams.get(stream)
            if lane is None or lane.begun:
                break
            at += usual.size
            self._consumed += usual.data_size
            lane.end_as_usual(stream)
        return at

    def _take_frames(self, data: bytes, at: int) -> int:
        """Take the complete frames of `data` from `at` on; where they end."""
        streams, meanings = self.streams, self._meanings
        end = len(data)
        while end - at >= FRAME_HEADER_SIZE:
            length_high, length, kind, stream = unpack_frame_header(data, at)
            if length_high:
                length = _large(length_high << 16 | length)
            begin = at + FRAME_HEADER_SIZE
            stop = begin + length
            if stop > end:
                self._needed = stop - at
                return at
            lane = streams.get(stream)
            if lane is None or self._open_block is not None:
                self._take_frame(kind, stream, data[begin:stop])
            elif kind == _MESSAGE:
                self._consumed += stop - begin
                lane.take_data(data, begin, stop)
            elif kind | END_STREAM == _TRAILERS:
                if self._learns and kind != _TRAILERS:
                    self._usual = UsualAnswer.read(data, at, meanings) or self._usual
                lane.take_head(meanings[data[begin:stop]], ended=kind == _TRAILERS)
            else:
                self._take_frame(kind, stream, data[begin:stop])
            at = stop
        self._needed = FRAME_HEADER_SIZE
        return at

    def _take_frame(self, kind_and_flags: int, stream: int, payload: bytes) -> None:
        """Take any frame: those that the loop knows nothing about, and odd ones."""
        kind, flags = divmod(kind_and_flags, 256)
        stream &= h2.WITHOUT_RESERVED_BIT
        block = self._open_block
        if not self._greeted and (kind != h2.SETTINGS or flags & h2.ACK):
            raise Http2Error(h2.PROTOCOL_ERROR, "something else came before the settings")
        if block is not None and (kind != h2.CONTINUATION or stream != block.stream):
            raise Http2Error(h2.PROTOCOL_ERROR, "a frame within a header block")
        handler = self._handlers.get(kind)
        if handler is not None and not self._over:
            handler(flags, stream, payload)

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._consumed += len(payload)
        content = without_padding(flags, payload)
        lane = self._lane_of(stream)
        if lane is None:
            return
        lane.take_data(content, 0, len(content))
        if flags & END_STREAM and self.streams.get(stream) is lane:
            lane.end("bad_response")  # no trailers, no status

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        fragment = without_padding(flags, payload)
        if flags & h2.PRIORITY:
            if len(fragment) < _PRIORITY_SIZE:
                raise Http2Error(h2.FRAME_SIZE_ERROR, "a priority that is cut short")
            fragment = fragment[_PRIORITY_SIZE:]
        self._lane_of(stream)
        self._open_block = _HeaderBlock(stream, bytearray(fragment), bool(flags & END_STREAM))
        self._end_block(flags)

    def _take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._open_block is None:
            raise Http2Error(h2.PROTOCOL_ERROR, "a continuation of nothing")
        self._open_block.fragments += payload
        if len(self._open_block.fragments) > h2.MAX_HEADER_BLOCK:
            raise Http2Error(h2.ENHANCE_YOUR_CALM, "a header block without end")
        self._end_block(flags)

    def _end_block(self, flags: int) -> None:
        block = self._open_block
        if block is None or not flags & h2.END_HEADERS:
            return
        self._open_block = None
        if block.ended:
            self._ending.discard(block.stream)
        lane = self.streams.get(block.stream)
        if lane is not None:
            lane.take_head(self._meanings[bytes(block.fragments)], ended=block.ended)

    def _take_reset(self, flags: int, stream: int, payload: bytes) -> None:
        read_number(payload)
        self._ending.discard(stream)
        lane = self._lane_of(stream)
        if lane is not None:
            lane.end("stream_reset")

    def _take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or (flags & h2.ACK and payload):
            raise Http2Error(h2.PROTOCOL_ERROR, "settings of a stream, or in an acknowledgement")
        if flags & h2.ACK:
            return
        self._greeted = True
        limit = self._lane_count
        for name, value in read_settings(payload):
            self.sender.apply(name, value)
            if name == h2.MAX_CONCURRENT_STREAMS:
                limit = min(self._lane_count, value)
                self._most_streams = value
        self.sender.answer(h2.SETTINGS_ACK)
        if not self.lanes and limit:
            self.lanes = tuple(self._new_lane() for _ in range(limit))
            if not self.ready.done():
                self.ready.set_result(None)

    def _take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) != _PING_SIZE:
            raise Http2Error(h2.FRAME_SIZE_ERROR, f"a ping of {len(payload)} bytes")
        if not flags & h2.ACK:
            self.sender.answer(frame(h2.PING, h2.ACK, 0, payload))

    def _take_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) < _GOAWAY_SIZE:
            raise Http2Error(h2.FRAME_SIZE_ERROR, f"a GOAWAY of {len(payload)} bytes")
        self._retire("goaway", read_number(payload))

    def _take_window_update(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            self._lane_of(stream)
        self.sender.widen_window(stream, read_number(payload))

    def _refuse(self, flags: int, stream: int, payload: bytes) -> None:
        raise Http2Error(h2.PROTOCOL_ERROR, "a push that was not allowed")

    def _lane_of(self, stream: int) -> GrpcLane | None:
        """The lane of a stream; None if the stream is over."""
        if not stream & 1 or stream > self.sender.last_stream:
            raise Http2Error(h2.PROTOCOL_ERROR, f"a frame of stream {stream}, which nobody opened")
        return self.streams.get(stream)

    def _new_lane(self) -> GrpcLane:
        rule = self._call.stream
        if rule is None:
            return GrpcLane(self, self._check)
        return StreamLane(self, self._check, rule)

    def _retire(self, kind: str, last_stream: int = h2.LAST_STREAM) -> None:
        """Open no further streams; what is in flight up to `last_stream` may end."""
        self._retired = True
        refused = [
            lane
            for lane in self.lanes
            if (lane.stream > last_stream if lane.in_flight else lane.usable)
        ]
        for lane in self.lanes:
            lane.usable = False
        for lane in refused:
            lane.leave_stream()
            self.owner.lost(lane, kind)

    def _fail(self, error: Http2Error) -> None:
        if not self._over:
            self.sender.leave(error.code)
            self._end("bad_response", f"the server does not speak HTTP/2: {error}")

    def _end(self, kind: str, reason: str) -> None:
        """The connection has ended: its lanes are lost."""
        if not self._over:
            self._finish(reason)
            for lane in self.lanes:
                self.owner.lost(lane, kind)

    def _finish(self, reason: str) -> None:
        self._over = True
        self._ending.clear()
        self.sender.forget()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(reason))
            self.ready.exception()  # perhaps nobody waits for it any more
        for lane in self.lanes:
            lane.usable = False
            lane.leave_stream()


def _large(length: int) -> int:
    """The length of a frame beyond 64 KiB."""
    if length > h2.ACCEPTED_FRAME_SIZE:
        raise Http2Error(h2.FRAME_SIZE_ERROR, f"a frame of over {h2.ACCEPTED_FRAME_SIZE} bytes")
    return length
