"""HTTP/1.1 on prepared bytes: request framing, and a response parser that keeps nothing.

Framing follows RFC 9112: section 6 (message body length) and section 7.1 (chunked coding).
"""

from collections.abc import Mapping

MAX_HEAD_BYTES = 65_536
# A response whose body is framed by the end of the connection has no length.
_UNTIL_CLOSE = -1


class ResponseError(Exception):
    """The server sent something that is not an HTTP/1.1 response; the connection is unusable."""


def request_bytes(path: str, *, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A complete POST request, ready to be written to a socket."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


class ResponseParser:
    """Finds where the one response in flight on a connection ends.

    After `feed` has returned True, `status` and `keep_alive` describe the response, and the
    parser is ready for the next. Bodies are counted, not kept.
    """

    __slots__ = (
        "_buffer",
        "_chunked",
        "_known_head",
        "_known_total",
        "_left",
        "keep_alive",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0
        self.keep_alive = True
        self._buffer = b""
        self._left = 0  # body bytes still to come; 0 while the head is awaited
        self._chunked = False
        self._known_head = b"\0"
        self._known_total = -1

    def feed(self, data: bytes) -> bool:
        """Take bytes from the connection; True when they end the response.

        Raises:
            ResponseError: The bytes are no response, or go on after its end.
        """
        # Nearly every response of a load test has the very head of the one before it, and comes
        # in one piece: comparing is several times cheaper than parsing.
        if len(data) == self._known_total and not self._busy and data.startswith(self._known_head):
            self.status, self.keep_alive = 200, True
            return True
        if self._left:
            return self._take_body(len(data))
        self._buffer += data
        if self._chunked:
            return self._take_chunks()
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise ResponseError(f"a response head of over {MAX_HEAD_BYTES} bytes")
            return False
        return self._begin_body(end + 4)

    def end_of_connection(self) -> bool:
        """The server closed; True if that is what ends the response in flight."""
        return self._left == _UNTIL_CLOSE

    @property
    def _busy(self) -> bool:
        return bool(self._left or self._buffer or self._chunked)

    def _begin_body(self, body_at: int) -> bool:
        data, self._buffer = self._buffer, b""
        head = data[:body_at]
        self.status = _status(head)
        if self.status == 100:  # "100 Continue" announces the response itself
            return self.feed(data[body_at:]) if len(data) > body_at else False
        fields = head.lower()
        self.keep_alive = _keeps_alive(fields)
        if b"\r\ntransfer-encoding:" in fields and b"chunked" in fields:
            self._chunked, self._buffer = True, data[body_at:]
            return self._take_chunks()
        length = _content_length(fields, self.status)
        if length == _UNTIL_CLOSE:
            self._left, self.keep_alive = _UNTIL_CLOSE, False
            return False
        if len(data) == body_at + length and self.keep_alive and self.status == 200:
            self._known_head, self._known_total = head, len(data)
        self._left = length
        return self._take_body(len(data) - body_at)

    def _take_body(self, count: int) -> bool:
        if self._left == _UNTIL_CLOSE:
            return False
        self._left -= count
        if self._left < 0:
            raise ResponseError("bytes after the end of the response")
        return self._left == 0

    def _take_chunks(self) -> bool:
        """Drop whole chunks from the buffer; True at the last one (RFC 9112 section 7.1)."""
        while (line_end := self._buffer.find(b"\r\n")) >= 0:
            size = _chunk_size(self._buffer[:line_end])
            if size == 0:
                return self._take_trailers(line_end)
            chunk_end = line_end + 2 + size + 2
            if len(self._buffer) < chunk_end:
                return False
            self._buffer = self._buffer[chunk_end:]
        if len(self._buffer) > MAX_HEAD_BYTES:
            raise ResponseError("a chunk size line without an end")
        return False

    def _take_trailers(self, line_end: int) -> bool:
        end = self._buffer.find(b"\r\n\r\n", line_end)
        if end < 0:
            return False
        if end + 4 < len(self._buffer):
            raise ResponseError("bytes after the end of the response")
        self._buffer, self._chunked = b"", False
        return True


def _status(head: bytes) -> int:
    version, _, rest = head.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit():
        raise ResponseError(f"no HTTP/1.1 status line: {head[:40]!r}")
    return int(rest[:3])


def _keeps_alive(fields: bytes) -> bool:
    if fields.startswith(b"http/1.0"):
        return b"\r\nconnection: keep-alive" in fields
    return b"\r\nconnection: close" not in fields


def _content_length(fields: bytes, status: int) -> int:
    at = fields.find(b"\r\ncontent-length:")
    if at < 0:
        return 0 if status in (204, 304) else _UNTIL_CLOSE
    value = fields[at + 17 : fields.index(b"\r\n", at + 17)].strip()
    if not value.isdigit():
        raise ResponseError(f"a content length of {value[:20]!r}")
    return int(value)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16)
    except ValueError:
        raise ResponseError(f"a chunk size of {digits[:20]!r}") from None
    if size < 0 or digits[:1] in (b"+", b"-"):
        raise ResponseError(f"a chunk size of {digits[:20]!r}")
    return size
