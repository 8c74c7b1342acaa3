"""The protobuf wire format, against Google's own implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.descriptors import message_classes
from tuner.protocols import protobuf
from tuner.protocols.protobuf import Message

INT64 = st.integers(-(2**63), 2**63 - 1)
Probe = message_classes(
    "probe",
    {
        "Probe": """
            int64 integer = 1;
            string text = 2;
            double real = 3;
            float single = 4;
            bytes content = 5;
            repeated int64 numbers = 6;
            map<string, bytes> by_name = 1000;
        """
    },
)["Probe"]


def signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


@given(INT64, st.text(), st.floats(allow_nan=False), st.binary(max_size=300))
def test_what_we_write_is_what_they_read(
    integer: int, text: str, real: float, content: bytes
) -> None:
    """Every kind of field arrives."""
    written = b"".join(
        (
            protobuf.integer(1, integer),
            protobuf.delimited(2, text),
            protobuf.double(3, real),
            protobuf.delimited_head(5, len(content)),
            content,
            protobuf.map_entry(1000, text, content),
        )
    )
    expected = Probe(
        integer=integer, text=text, real=real, content=content, by_name={text: content}
    )
    assert Probe.FromString(written) == expected


@given(
    INT64,
    st.text(),
    st.binary(max_size=300),
    st.lists(INT64),
    st.dictionaries(st.text(), st.binary()),
)
def test_what_they_write_is_what_we_read(
    integer: int, text: str, content: bytes, numbers: list[int], by_name: dict[str, bytes]
) -> None:
    """Every kind of field, packed numbers and maps are read; fields unknown to us are passed."""
    probe = Probe(
        integer=integer,
        text=text,
        real=1.5,
        single=2.5,
        content=content,
        numbers=numbers,
        by_name=by_name,
    )
    message = Message(probe.SerializeToString())
    assert signed(message.integer(1)) == integer
    assert message.text(2) == text
    assert bytes(message.content(5)) == content
    assert [signed(each) for each in message.integers(6)] == numbers
    assert {key: bytes(value) for key, value in message.entries(1000).items()} == by_name


@given(st.integers(0, 2**64 - 1))
def test_a_varint_may_be_padded(value: int) -> None:
    """10 bytes for any number, which Google's parser and ours read as that number."""
    padded = protobuf.tag(1) + protobuf.padded_varint(value)
    assert len(padded) == 11
    assert Probe.FromString(padded) == Probe(integer=signed(value))
    assert Message(padded).integer(1) == value


def test_numbers_need_not_be_packed() -> None:
    """A repeated field may come in parts, packed or not."""
    parts = protobuf.integer(6, 1) + protobuf.delimited(6, b"\x02\x03") + protobuf.integer(6, 4)
    assert Message(parts).integers(6) == [1, 2, 3, 4]
    assert list(Probe.FromString(parts).numbers) == [1, 2, 3, 4]


def test_what_is_not_there_is_empty() -> None:
    """Fields that are not written have their default values."""
    message = Message(b"")
    assert (message.integer(1), message.text(2), bytes(message.content(5))) == (0, "", b"")
    assert (message.integers(6), message.entries(1000), message.contents(5)) == ([], {}, [])
    assert message.message(7).integer(1) == 0


def test_the_last_of_a_field_counts_and_messages_merge() -> None:
    """As the encoding guide has it: "Last One Wins"."""
    twice = protobuf.integer(1, 1) + protobuf.integer(1, 2)
    assert Message(twice).integer(1) == 2
    apart = protobuf.delimited(7, protobuf.integer(1, 1)) + protobuf.delimited(
        7, protobuf.integer(2, 3)
    )
    merged = Message(apart).message(7)
    assert (merged.integer(1), merged.integer(2)) == (1, 3)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x00\x01", "a protobuf field has the number 0"),
        (b"\x0b", "a protobuf field has the wire type 3"),
        (b"\x08", "a protobuf varint does not end"),
        (b"\x08" + b"\xff" * 11, "a protobuf varint does not end"),
        (b"\x12\x05abc", "a protobuf field of 5 bytes has only 3"),
        (b"\x09abc", "a protobuf field of 8 bytes has only 3"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, complaint: str) -> None:
    """Anything else is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        Message(data)


def test_fields_of_another_type_are_refused() -> None:
    """A number where bytes should be, and bytes that are no text."""
    with pytest.raises(ValueError, match="the protobuf field 2 is a number"):
        Message(protobuf.integer(2, 7)).text(2)
    with pytest.raises(ValueError, match="can't decode"):
        Message(protobuf.delimited(2, b"\xff")).text(2)
    with pytest.raises(ValueError, match="a protobuf varint does not end"):
        Message(protobuf.delimited(6, b"\xff")).integers(6)


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    """Whatever comes, there is nothing but a message or a ValueError that says why."""
    complaint = "it was read"
    try:
        message = Message(data)
        for number in range(4):
            message.integers(number)
            message.contents(number)
            message.entries(number)
    except ValueError as error:
        complaint = str(error)
    assert complaint
