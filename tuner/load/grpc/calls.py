"""gRPC on HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): request headers, the meaning of a response's.

A message goes after a prefix of five bytes: a flag of compression, and its length.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final, NamedTuple

from tuner.errors import InputError
from tuner.load.grpc.frames import DEFAULT_FRAME_SIZE, literal_field, read_header_block
from tuner.load.requests import GrpcCall

# Bytes before a message: a flag of compression, and its length.
PREFIX_SIZE: Final = 5
_PREFIX = Struct(">BI")
_unpack_prefix = _PREFIX.unpack_from

# grpc/doc/statuscodes.md, in the order of the numbers.
_STATUS_NAMES = (
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
)

_KEY = re.compile(r"[0-9a-z_.-]+")
# The protocol's own, and those that HTTP/2 forbids (RFC 9113 section 8.2.2).
_RESERVED_KEYS = frozenset(
    {
        "connection",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
# Response header blocks that are remembered at most: 256 KiB in all.
_REMEMBERED_BLOCKS = 256
# Bytes of the largest header block that is remembered.
_REMEMBERED_SIZE = 1024


class MessageError(Exception):
    """What came is no message that was asked for."""


def prefix(size: int) -> bytes:
    """What goes before a message of `size` bytes that is not compressed."""
    return _PREFIX.pack(0, size)


def request_block(call: GrpcCall, authority: str, scheme: str) -> bytes:
    """The header block of a call, the same for each request.

    Raises:
        InputError: The metadata cannot be sent.
    """
    fields = [
        (b":method", b"POST"),
        (b":scheme", scheme.encode()),
        (b":path", call.path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"serving-tuner"),
        (b"grpc-accept-encoding", b"identity"),
        *_metadata_fields(call.metadata),
    ]
    block = b"".join(literal_field(name, value) for name, value in fields)
    if len(block) > DEFAULT_FRAME_SIZE:
        raise InputError(
            f"the headers of a gRPC request may take {DEFAULT_FRAME_SIZE} bytes,"
            f" but these take {len(block)}",
            hint="send less metadata: most servers take 8192 bytes at most",
        )
    return block


def _metadata_fields(metadata: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    fields = []
    for key, value in metadata.items():
        if not _KEY.fullmatch(key) or key in _RESERVED_KEYS or key.startswith("grpc-"):
            raise InputError(
                f"`{key}` cannot be a key of gRPC metadata",
                hint="keys have lower case letters, digits, `_`, `-` and `.`, do not begin with"
                " `grpc-`, and are none of " + ", ".join(sorted(_RESERVED_KEYS)),
            )
        if key.endswith("-bin"):
            encoded = b64encode(value.encode()).rstrip(b"=")
        elif value.isascii() and value.isprintable():
            encoded = value.encode()
        else:
            raise InputError(
                f"the gRPC metadata `{key}` must be printable ASCII, but it is {value!r}",
                hint="any other text can be sent under a key that ends in `-bin`",
            )
        fields.append((key.encode(), encoded))
    return fields


class HeaderMeaning(NamedTuple):
    """What a header block says of a call, by its place: `""` is well, else a kind of failure.

    `head` is for the first block of a response (None: it is informational, another one follows),
    `trailers` for the last, and `only` for one that is first and last; it is never well, since
    there was no message.
    """

    head: str | None
    trailers: str
    only: str


class HeaderMeanings(dict[bytes, HeaderMeaning]):
    """What each header block says: remembered, as nearly all responses have the same two."""

    def __missing__(self, block: bytes) -> HeaderMeaning:
        meaning = _meaning(read_header_block(block))
        if len(self) >= _REMEMBERED_BLOCKS:
            self.clear()
        if len(block) <= _REMEMBERED_SIZE:
            self[block] = meaning
        return meaning


def _meaning(fields: Mapping[bytes, bytes]) -> HeaderMeaning:
    status = fields.get(b":status", b"")
    outcome = _grpc_fault(fields.get(b"grpc-status", b""))
    if not status:
        return HeaderMeaning("bad_response", outcome, "bad_response")
    if not re.fullmatch(rb"[1-5]\d\d", status):
        return HeaderMeaning("bad_response", "bad_response", "bad_response")
    if status.startswith(b"1"):
        return HeaderMeaning(None, "bad_response", "bad_response")
    if status != b"200":
        fault = f"http_{status.decode()}"
        return HeaderMeaning(fault, "bad_response", fault)
    media_type = re.fullmatch(rb"application/grpc([+;].*)?", fields.get(b"content-type", b""))
    return HeaderMeaning(
        "" if media_type else "bad_response", "bad_response", outcome or "bad_response"
    )


def _grpc_fault(status: bytes) -> str:
    if not re.fullmatch(rb"\d{1,9}", status):
        return "bad_response"
    number = int(status)
    if number == 0:
        return ""
    # A number that is not in the list is to be taken for UNKNOWN.
    return f"grpc_{_STATUS_NAMES[number] if number < len(_STATUS_NAMES) else 'unknown'}"


class MessageReader:
    """Cuts the DATA of one stream into messages; with `keep` off they are counted only."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self.clear()

    def clear(self) -> None:
        """Begin with a new stream."""
        self.between = True  # no message has begun that has not ended
        self._prefix = b""
        self._left = 0
        self._message = bytearray()

    def feed(self, data: bytes, begin: int, end: int) -> Sequence[bytes]:
        """The messages that `data[begin:end]` ends; `b""` for each that is not kept.

        Raises:
            MessageError: A message is compressed, which nothing allowed.
        """
        if self.between and end - begin >= PREFIX_SIZE:
            compressed, size = _unpack_prefix(data, begin)
            begin_of_message = begin + PREFIX_SIZE
            if begin_of_message + size == end and not compressed:
                return (data[begin_of_message:end] if self._keep else b"",)
        return self._feed_pieces(memoryview(data)[begin:end])

    def _feed_pieces(self, data: memoryview) -> list[bytes]:
        ended: list[bytes] = []
        while True:
            data = self._take_prefix(data)
            if len(self._prefix) < PREFIX_SIZE:
                self.between = not self._prefix
                return ended
            count = min(self._left, len(data))
            if self._keep:
                self._message += data[:count]
            data = data[count:]
            self._left -= count
            if self._left:
                self.between = False
                return ended
            ended.append(bytes(self._message))
            self._message.clear()
            self._prefix = b""

    def _take_prefix(self, data: memoryview) -> memoryview:
        missing = PREFIX_SIZE - len(self._prefix)
        if missing:
            self._prefix += data[:missing]
            if len(self._prefix) == PREFIX_SIZE:
                compressed, self._left = _PREFIX.unpack(self._prefix)
                if compressed:
                    raise MessageError("a compressed message")
        return data[missing:]
