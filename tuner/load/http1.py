"""HTTP/1.1 on prepared bytes: request framing, and a response parser that keeps nothing.

Framing follows RFC 9112: section 6 (message body length) and section 7.1 (chunked coding).
"""

import re
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache

# Bytes of a response head at most; nginx, as a proxy, takes 8 KiB (`proxy_buffer_size`).
MAX_HEAD_BYTES = 65_536
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
# More digits than the length of any body has; int() itself refuses 4300.
_LENGTH_DIGITS = 18
# Hexadecimal digits of 64 bits.
_CHUNK_SIZE_DIGITS = 16
# Bytes of a size line without any extension, of chunks as small as an event.
_SHORT_LINE = 8


class ResponseError(Exception):
    """The server sent something that is not an HTTP/1.1 response; the connection is unusable."""


def request_bytes(
    path: str, *, host: str, headers: Mapping[str, str], body: bytes, method: str = "POST"
) -> bytes:
    """A complete request, ready to be written to a socket."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


class _Awaits(IntEnum):
    """What the next bytes of a connection belong to; the head is zero, to be tested quickly."""

    HEAD = 0
    BODY = 1
    CHUNKS = 2
    END_OF_CONNECTION = 3


class ResponseParser:
    """Finds where the one response in flight on a connection ends.

    After `feed` has returned True, `status` and `keep_alive` describe the response, and the
    parser is ready for the next. Bodies are counted; only with `keep` are `head` and `body` (the
    chunks put together) those of the response, else they stay empty.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._kept: list[bytes] = []
        self.head = b""
        self.status = 0
        self.keep_alive = True
        self._awaits = _Awaits.HEAD
        self._buffer = b""  # the part of a head, or of a chunk's size line, that came so far
        self._left = 0  # bytes still to come, of the body or of the chunk
        self._known_head = b""
        self._known_total = -1

    def feed(self, data: bytes) -> bool:
        """Take bytes from the connection; True when they end the response.

        Raises:
            ResponseError: The bytes are no response, or go on after its end.
        """
        # Nearly every response of a load test has the very head of the one before it, and comes
        # in one piece: comparing is several times cheaper than parsing.
        if (
            len(data) == self._known_total
            and not self._awaits
            and not self._buffer
            and data.startswith(self._known_head)
        ):
            self.status, self.keep_alive = 200, True
            if self._keep:
                self.head, self._kept = self._known_head, [data[len(self._known_head) :]]
            return True
        if self._awaits is _Awaits.BODY:
            return self._take_body(data)
        if self._awaits is _Awaits.END_OF_CONNECTION:
            self._keep_part(data)
            return False
        if chunk := self.whole_chunk(data):
            self._keep_part(chunk)
            return False
        self._buffer += data
        return self._take_chunks() if self._awaits is _Awaits.CHUNKS else self._take_head()

    def end_of_connection(self) -> bool:
        """The server closed; True if that is what ends the response in flight."""
        return self._awaits is _Awaits.END_OF_CONNECTION

    def whole_chunk(self, data: bytes) -> bytes:
        """What `data` carries, if it is one whole chunk, as most pieces of a stream are.

        Else nothing. It is not taken: nobody has to `feed` it.
        """
        if self._left or self._buffer or self._awaits is not _Awaits.CHUNKS:
            return b""
        line_end = data.find(b"\r\n", 0, _SHORT_LINE + 2)
        if line_end < 1 or _short_size(data[:line_end]) != len(data) - line_end - 4:
            return b""
        return data[line_end + 2 : -2]

    @property
    def body(self) -> bytes:
        """The body of the response, if it is kept."""
        return b"".join(self._kept)

    def take(self) -> bytes:
        """What came of the body since the last `take`; it is not kept any longer."""
        taken = self.body
        self._kept = []
        return taken

    def _keep_part(self, data: bytes) -> None:
        if self._keep:
            self._kept.append(data)

    def _take_head(self) -> bool:
        while self._buffer:
            if not self._buffer.startswith(b"HTTP/1."[: len(self._buffer)]):
                raise ResponseError(f"no HTTP/1.1 response: {self._buffer[:40]!r}")
            end = self._buffer.find(b"\r\n\r\n")
            if (end if end >= 0 else len(self._buffer)) > MAX_HEAD_BYTES:
                raise ResponseError(f"a response head of over {MAX_HEAD_BYTES} bytes")
            if end < 0:
                return False
            head, rest = self._buffer[: end + 4], self._buffer[end + 4 :]
            line = _STATUS_LINE.match(head)
            if line is None:
                raise ResponseError(f"no HTTP/1.1 status line: {head[:40]!r}")
            self.status = int(line[1])
            if self.status >= 200:
                return self._begin_body(head, rest)
            self._buffer = rest  # "100 Continue" and its like announce the response itself
        return False

    def _begin_body(self, head: bytes, rest: bytes) -> bool:
        fields = head.lower()
        connection = _field(fields, b"connection")
        self.keep_alive = (
            connection == b"keep-alive"
            if fields.startswith(b"http/1.0")
            else connection != b"close"
        )
        self._buffer = b""
        if self._keep:
            self.head, self._kept = head, []
        if self.status in (204, 304):
            return self._take_length(head, rest, 0)
        if b"chunked" in _field(fields, b"transfer-encoding"):
            self._awaits, self._buffer, self._left = _Awaits.CHUNKS, rest, 0
            return self._take_chunks()
        if length := _field(fields, b"content-length"):
            return self._take_length(head, rest, _content_length(length))
        self._awaits, self.keep_alive = _Awaits.END_OF_CONNECTION, False
        self._keep_part(rest)
        return False

    def _take_length(self, head: bytes, rest: bytes, length: int) -> bool:
        if len(rest) == length and self.keep_alive and self.status == 200:
            self._known_head, self._known_total = head, len(head) + length
        self._awaits, self._left = _Awaits.BODY, length
        return self._take_body(rest)

    def _take_body(self, data: bytes) -> bool:
        self._keep_part(data)
        self._left -= len(data)
        if self._left < 0:
            raise ResponseError("bytes after the end of the response")
        if self._left:
            return False
        self._awaits = _Awaits.HEAD
        return True

    def _take_chunks(self) -> bool:
        """Drop what came of the chunks; True at the last one (RFC 9112 section 7.1)."""
        data = self._buffer
        at = min(self._left, len(data))
        self._keep_part(data[: min(at, max(0, self._left - 2))])  # 2: a chunk ends with CR LF
        self._left -= at
        while not self._left and (line_end := data.find(b"\r\n", at)) >= 0:
            size = _chunk_size(data[at:line_end])
            if size == 0:
                if self._take_trailers(data, line_end):
                    return True
                break
            self._keep_part(data[line_end + 2 : line_end + 2 + size])
            end = line_end + 2 + size + 2
            at, self._left = min(end, len(data)), max(0, end - len(data))
        self._buffer = data[at:]
        if len(self._buffer) > MAX_HEAD_BYTES:
            raise ResponseError(f"a chunk head of over {MAX_HEAD_BYTES} bytes")
        return False

    def _take_trailers(self, data: bytes, at: int) -> bool:
        end = data.find(b"\r\n\r\n", at)
        if 0 <= end < len(data) - 4:
            raise ResponseError("bytes after the end of the response")
        if end >= 0:
            self._awaits, self._buffer = _Awaits.HEAD, b""
        return end >= 0


def _field(fields: bytes, name: bytes) -> bytes:
    """The value of a header field in a head of lower case; empty if there is none."""
    at = fields.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    begin = at + len(name) + 3
    return fields[begin : fields.index(b"\r\n", begin)].strip()


def _content_length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _LENGTH_DIGITS:
        raise ResponseError(f"a content length of {value[:20]!r}")
    return int(value)


def _chunk_size(line: bytes) -> int:
    return _short_size(line) if len(line) <= _SHORT_LINE else _parsed_size(line)


def _parsed_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits.isalnum() or len(digits) > _CHUNK_SIZE_DIGITS:
        raise ResponseError(f"a chunk size of {digits[:20]!r}")
    try:
        return int(digits, 16)
    except ValueError:
        raise ResponseError(f"a chunk size of {digits[:20]!r}") from None


# Where a chunk is an event, the same few sizes come again and again.
_short_size = lru_cache(maxsize=1024)(_parsed_size)
