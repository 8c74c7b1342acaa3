"""The protobuf wire format: just enough to write requests and to read responses without schemas.

Source: "Protocol Buffers Documentation", "Encoding". Unlike generated code, this needs no
descriptors in the engine process, and can pad a varint to a fixed width.
"""

import struct
from collections.abc import Iterator

# A varint, or the bytes of a length-delimited or fixed-width field.
Value = int | memoryview

# Wire types ("Encoding", "Message Structure"),
_VARINT = 0
_FIXED64 = 1
_LENGTH_DELIMITED = 2
_FIXED32 = 5
# and the bytes of those of a fixed width.
_FIXED_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
# Bytes of 64 bits in groups of 7.
_LONGEST_VARINT = 10
_64_BITS = (1 << 64) - 1


def varint(value: int) -> bytes:
    """`value` in groups of 7 bits, the lowest first; a negative one as its two's complement."""
    value &= _64_BITS
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def padded_varint(value: int) -> bytes:
    """`value` as a varint of 10 bytes: groups of zeros at the end do not change it."""
    value &= _64_BITS
    groups = [value >> shift & 0x7F | 0x80 for shift in range(0, 7 * _LONGEST_VARINT, 7)]
    return bytes([*groups[:-1], groups[-1] & 0x7F])


def tag(number: int, wire_type: int = _VARINT) -> bytes:
    """What goes before the value of field `number`; a varint by default."""
    return varint(number << 3 | wire_type)


def integer(number: int, value: int) -> bytes:
    """A field of the types int32, int64, uint32, uint64, bool or enum."""
    return tag(number) + varint(value)


def double(number: int, value: float) -> bytes:
    """A field of the type double."""
    return tag(number, _FIXED64) + struct.pack("<d", value)


def delimited(number: int, content: bytes | str) -> bytes:
    """A field of the types string, bytes, message, or packed numbers."""
    data = content.encode() if isinstance(content, str) else content
    return delimited_head(number, len(data)) + data


def delimited_head(number: int, length: int) -> bytes:
    """What goes before the `length` bytes of a length-delimited field."""
    return tag(number, _LENGTH_DELIMITED) + varint(length)


def map_entry(number: int, key: str, content: bytes | str) -> bytes:
    """An entry of a map whose keys are strings, and whose values are length-delimited."""
    return delimited(number, delimited(1, key) + delimited(2, content))


class Message:
    """The fields of a message, by their numbers, without a copy.

    What is not there has the default value, as in proto3; of a field that is there twice but not
    repeated, the last counts. Every method raises ValueError if a field is of another wire type.

    Raises:
        ValueError: The bytes are no message, or have groups (deprecated).
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._fields: dict[int, list[Value]] = {}
        for number, value in _fields(memoryview(data)):
            self._fields.setdefault(number, []).append(value)

    def contents(self, number: int) -> list[memoryview]:
        """The bytes of each length-delimited or fixed-width field `number`."""
        values = self._fields.get(number, [])
        contents = [value for value in values if not isinstance(value, int)]
        if len(contents) < len(values):
            raise ValueError(f"the protobuf field {number} is a number")
        return contents

    def content(self, number: int) -> memoryview:
        """The bytes of a length-delimited or fixed-width field."""
        return self.contents(number)[-1] if number in self._fields else memoryview(b"")

    def text(self, number: int) -> str:
        """A string field; a ValueError, too, if it is not UTF-8."""
        return str(self.content(number), "utf-8")

    def messages(self, number: int) -> Iterator["Message"]:
        """The messages of a repeated field."""
        return (Message(each) for each in self.contents(number))

    def message(self, number: int) -> "Message":
        """A message field; parts of it that came apart are one."""
        return Message(b"".join(self.contents(number)))

    def entries(self, number: int) -> dict[str, memoryview]:
        """A map whose keys are strings, and whose values are length-delimited."""
        return {each.text(1): each.content(2) for each in self.messages(number)}

    def integers(self, number: int) -> list[int]:
        """The numbers of an integer field, packed or not, as unsigned ones of 64 bits."""
        numbers: list[int] = []
        for value in self._fields.get(number, []):
            numbers += [value] if isinstance(value, int) else _varints(value)
        return numbers

    def integer(self, number: int) -> int:
        """An integer field, as an unsigned one of 64 bits."""
        return self.integers(number)[-1] if number in self._fields else 0


def _fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in their order."""
    at, end = 0, len(view)
    while at < end:
        key, at = _varint_at(view, at)
        number, wire_type = key >> 3, key & 7
        if not number:
            raise ValueError("a protobuf field has the number 0")
        if wire_type == _VARINT:
            value, at = _varint_at(view, at)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            width, at = _varint_at(view, at)
        elif wire_type in _FIXED_WIDTHS:
            width = _FIXED_WIDTHS[wire_type]
        else:
            raise ValueError(f"a protobuf field has the wire type {wire_type}")
        if width > end - at:
            raise ValueError(f"a protobuf field of {width} bytes has only {end - at}")
        yield number, view[at : at + width]
        at += width


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint_at(packed, at)
        yield value


def _varint_at(view: memoryview, at: int) -> tuple[int, int]:
    """The varint that begins at `at`, and where it ends."""
    if at < len(view) and view[at] < 0x80:  # nearly all have one byte
        return view[at], at + 1
    value = shift = 0
    for group in view[at : at + _LONGEST_VARINT]:
        value |= (group & 0x7F) << shift
        shift += 7
        if group < 0x80:
            return value & _64_BITS, at + shift // 7
    raise ValueError("a protobuf varint does not end")
