"""A connection whose answers are made of output tokens: server-sent events, or one document."""

from math import nan
from time import monotonic

from tuner.load.events import EventParser
from tuner.load.http1 import ResponseError
from tuner.load.http_connection import HttpConnection
from tuner.load.lane import LaneOwner
from tuner.load.requests import EventRule, Heard, RequestSet
from tuner.load.tokens import TokenCounter

_EVENT_STREAM = b"text/event-stream"


class EventConnection(HttpConnection):
    """Reads each answer while it comes; `tokens` is told when its tokens arrive."""

    def __init__(
        self, owner: LaneOwner, requests: RequestSet, rule: EventRule, tokens: TokenCounter
    ) -> None:
        super().__init__(owner, requests, keep=True)
        self._least = rule.least
        self._read = rule.reader().read
        self._tokens = tokens
        self._events = EventParser()
        self._begin()

    @property
    def itl_s(self) -> float:
        # Of an answer whose tokens came all at once, nobody knows it.
        if self._output < 2 or not self._is_stream or self._last_s == self.first_bytes_s:
            return nan
        return (self._last_s - self.first_bytes_s) / (self._output - 1)

    def send(self, data: bytes) -> None:
        self._begin()
        super().send(data)

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if not self.busy:
            self.cancel("bad_response")
            return
        self.heard_s = monotonic()
        try:
            if self._is_stream and (chunk := self._parser.whole_chunk(data)):
                self._hear(self._events.feed(chunk))
                return
            ended = self._parser.feed(data)
            self._take(self._parser.take())
        except ResponseError:
            self.cancel("bad_response")
            return
        if ended:
            self._answered()

    def _begin(self) -> None:
        """Nothing is known of an answer yet."""
        self._events.clear()
        self._body = b""
        self._is_stream: bool | None = None
        self._ended = False
        self._said_fault = ""
        self._arrived = self._told = self._prompt = self._cached = 0
        self._last_s = 0.0

    @property
    def _nothing_came(self) -> bool:
        return self.heard_s <= self.sent_s

    @property
    def _output(self) -> int:
        """Output tokens: as many as the server says, or else pieces."""
        return self._told or self._arrived

    def _take(self, body: bytes) -> None:
        if not body:
            return
        if self._is_stream is None:
            self._is_stream = _EVENT_STREAM in self._parser.head.lower()
        if self._is_stream:
            self._hear(self._events.feed(body))
        else:
            self._body += body

    def _hear(self, events: list[bytes]) -> None:
        """What arrived together."""
        came = 0
        for event in events:
            heard = self._read(event)
            output = heard.output_tokens
            if output and not heard.is_total:
                came += max(0, output - self._arrived - came)
            else:
                came += heard.tokens
            if output > self._told:
                self._told = output
            if heard.prompt_tokens or heard.ends or heard.fault:
                self._note(heard)
        if came:
            self._arrive(came, self.heard_s)

    def _note(self, heard: Heard) -> None:
        """What it says beside its tokens."""
        self._prompt = heard.prompt_tokens or self._prompt
        self._cached = heard.cached_tokens or self._cached
        self._ended = self._ended or heard.ends
        self._said_fault = self._said_fault or heard.fault

    def _arrive(self, tokens: int, now_s: float) -> None:
        if self.first_bytes_s:
            self._tokens.next(tokens, now_s - self._last_s, now_s)
        else:
            self.first_bytes_s = now_s
            self._tokens.first(tokens, now_s)
        self._arrived += tokens
        self._last_s = now_s

    def _fault(self) -> str:
        """Why the answer is none, after all of it came."""
        if fault := super()._fault():
            return fault
        if self._is_stream:
            self._hear(self._events.end())
        else:
            self._hear([self._body])
        if self._said_fault:
            return self._said_fault
        if self._is_stream and not self._ended:
            return "stream_incomplete"
        if self._output < self._least:
            return "no_output"
        self._tokens.answered(
            output=self._output,
            arrived=self._arrived,
            told=self._told > 0,
            prompt=self._prompt,
            cached=self._cached,
        )
        return ""
