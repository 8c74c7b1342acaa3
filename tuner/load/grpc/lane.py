"""What carries the requests of a gRPC connection: a new stream for each, or one for all."""

from collections.abc import Sequence
from typing import Protocol

from tuner.load.grpc.calls import HeaderMeaning, MessageError, MessageReader
from tuner.load.grpc.frames import LARGEST_WINDOW, window_update
from tuner.load.grpc.sender import GrpcSender
from tuner.load.lane import Lane, LaneOwner
from tuner.load.requests import ResponseCheck, StreamRule


class Carrier(Protocol):
    """A connection, as its lanes know it; `now_s` is when it last received something."""

    owner: LaneOwner
    sender: GrpcSender
    streams: dict[int, "GrpcLane"]
    now_s: float

    def close_if_done(self) -> None: ...

    def let_end(self, stream: int) -> None: ...

    def has_spare_stream(self) -> bool: ...


class GrpcLane(Lane):
    """Opens a stream for each request; `stream` is the id of the one in flight, or 0."""

    def __init__(self, carrier: Carrier, check: ResponseCheck | None) -> None:
        super().__init__()
        self._carrier = carrier
        self._sender = carrier.sender
        self._streams = carrier.streams
        self._check = check
        self._reader = MessageReader(keep=check is not None)
        self.begun = False  # the head of the response came
        self._messages = 0
        self._last_message = b""
        self.stream = 0

    @property
    def in_flight(self) -> bool:
        """Whether the owner waits for an answer."""
        return self.stream != 0

    def send(self, data: bytes) -> None:
        self.stream = stream = self._sender.request(data)
        self._streams[stream] = self

    def cancel(self, kind: str) -> None:
        if self.in_flight:
            self.fail(kind)
            self._carrier.close_if_done()

    def fail(self, kind: str) -> None:
        """Give the stream up, because of what came on it."""
        self._sender.reset(self.stream)
        self.end(kind)

    def end(self, fault: str) -> None:
        """The response is over, well or with a fault."""
        self.leave_stream()
        self._report(fault)

    def end_stream(self) -> None:
        """Send no more: there is no stream between two requests, and one ends with its request."""

    def end_as_usual(self, stream: int) -> None:
        """The whole response to `stream`, which nothing had come of yet, has ended well."""
        self.stream = 0
        del self._streams[stream]
        if stream in self._sender.unfinished:
            self._sender.reset(stream)
        self._carrier.owner.answered(self, "")

    def leave_stream(self) -> None:
        """Forget the stream; what comes of it later is ignored. The owner is not told."""
        stream, self.stream = self.stream, 0
        self._streams.pop(stream, None)
        if stream in self._sender.unfinished:  # the peer did not wait for our part
            self._sender.reset(stream)
        self.begun = False
        self._messages = 0
        if not self._reader.between:
            self._reader.clear()

    def take_head(self, meaning: HeaderMeaning, *, ended: bool) -> None:
        """Take a header block of the response, which may end it."""
        if not self.begun:
            self._begin(meaning, ended=ended)
        elif ended:
            # What the server calls well is so if it is one whole message.
            whole = self._messages == 1 and self._reader.between
            self.end(meaning.trailers or ("" if whole else "bad_response"))
        else:
            self.fail("bad_response")

    def take_data(self, data: bytes, begin: int, end: int) -> None:
        """Take `data[begin:end]`, a part of the response's messages."""
        try:
            messages = self._reader.feed(data, begin, end) if self.begun else None
        except MessageError:
            messages = None
        if messages is None:
            self.fail("bad_response")
        elif messages:
            self._take_messages(messages)

    def _begin(self, meaning: HeaderMeaning, *, ended: bool) -> None:
        if ended:
            self.end(meaning.only)
        elif meaning.head:
            self.fail(meaning.head)
        elif meaning.head is not None:
            self.begun = True
            self.first_bytes_s = self._carrier.now_s

    def _take_messages(self, messages: Sequence[bytes]) -> None:
        self._last_message = messages[-1]
        self._messages += len(messages)
        if self._messages > 1:
            self.fail("bad_response")

    def _report(self, fault: str) -> None:
        if not fault and self._check is not None:
            fault = self._check.fault(self.payload, b"", self._last_message)
        if self.first_bytes_s == self._carrier.now_s:
            self.first_bytes_s = 0.0  # it came in one piece
        self._carrier.owner.answered(self, fault)


class StreamLane(GrpcLane):
    """Sends its requests through one stream, as long as the server keeps it open."""

    def __init__(self, carrier: Carrier, check: ResponseCheck | None, rule: StreamRule) -> None:
        super().__init__(carrier, check)
        self._rule = rule
        self._reader = MessageReader(keep=True)
        self._in_flight = False
        self._received = 0  # since the stream's window was opened last

    @property
    def in_flight(self) -> bool:
        return self._in_flight

    def send(self, data: bytes) -> None:
        self._in_flight = True
        if not self.stream:
            self.stream = self._sender.open_stream()
            self._streams[self.stream] = self
        self._sender.send(self.stream, data)

    def end(self, fault: str) -> None:
        self.leave_stream()
        if self._in_flight:
            self._report(fault)

    def end_stream(self) -> None:
        if self.stream and not self._sender.is_sending(self.stream):
            self._let_end()

    def _let_end(self) -> None:
        """Leave the stream to the server, which has read all of it, to end."""
        self._carrier.let_end(self.stream)
        self.leave_stream()

    def leave_stream(self) -> None:
        super().leave_stream()
        self._received = 0

    def take_data(self, data: bytes, begin: int, end: int) -> None:
        self._received += end - begin
        if self._received > LARGEST_WINDOW // 2:
            self._sender.answer(window_update(self.stream, self._received))
            self._received = 0
        super().take_data(data, begin, end)

    def _take_messages(self, messages: Sequence[bytes]) -> None:
        *earlier, last = messages
        if not self._in_flight or any(self._rule.ends(each) is not None for each in earlier):
            self.fail("bad_response")  # an answer to nothing
            return
        fault = self._rule.ends(last)
        if fault is None:
            self.first_bytes_s = self.first_bytes_s or self._carrier.now_s
            return
        self._last_message = last
        if self._sender.is_sending(self.stream):  # the rest of the request will not be missed
            self.leave_stream()
        elif fault:
            self._leave_failed()
        self._report(fault)

    def _leave_failed(self) -> None:
        """Whatever else the server says of a request must not be taken for the next one's."""
        if self._carrier.has_spare_stream():
            self._let_end()
        else:
            self.leave_stream()

    def _report(self, fault: str) -> None:
        self._in_flight = False
        super()._report(fault)
