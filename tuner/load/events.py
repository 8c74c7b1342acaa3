"""Server-sent events, found in the bytes of a stream.

Source: HTML Living Standard, 9.2.6 "Interpreting an event stream".
"""

from tuner.load.http1 import ResponseError

# Bytes of one event at most: an output token with its log probabilities has a few thousand.
_MOST_BYTES = 1 << 22
_FIELD = b"data:"


class EventParser:
    """Takes a stream apart into the data of its events, however it was cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""  # of the stream, from where the last whole event ended

    def clear(self) -> None:
        """Begin with another stream."""
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of each event that `data` completes, in their order.

        Raises:
            ResponseError: An event is larger than any should be.
        """
        # Nearly always one piece is one event of one line.
        if (
            not self._rest
            and data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and data.find(b"\n") == len(data) - 2
            and b"\r" not in data
        ):
            return [data[6:-2]]
        whole = self._rest + data
        if b"\r" in whole:
            # Of a carriage return at the end nobody knows yet whether a line feed follows.
            held = whole[-1:] if whole.endswith(b"\r") else b""
            whole = whole.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        *events, self._rest = whole.split(b"\n\n")
        if len(self._rest) > _MOST_BYTES:
            raise ResponseError(f"an event of over {_MOST_BYTES} bytes")
        return [found for event in events if (found := _data(event)) is not None]

    def end(self) -> list[bytes]:
        """The stream has ended: the data of an event that only misses its blank line."""
        rest, self._rest = self._rest, b""
        found = _data(rest)
        return [] if found is None else [found]


def _data(event: bytes) -> bytes | None:
    """The data of an event; None of one without any, such as a comment."""
    lines = [
        line[len(_FIELD) :].removeprefix(b" ")
        for line in event.split(b"\n")
        if line.startswith(_FIELD)
    ]
    return b"\n".join(lines) if lines else None
