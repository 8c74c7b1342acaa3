"""Server-sent events in a stream of bytes, however it is cut."""

import pytest

from tuner.load.events import EventParser
from tuner.load.http1 import ResponseError

STREAM = (
    b": a comment\n\n"
    b'data: {"a": "\xc3\xa9"}\n\n'
    b"event: message\nid: 3\ndata:one\ndata: two\n\n"
    b"retry: 5\n\n"
    b"data: windows\r\n\r\n"
    b"data: [DONE]\n\n"
)
EVENTS = ['{"a": "é"}', "one\ntwo", "windows", "[DONE]"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1000])
def test_any_cut(size: int) -> None:
    """In the middle of a character, of `data:`, of a line's end: the events are the same."""
    parser = EventParser()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [e.decode() for piece in pieces for e in parser.feed(piece)] == EVENTS
    assert parser.end() == []


def test_one_event_in_one_piece() -> None:
    """The usual case, and those that only look like it."""
    parser = EventParser()
    assert parser.feed(b"data: x\n\n") == [b"x"]
    assert parser.feed(b"data: x\n") == []
    assert parser.feed(b"\ndata: y\n\n") == [b"x", b"y"]
    assert parser.feed(b"data: a\ndata: b\n\n") == [b"a\nb"]
    assert parser.feed(b"data: a\n\ndata: b\n\n") == [b"a", b"b"]
    assert parser.feed(b"data:\n\n") == [b""]
    assert parser.feed(b"data: a\rdata: b\n\n") == [b"a\nb"]


def test_the_last_event_may_miss_its_blank_line() -> None:
    """Some servers end the stream with the last byte of the event."""
    parser = EventParser()
    assert parser.feed(b"data: x\n\ndata: [DONE]") == [b"x"]
    assert parser.end() == [b"[DONE]"]
    assert parser.end() == []


def test_another_stream_begins_with_nothing() -> None:
    """What was left of the one before is forgotten."""
    parser = EventParser()
    parser.feed(b"data: cut o")
    parser.clear()
    assert parser.feed(b"data: x\n\n") == [b"x"]


def test_an_event_without_end() -> None:
    """It is given up before it takes the memory of the machine."""
    parser = EventParser()
    for _ in range(4):
        parser.feed(b"data: " + bytes((1 << 20) - 6))
    with pytest.raises(ResponseError, match="an event of over 4194304 bytes"):
        parser.feed(b"x")
