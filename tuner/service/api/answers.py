"""Answers that are asked for again and again: made once a second, however many ask.

The service shares its machine with a measurement. So an answer is found by what a request says,
before anything else looks at it: it is kept for requests with the same address and the very same
credentials as one that was let in, and for no longer than until a request changes something.
Who is let in no more may be told for that second what was told before.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT_S = 1.0
# So many answers are kept, of at most so many bytes each.
_MOST_KEPT = 64
_LARGEST_BYTES = 512_000
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PREFIXES = ("/api/v1/", "/metrics")
_TYPES = (b"application/json", b"text/plain")
# Who asks, and by which name: all that decides whether a request is let in.
_CREDENTIALS = frozenset({b"host", b"authorization", b"cookie"})
# Whoever keeps it has to ask whether it is still so.
_ADDED = ((b"cache-control", b"private, no-cache"), (b"vary", b"Authorization, Cookie"))
_REPLACED = frozenset({b"cache-control", b"vary"})
_OF_BODY = frozenset({b"content-length", b"content-type"})
# Nothing was changed by a request that was answered so: it was not let in.
_REFUSED = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST}
)

# Where a request says what it was sent as, if that was all that was sent.
SENT = "tuner.sent"
_PHRASES = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}

_Headers = tuple[tuple[bytes, bytes], ...]
_Key = tuple[str, bytes, _Headers]


@dataclass(frozen=True)
class _Answer:
    """What is sent: `whole` and `body`, or `same` to who has it already."""

    etag: bytes
    until_s: float
    whole: Message
    body: Message
    same: Message

    @classmethod
    def of(cls, headers: _Headers, body: bytes, until_s: float) -> "_Answer":
        etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        said = [each for each in headers if each[0] not in _REPLACED]
        said += [(b"etag", etag), *_ADDED]
        return cls(
            etag,
            until_s,
            whole=_start(HTTPStatus.OK, said),
            body=_body(body),
            same=_start(HTTPStatus.NOT_MODIFIED, [h for h in said if h[0] not in _OF_BODY]),
        )

    def to(self, scope: Scope) -> tuple[Message, Message]:
        """What is sent to who asks so."""
        return (self.same, _NOTHING) if _knows(scope, self.etag) else (self.whole, self.body)


class Again:
    """Kept answers by the bytes of the requests for them, as the bytes that are sent.

    `counts` are those of `metrics.Requests`, which does not see what is answered so.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._known: dict[bytes, tuple[float, str, bytes]] = {}

    def find(self, sent: bytes) -> bytes | None:
        """The answer to who has sent this, if it is kept."""
        found = self._known.get(sent)
        if found is None or monotonic() >= found[0]:
            return None
        self._counts[found[1]] += 1
        return found[2]

    def keep(self, sent: bytes, until_s: float, start: Message, body: Message) -> None:
        """Keep an answer for so long; of many, the latest."""
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        headers = [(b"date", formatdate(usegmt=True).encode()), *start["headers"]]
        lines = b"".join(b"%b: %b\r\n" % each for each in headers)
        whole = b"%b%b\r\n%b" % (_PHRASES[start["status"]], lines, body["body"])
        self._known[sent] = until_s, f"{start['status'] // 100}xx", whole

    def forget(self) -> None:
        """All of them."""
        self._known.clear()


class Answers:
    """Gives an answer again while it is kept; one that has not changed is answered 304."""

    def __init__(self, app: ASGIApp, again: Again, kept_s: float = KEPT_S) -> None:
        self._app, self._again, self._kept_s = app, again, kept_s
        self._kept: dict[_Key, _Answer] = {}
        self._making: dict[_Key, asyncio.Event] = {}
        self._changes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in _SAFE:
            await self._change(scope, receive, send)
        elif scope["method"] == "GET" and scope["path"].startswith(_PREFIXES):
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _change(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever has changed something and asks then is told what is."""

        async def forgetting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] not in _REFUSED:
                self._kept.clear()
                self._again.forget()
                self._changes += 1
            await send(message)

        await self._app(scope, receive, forgetting)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        # One makes it, and those who ask meanwhile wait for that.
        if (making := self._making.get(key)) is not None:
            await making.wait()
        kept = self._kept.get(key)
        if kept is None or monotonic() >= kept.until_s:
            kept = await self._made(key, scope, receive, send)
        if kept is None:
            return
        start, body = kept.to(scope)
        if SENT in scope and self._kept.get(key) is kept:
            self._again.keep(scope[SENT], kept.until_s, start, body)
        await send(start)
        await send(body)

    async def _made(self, key: _Key, scope: Scope, receive: Receive, send: Send) -> _Answer | None:
        """One that was made now; None if it has been sent already."""
        making = self._making[key] = asyncio.Event()

        def made() -> None:
            making.set()
            if self._making.get(key) is making:
                del self._making[key]

        collected = _Collected(send, passed=made)
        changes = self._changes
        try:
            await self._app(scope, receive, collected.send)
            answer = collected.answer(monotonic() + self._kept_s)
            if answer is not None and changes == self._changes:
                self._keep(key, answer)
        finally:
            made()
        return answer

    def _keep(self, key: _Key, answer: _Answer) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = answer


class _Collected:
    """An answer that is held back while it is small, of a kind that is kept, and a success.

    Any other, such as a stream, goes on at once; `passed` is told of it.
    """

    def __init__(self, send: Send, passed: Callable[[], None]) -> None:
        self._send, self._passed = send, passed
        self._headers: _Headers | None = None
        self._body = bytearray()

    def answer(self, until_s: float) -> _Answer | None:
        """That which was held back, if it was."""
        if self._headers is None:
            return None
        return _Answer.of(self._headers, bytes(self._body), until_s)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _is_kept(message):
                self._headers = tuple(message["headers"])
                return
            self._passed()
        elif self._headers is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if len(self._body) <= _LARGEST_BYTES:
                return
            await self._send(_start(HTTPStatus.OK, self._headers))
            message = {**message, "body": bytes(self._body)}
            self._headers = None
            self._passed()
        await self._send(message)


def _is_kept(start: Message) -> bool:
    kind = next((value for name, value in start["headers"] if name == b"content-type"), b"")
    return start["status"] == 200 and kind.startswith(_TYPES)


def _key(scope: Scope) -> _Key:
    credentials = tuple([each for each in scope["headers"] if each[0] in _CREDENTIALS])
    return scope["path"], scope["query_string"], credentials


def _knows(scope: Scope, etag: bytes) -> bool:
    """Whether who asks has it already."""
    said = [value for name, value in scope["headers"] if name == b"if-none-match"]
    known = {each.strip().removeprefix(b"W/") for each in b",".join(said).split(b",")}
    return bool(said) and not known.isdisjoint((etag, b"*"))


def _start(status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status.value, "headers": list(headers)}


def _body(content: bytes) -> Message:
    return {"type": "http.response.body", "body": content}


_NOTHING = _body(b"")
