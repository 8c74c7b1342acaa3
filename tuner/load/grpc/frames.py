"""HTTP/2 frames, settings and header blocks (RFC 9113, RFC 7541), without any input or output."""

from collections.abc import Iterator
from struct import Struct, error
from typing import Final

import hpack
from hpack.hpack import encode_integer

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

# Flags: ACK shares its bit with END_STREAM.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

# Error codes (RFC 9113 section 7).
NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
FLOW_CONTROL_ERROR: Final = 0x3
FRAME_SIZE_ERROR: Final = 0x6
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB

# Settings (RFC 9113 section 6.5.2) and their defaults.
HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME_SIZE: Final = 16_384

LARGEST_WINDOW: Final = 2**31 - 1
LAST_STREAM: Final = 2**31 - 1
MAX_HEADER_BLOCK: Final = 65_536
# The payload of a frame that we accept.
ACCEPTED_FRAME_SIZE: Final = 1 << 20

FRAME_HEADER_SIZE: Final = 9
# Length (its high byte, its low two), type and flags as one number, stream.
unpack_frame_header = Struct(">BHHI").unpack_from
_pack_frame_header = Struct(">BHBBI").pack
_SETTING = Struct(">HI")
_NUMBER = Struct(">I")
_GOAWAY = Struct(">II")
# The highest bit before a stream's id or a window's increment is reserved (RFC 9113 4.1, 6.9).
WITHOUT_RESERVED_BIT: Final = 0x7FFF_FFFF


class Http2Error(Exception):
    """The peer broke the protocol: the connection is of no use; `code` says why in a GOAWAY."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload of `length` bytes."""
    return _pack_frame_header(length >> 16, length & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return frame_header(len(payload), kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(_SETTING.pack(*each) for each in values.items())
    return frame(SETTINGS, 0, 0, payload)


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))


def rst_stream(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(last_stream: int, code: int) -> bytes:
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last_stream, code))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0, b"")

# What a client says first (RFC 9113 section 3.4). Without a dynamic table every header block means
# the same whenever it comes, so that its meaning can be remembered; with the windows wide open no
# server waits for us.
CLIENT_PREFACE: Final = b"".join(
    (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        settings(
            {
                HEADER_TABLE_SIZE: 0,
                ENABLE_PUSH: 0,
                INITIAL_WINDOW_SIZE: LARGEST_WINDOW,
                MAX_FRAME_SIZE: ACCEPTED_FRAME_SIZE,
                MAX_HEADER_LIST_SIZE: MAX_HEADER_BLOCK,
            }
        ),
        window_update(0, LARGEST_WINDOW - DEFAULT_WINDOW),
    )
)


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Identifiers and values in the order in which they apply.

    Raises:
        Http2Error: The payload is cut short, or a value is not allowed (RFC 9113 section 6.5.2).
    """
    if len(payload) % _SETTING.size:
        raise Http2Error(FRAME_SIZE_ERROR, f"a SETTINGS frame of {len(payload)} bytes")
    for name, value in _SETTING.iter_unpack(payload):
        if name == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise Http2Error(FLOW_CONTROL_ERROR, f"an initial window of {value} bytes")
        if name == MAX_FRAME_SIZE and not DEFAULT_FRAME_SIZE <= value < 1 << 24:
            raise Http2Error(PROTOCOL_ERROR, f"a largest frame of {value} bytes")
        if name == ENABLE_PUSH and value:
            raise Http2Error(PROTOCOL_ERROR, "a server that offers to be pushed to")
        yield name, value


def read_number(payload: bytes) -> int:
    """The payload of RST_STREAM or WINDOW_UPDATE, or the begin of GOAWAY's, without its first bit.

    Raises:
        Http2Error: It is cut short.
    """
    try:
        (number,) = _NUMBER.unpack_from(payload)
    except error:
        raise Http2Error(FRAME_SIZE_ERROR, f"a number of {len(payload)} bytes") from None
    return int(number) & WITHOUT_RESERVED_BIT


def without_padding(flags: int, payload: bytes) -> bytes:
    """The content of a DATA or HEADERS frame (RFC 9113 sections 6.1 and 6.2).

    Raises:
        Http2Error: The padding is longer than the payload.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def literal_field(name: bytes, value: bytes) -> bytes:
    """A header field that leaves the dynamic table alone (RFC 7541 section 6.2.2)."""
    return b"\0" + _string(name) + _string(value)


def _string(value: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 sections 5.1 and 5.2)."""
    return bytes(encode_integer(len(value), 7)) + value


def read_header_block(block: bytes) -> dict[bytes, bytes]:
    """The fields of a header block that uses no dynamic table; the last of a name stands.

    Raises:
        Http2Error: The block is not HPACK, wants a dynamic table, or is over 64 KiB.
    """
    if len(block) > MAX_HEADER_BLOCK:
        raise Http2Error(ENHANCE_YOUR_CALM, f"a header block of over {MAX_HEADER_BLOCK} bytes")
    decoder = hpack.Decoder(MAX_HEADER_BLOCK)
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        return {bytes(name): bytes(value) for name, value in decoder.decode(block, raw=True)}
    except hpack.HPACKError as failure:
        raise Http2Error(COMPRESSION_ERROR, f"no header block: {failure}") from None
