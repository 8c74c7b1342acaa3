"""The response parser: where a response ends, however it is framed and cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.http1 import MAX_HEAD_BYTES, ResponseError, ResponseParser, request_bytes

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def test_a_request_is_framed_by_its_length() -> None:
    """Prepared bytes are a complete HTTP/1.1 request."""
    assert request_bytes("/x", host="h:1", headers={"A": "b"}, body=b"\0\xff") == (
        b"POST /x HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\nA: b\r\n\r\n\0\xff"
    )


COMPLETE = [
    (OK + b"Content-Length: 5\r\n\r\nhello", 200, True),
    (OK + b"content-LENGTH:5\r\n\r\nhello", 200, True),
    (OK + b"Content-Length:   0  \r\n\r\n", 200, True),
    (OK + b"Content-Length: 5\r\nConnection: Close\r\n\r\nhello", 200, False),
    (OK + b"Connection:close\r\nContent-Length: 1\r\n\r\n!", 200, False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n!", 200, False),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n!", 200, True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, True),
    (b"HTTP/1.1 500\r\nContent-Length: 2\r\n\r\n{}", 500, True),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\n!", 200, True),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000 + OK + b"Content-Length: 0\r\n\r\n", 200, True),
    (CHUNKED + b"0\r\n\r\n", 200, True),
    (CHUNKED + b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, True),
    (CHUNKED + b"5;name=value\r\n\r\n0\r\n\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", 200, True),
    (OK + b"transfer-encoding: gzip, Chunked\r\n\r\n01\r\n!\r\n00\r\n\r\n", 200, True),
    (CHUNKED + b"1\r\n.\r\n" * 5000 + b"0\r\n\r\n", 200, True),
]


@pytest.mark.parametrize("case", COMPLETE)
def test_a_response_ends_where_its_framing_says(case: tuple[bytes, int, bool]) -> None:
    """RFC 9112: a length, chunks, or a status without a body."""
    response, status, keep_alive = case
    parser = ResponseParser()
    assert parser.feed(response)
    assert (parser.status, parser.keep_alive) == (status, keep_alive)
    assert not parser.end_of_connection()


@pytest.mark.parametrize(
    ("data", "carried"),
    [
        (b"5\r\nhello\r\n", b"hello"),
        (b"5\r\nhell", b""),
        (b"5\r\nhello\r\n1\r\n!\r\n", b""),
        (b"0\r\n\r\n", b""),
    ],
)
def test_one_whole_chunk_is_known_at_a_glance(data: bytes, carried: bytes) -> None:
    """Within a chunked body, where one ends and another begins; nowhere else."""
    parser = ResponseParser(keep=True)
    assert not parser.whole_chunk(data)
    parser.feed(CHUNKED)
    assert parser.whole_chunk(data) == carried
    parser.feed(b"7\r\nhalf")
    assert not parser.whole_chunk(data)


@given(st.sampled_from([each[0] for each in COMPLETE if len(each[0]) < 1000]), st.data())
def test_it_does_not_matter_how_a_response_is_cut(response: bytes, data: st.DataObject) -> None:
    """TCP keeps the order of bytes, not the pieces they were sent in."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(response) - 1))))
    pieces = [response[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    whole, parser = ResponseParser(), ResponseParser()
    whole.feed(response)
    for _ in range(2):
        assert [parser.feed(piece) for piece in pieces] == [False] * len(cuts) + [True]
        assert (parser.status, parser.keep_alive) == (whole.status, whole.keep_alive)


@pytest.mark.parametrize("cut", [3, 17, 19, 21])
def test_the_end_of_the_connection_may_end_the_response(cut: int) -> None:
    """Without a length, the body is what comes until the server closes."""
    parser = ResponseParser()
    response = b"HTTP/1.0 200 OK\r\n\r\nhello"
    assert not parser.feed(response[:cut])
    assert not parser.feed(response[cut:])
    assert parser.end_of_connection()
    assert (parser.status, parser.keep_alive) == (200, False)


def test_an_unfinished_response_does_not_end_with_the_connection() -> None:
    """Half a body is no answer."""
    parser = ResponseParser()
    assert not parser.feed(OK + b"Content-Length: 5\r\n\r\nhel")
    assert not parser.end_of_connection()


@pytest.mark.parametrize(
    ("response", "complaint"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP/1.1 response: b'SSH-2.0"),
        (b"\0", "no HTTP/1.1 response"),
        (b"HTTP/2 200\r\n\r\n", "no HTTP/1.1 response"),
        (b"HTTP/1.1 2 OK\r\n\r\n", "no HTTP/1.1 status line: b'HTTP/1.1 2 OK"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "no HTTP/1.1 status line"),
        (OK + b"Content-Length: five\r\n\r\n", "a content length of b'five'"),
        (OK + b"Content-Length: -1\r\n\r\n", "a content length of b'-1'"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "a content length of b'9999"),
        (OK + b"Content-Length: 2\r\n\r\nabc", "bytes after the end of the response"),
        (OK + b"X: " + b"x" * MAX_HEAD_BYTES, "a response head of over 65536 bytes"),
        (OK + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", "a response head of over"),
        (CHUNKED + b"zz\r\n", "a chunk size of b'zz'"),
        (CHUNKED + b"-1\r\n", "a chunk size of b'-1'"),
        (CHUNKED + b"1_0\r\n", "a chunk size of b'1_0'"),
        (CHUNKED + b"\r\n", "a chunk size of b''"),
        (CHUNKED + b"f" * 17 + b"\r\n", "a chunk size of b'ff"),
        (CHUNKED + b"5\r\nhello, world\r\n", "a chunk size of b'world'"),
        (CHUNKED + b"1;" + b"x" * MAX_HEAD_BYTES, "a chunk head of over 65536 bytes"),
        (CHUNKED + b"0\r\nX: " + b"x" * MAX_HEAD_BYTES, "a chunk head of over 65536 bytes"),
        (CHUNKED + b"0\r\n\r\nx", "bytes after the end of the response"),
    ],
)
def test_what_is_no_response_is_refused(response: bytes, complaint: str) -> None:
    """A connection that speaks something else is of no use."""
    with pytest.raises(ResponseError) as raised:
        ResponseParser().feed(response)
    assert complaint in str(raised.value)


def test_many_responses_on_one_connection() -> None:
    """Each response has its own status, however much it resembles the one before it."""
    parser = ResponseParser()
    for status in [200, 200, 500, 200, 200, 503, 503, 200]:
        assert parser.feed(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status)
        assert (parser.status, parser.keep_alive) == (status, True)


def test_a_head_like_the_last_one_with_another_body() -> None:
    """A response that is recognised by its head may still come in pieces."""
    parser = ResponseParser()
    response = OK + b"Content-Length: 5\r\n\r\nhello"
    assert parser.feed(response)
    assert parser.feed(response)
    assert not parser.feed(response[:-1])
    assert parser.feed(b"!")
    assert not parser.feed(response[:7])
    assert parser.feed(response[7:])
    assert parser.feed(OK + b"Content-Length: 6\r\n\r\nhello!")
    assert parser.feed(response)
    with pytest.raises(ResponseError, match="bytes after the end"):
        parser.feed(response + b"x")


FRAGMENTS = st.sampled_from(
    [OK, CHUNKED, b"Content-Length: 3\r\n", b"\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"HTTP/1."]
)


@given(st.lists(st.binary(max_size=40) | FRAGMENTS, max_size=12))
def test_any_bytes_are_a_response_or_an_error(pieces: list[bytes]) -> None:
    """Nothing that a server sends can do worse than spoil its connection."""
    parser = ResponseParser()
    try:
        for piece in pieces:
            parser.feed(piece)
    except ResponseError:
        return
    assert 0 <= parser.status <= 999
