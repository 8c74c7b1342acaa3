"""Frames, header blocks and gRPC messages: what goes over the wire, and what is made of it."""

import base64
from contextlib import suppress

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.grpc.grpc_owner import hand_fed, in_event_loop
from tests.load.grpc.http2_server import OK_HEAD, block, data, head, message, response, trailers
from tests.refusals import refused
from tuner.load.grpc import frames as h2
from tuner.load.grpc.calls import (
    HeaderMeaning,
    HeaderMeanings,
    MessageError,
    MessageReader,
    request_block,
)
from tuner.load.grpc.frames import (
    Http2Error,
    frame,
    goaway,
    literal_field,
    read_header_block,
    rst_stream,
    settings,
    window_update,
)
from tuner.load.requests import GrpcCall

METHOD = GrpcCall("/inference.GRPCInferenceService/ModelInfer")


def fields_of(encoded: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in hpack.Decoder().decode(encoded)]


def test_a_client_opens_its_windows_first() -> None:
    """The preface, SETTINGS without a dynamic table or pushes, and a wide window."""
    assert h2.CLIENT_PREFACE == (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        b"\0\0\x1e\x04\0\0\0\0\0"
        b"\0\1\0\0\0\0" b"\0\2\0\0\0\0" b"\0\4\x7f\xff\xff\xff" b"\0\5\0\x10\0\0" b"\0\6\0\1\0\0"
        b"\0\0\4\x08\0\0\0\0\0\x7f\xff\0\0"
    )  # fmt: skip


def test_the_request_headers_are_those_of_grpc() -> None:
    """PROTOCOL-HTTP2.md, "Requests": pseudo-headers, then `te`, then the others."""
    call = GrpcCall(METHOD.path, {"x-request-id": "a b", "trace-bin": "\xfc"})
    assert fields_of(request_block(call, "host:1", "https")) == [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/inference.GRPCInferenceService/ModelInfer"),
        (":authority", "host:1"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "serving-tuner"),
        ("grpc-accept-encoding", "identity"),
        ("x-request-id", "a b"),
        ("trace-bin", base64.b64encode("\xfc".encode()).decode().rstrip("=")),
    ]


def test_a_header_block_changes_no_table() -> None:
    """It can be sent again and again: a decoder's dynamic table stays empty."""
    decoder = hpack.Decoder()
    encoded = request_block(METHOD, "host:1", "http")
    assert decoder.decode(encoded) == decoder.decode(encoded)
    assert len(decoder.header_table.dynamic_entries) == 0


@given(st.integers(0, 300) | st.integers(16_000, 17_000))
def test_strings_of_any_length_can_be_sent(length: int) -> None:
    """Lengths from 127 on take several bytes (RFC 7541 section 5.1)."""
    encoded = literal_field(b"name", b"x" * length)
    assert fields_of(encoded) == [("name", "x" * length)]
    assert read_header_block(encoded) == {b"name": b"x" * length}


KEYS = ["Upper", "", "white space", "grpc-timeout", "te", "content-type", "host", ":path", "ü"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_grpc_does_not_allow_is_refused(key: str) -> None:
    """Lower case letters, digits, `_`, `-` and `.`, and none of the protocol's own."""
    with refused(
        f"`{key}` cannot be a key of gRPC metadata",
        "keys have lower case letters, digits, `_`, `-` and `.`, do not begin with `grpc-`, and"
        " are none of connection, content-type, host, keep-alive, proxy-connection, te,"
        " transfer-encoding, upgrade",
    ):
        request_block(GrpcCall("/x", {key: "y"}), "h", "http")


@pytest.mark.parametrize("value", ["ü", "a\nb", "\x7f"])
def test_a_value_that_is_not_ascii_is_refused(value: str) -> None:
    """PROTOCOL-HTTP2.md, "Custom-Metadata": printable ASCII, but under `-bin` keys."""
    with refused(
        f"the gRPC metadata `key` must be printable ASCII, but it is {value!r}",
        "any other text can be sent under a key that ends in `-bin`",
    ):
        request_block(GrpcCall("/x", {"key": value}), "h", "http")


def test_more_metadata_than_a_frame_holds_is_refused() -> None:
    """The header block is one HEADERS frame."""
    with refused(
        "the headers of a gRPC request may take 16384 bytes, but these take 16545",
        "send less metadata: most servers take 8192 bytes at most",
    ):
        request_block(GrpcCall("/x", {"key": "x" * h2.DEFAULT_FRAME_SIZE}), "h", "http")


NAMES = {
    "1": "cancelled",
    "3": "invalid_argument",
    "4": "deadline_exceeded",
    "8": "resource_exhausted",
    "13": "internal",
    "14": "unavailable",
    "16": "unauthenticated",
    "17": "unknown",
    "999999999": "unknown",
}


@pytest.mark.parametrize("number", NAMES)
def test_a_status_is_called_by_its_name(number: str) -> None:
    """grpc/doc/statuscodes.md."""
    kind = f"grpc_{NAMES[number]}"
    trailing = HeaderMeanings()[block({"grpc-status": number})]
    assert trailing == HeaderMeaning("bad_response", kind, "bad_response")
    assert HeaderMeanings()[block({**OK_HEAD, "grpc-status": number})].only == kind


def test_meanings_are_remembered_but_not_for_ever() -> None:
    """A server with a header that changes each time cannot fill the memory."""
    meanings = HeaderMeanings()
    for number in range(1000):
        assert meanings[block({**OK_HEAD, "date": str(number)})].head == ""
    assert 0 < len(meanings) <= 256
    meanings.clear()
    assert meanings[block({**OK_HEAD, "x": "\0" * 2000})].head == ""
    assert len(meanings) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_block_or_an_error(encoded: bytes) -> None:
    """Whatever a server sends, it is one of the two."""
    with suppress(Http2Error):
        HeaderMeanings()[encoded]


@given(st.lists(st.binary(max_size=40)), st.data())
def test_it_does_not_matter_how_messages_are_cut(
    messages: list[bytes], drawn: st.DataObject
) -> None:
    """DATA frames have no relation to messages: many in one, or one in many."""
    whole = b"".join(message(each) for each in messages)
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(whole)))))
    keeping, counting = MessageReader(keep=True), MessageReader(keep=False)
    kept: list[bytes] = []
    counted = 0
    for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        kept += keeping.feed(whole, begin, end)
        counted += len(counting.feed(whole, begin, end))
    assert kept == messages
    assert counted == len(messages)
    assert keeping.between
    assert counting.between


@pytest.mark.parametrize("size", [1, 6])
def test_a_compressed_message_is_refused(size: int) -> None:
    """The client says that it takes none."""
    reader = MessageReader(keep=True)
    with pytest.raises(MessageError, match="a compressed message"):
        all(reader.feed(b"\1\0\0\0\1x", at, at + size) == [] for at in range(0, 6, size))


SPOKEN = b"".join(
    (
        settings({3: 100}),
        response(1, b"first"),
        frame(h2.PING, 0, 0, bytes(8)),
        head(3) + head(5) + data(5, b"\0\0"),
        frame(h2.HEADERS, 0, 7, block({":status": "503"})) + frame(h2.CONTINUATION, 4, 7, b""),
        data(3, message(b"second")) + trailers(3) + window_update(0, 99),
        data(5, b"\0\0\5third") + trailers(5),
        rst_stream(9, 2),
        goaway(13, 0),
        response(11, b"fourth") + head(13) + trailers(13, "3") + response(13),
    )
)
OUTCOMES = [
    (0, ""),
    (3, "http_503"),
    (1, ""),
    (2, ""),
    (4, "stream_reset"),
    *((idle, "goaway") for idle in range(5)),
    (5, ""),
    (6, "grpc_invalid_argument"),
]


async def listen(pieces: list[bytes]) -> list[tuple[int, str]]:
    owner, connection, _ = hand_fed(streams=7)
    for number, piece in enumerate(pieces):
        connection.data_received(piece)
        if number == 0:
            for lane in connection.lanes:
                owner.send(lane, b"")
    told = [owner.told.get_nowait() for _ in range(owner.told.qsize())]
    return [(connection.lanes.index(each.lane), each.kind) for each in told]


@given(st.data())
def test_it_does_not_matter_how_frames_are_cut(drawn: st.DataObject) -> None:
    """TCP keeps the order of bytes, not the pieces they were sent in."""
    greeting, spoken = SPOKEN[:15], SPOKEN[15:]
    cuts = sorted(drawn.draw(st.sets(st.integers(1, len(spoken) - 1))))
    pieces = [spoken[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]

    @in_event_loop
    async def scenario() -> None:
        assert await listen([greeting, *pieces]) == OUTCOMES

    scenario()


frames = st.builds(
    frame,
    st.integers(0, 10) | st.integers(0, 255),
    st.integers(0, 255) | st.sampled_from([0, 1, 4, 5]),
    st.integers(0, 8) | st.integers(0, 2**32 - 1),
    st.binary(max_size=30)
    | st.sampled_from([block(OK_HEAD), block({"grpc-status": "0"}), message(b"fine")]),
)
good = st.sampled_from([1, 3, 5]).flatmap(
    lambda stream: st.sampled_from([head(stream), response(stream), trailers(stream)])
)


@given(st.lists(frames | good | st.binary(max_size=50)), st.booleans())
def test_any_bytes_end_without_an_exception(pieces: list[bytes], greeted: bool) -> None:  # noqa: FBT001
    """Whatever a server says: each request has one outcome at most, and nothing piles up."""

    @in_event_loop
    async def scenario() -> None:
        owner, connection, transport = hand_fed()
        if greeted:
            connection.data_received(settings({}))
        for lane in connection.lanes:
            owner.send(lane, b"request")
        owner.again = [b"again"] * 3
        for piece in pieces:
            connection.data_received(piece)
        assert len(connection._rest) <= h2.ACCEPTED_FRAME_SIZE + 9
        assert len(transport.written) < 10_000
        connection.connection_lost(None)
        if not connection.ready.cancelled():
            connection.ready.exception()
        assert connection.streams == {}
        assert connection.sender.unfinished == {}

    scenario()
