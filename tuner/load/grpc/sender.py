"""The sending half of a gRPC connection: requests as prepared frames, and flow control."""

import asyncio
from dataclasses import dataclass

from tuner.load.grpc import frames as h2
from tuner.load.grpc.calls import PREFIX_SIZE, prefix
from tuner.load.grpc.frames import Http2Error, frame_header, goaway, rst_stream

# Questions that a peer may ask before it reads the answers.
_MOST_UNREAD_ANSWERS = 1024
# Bytes that are held back for a common write at most.
_MOST_HELD = 65_536


@dataclass
class _Outgoing:
    """A stream that has not been sent to its end."""

    window: int
    opened: bool = False
    unsent: bytes | memoryview = b""


class GrpcSender:
    """Writes the streams of one connection as far as the peer takes them (RFC 9113 section 5.2).

    A request that fits all windows is one write of bytes that were prepared but for the stream's
    id; with `hold`, several requests are. `unary`: each stream has one message, and ends with it.
    """

    def __init__(self, transport: asyncio.Transport, block: bytes, *, unary: bool) -> None:
        self._transport = transport
        self._unary = unary
        self._block = block
        self._head = frame_header(len(block), h2.HEADERS, h2.END_HEADERS, 0)[:5]
        self._size = -1  # of a message with its prefix: what the next three are prepared for
        self._request_size = 0
        self._block_and_data_head = self._prefix = b""
        self.last_stream = -1
        self._frame_limit = h2.DEFAULT_FRAME_SIZE
        self._initial_window = self._window = h2.DEFAULT_WINDOW
        self._room = 0  # for a request in a single write; -1 while others wait
        self._usual_room = 0  # the same, if the connection's window is wide open
        self.unfinished: dict[int, _Outgoing] = {}
        self._waiting: dict[int, _Outgoing] = {}
        self._paused = False
        self._unread_answers = 0
        self._holding = False
        self._held: list[bytes | memoryview] = []
        self._held_size = 0
        self._write(h2.CLIENT_PREFACE)
        self._measure_room()

    def request(self, message: bytes) -> int:
        """Open a stream for `message` and end it; its id."""
        size = len(message) + PREFIX_SIZE
        if size > self._room:
            stream = self.open_stream()
            self.send(stream, message)
            return stream
        if size != self._size:
            self._prepare(size)
        self.last_stream = stream = self.last_stream + 2
        self._window = window = self._window - size
        if window < self._room:
            self._room = window
        name = stream.to_bytes(4, "big")
        self._held += (self._head, name, self._block_and_data_head, name, self._prefix, message)
        self._held_size += self._request_size
        if not self._holding or self._held_size > _MOST_HELD:
            self._write_held()
        return stream

    def open_stream(self) -> int:
        """The id of a new stream, for `send`."""
        self.last_stream += 2
        self.unfinished[self.last_stream] = _Outgoing(self._initial_window)
        return self.last_stream

    def send(self, stream: int, message: bytes) -> None:
        """Send the next message of an open stream, now or when the peer takes it."""
        outgoing = self.unfinished[stream]
        outgoing.unsent = memoryview(prefix(len(message)) + message)
        self._waiting[stream] = outgoing
        self._flush()

    def end_stream(self, stream: int) -> None:
        """Say that nothing more comes on an open stream (half-closed, RFC 9113 section 5.1)."""
        del self.unfinished[stream]
        self._write(frame_header(0, h2.DATA, h2.END_STREAM, stream))

    def is_sending(self, stream: int) -> bool:
        """Whether a part of the stream's last message has not been sent."""
        return stream in self._waiting

    def reset(self, stream: int) -> None:
        """Give a stream up (RFC 9113 section 6.4)."""
        outgoing = self.unfinished.pop(stream, None)
        self._waiting.pop(stream, None)
        if outgoing is None or outgoing.opened:
            self._write(rst_stream(stream, h2.CANCEL))
        self._flush()

    def answer(self, frame: bytes) -> None:
        """Write what the peer asked for.

        Raises:
            Http2Error: It asks, and asks, and reads no answer.
        """
        if self._paused:
            self._unread_answers += 1
            if self._unread_answers > _MOST_UNREAD_ANSWERS:
                raise Http2Error(h2.ENHANCE_YOUR_CALM, "a flood of questions, with no answer read")
        self._write(frame)

    def forget(self) -> None:
        """Every stream is over: the connection is."""
        self.unfinished.clear()
        self._waiting.clear()

    def leave(self, code: int) -> None:
        """Say goodbye and close, without waiting for a peer that reads nothing."""
        if self._paused:
            self._transport.abort()
        else:
            self._held.append(goaway(0, code))
            self._write_held()
            self._transport.close()

    def hold(self) -> None:
        """Hold back what is written until `release`: a system call costs more than a request."""
        self._holding = True

    def release(self) -> None:
        self._holding = False
        if self._held:
            self._write_held()

    def pause(self) -> None:
        self._paused = True
        self._measure_room()

    def resume(self) -> None:
        self._paused = False
        self._unread_answers = 0
        self._flush()

    def apply(self, name: int, value: int) -> None:
        """Take a setting of the peer's.

        Raises:
            Http2Error: It makes the window of a stream too large (RFC 9113 section 6.9.2).
        """
        if name == h2.MAX_FRAME_SIZE:
            self._frame_limit = value
        elif name == h2.INITIAL_WINDOW_SIZE:
            change = value - self._initial_window
            self._initial_window = value
            for outgoing in self.unfinished.values():
                outgoing.window = _widened(outgoing.window, change)
        self._flush()

    def widen_window(self, stream: int, increment: int) -> None:
        """Take a WINDOW_UPDATE.

        Raises:
            Http2Error: The increment is zero, or makes a window too large (RFC 9113 section 6.9).
        """
        if not increment:
            raise Http2Error(h2.PROTOCOL_ERROR, "a window that grows by nothing")
        if not stream:
            self._window = _widened(self._window, increment)
        elif stream in self.unfinished:
            outgoing = self.unfinished[stream]
            outgoing.window = _widened(outgoing.window, increment)
        self._flush()

    def widen(self, increment: int) -> None:
        """As `widen_window` of the connection, in the case that nothing waits for it."""
        window = self._window + increment
        if self._room < self._usual_room or not increment or window > h2.LARGEST_WINDOW:
            self.widen_window(0, increment)
        else:
            self._window = window

    def _prepare(self, size: int) -> None:
        data_head = frame_header(size, h2.DATA, h2.END_STREAM, 0)[:5]
        self._block_and_data_head = self._block + data_head
        self._prefix = prefix(size - PREFIX_SIZE)
        self._request_size = 2 * h2.FRAME_HEADER_SIZE + len(self._block) + size
        self._size = size

    def _measure_room(self) -> None:
        self._usual_room = min(self._initial_window, self._frame_limit)
        self._room = min(self._window, self._usual_room)
        if self._paused or self._waiting:
            self._room = -1

    def _flush(self) -> None:
        if self._waiting:
            for stream, outgoing in list(self._waiting.items()):
                self._advance(stream, outgoing)
        self._measure_room()

    def _advance(self, stream: int, outgoing: _Outgoing) -> None:
        if not outgoing.opened and not self._paused:
            self._write(self._head + stream.to_bytes(4, "big") + self._block)
            outgoing.opened = True
        while not self._paused:
            size = min(len(outgoing.unsent), outgoing.window, self._window, self._frame_limit)
            if size <= 0:
                break
            self._send_part(stream, outgoing, size)
        if not outgoing.unsent:
            del self._waiting[stream]
            if self._unary:
                del self.unfinished[stream]

    def _send_part(self, stream: int, outgoing: _Outgoing, size: int) -> None:
        part, outgoing.unsent = outgoing.unsent[:size], outgoing.unsent[size:]
        outgoing.window -= size
        self._window -= size
        flags = h2.END_STREAM if self._unary and not outgoing.unsent else 0
        self._held += (frame_header(size, h2.DATA, flags, stream), part)
        self._held_size += size
        self._write_held()

    def _write(self, data: bytes) -> None:
        self._held.append(data)
        if not self._holding:
            self._write_held()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        if self._held_size > _MOST_HELD:
            self._transport.writelines(held)
        else:
            self._transport.write(b"".join(held))
        self._held_size = 0


def _widened(window: int, change: int) -> int:
    if window + change > h2.LARGEST_WINDOW:
        raise Http2Error(h2.FLOW_CONTROL_ERROR, f"a window of {window + change} bytes")
    return window + change
