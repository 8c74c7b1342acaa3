"""What is sent: tensors, and the prepared bytes that are made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# Whether a step is the first of its sequence, and whether it is the last.
_FIRST_AND_LAST = ((False, False), (False, True), (True, False), (True, True))


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output: -1 in `shape` is a dimension that the request chooses.

    A request may leave out what is `optional`.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class Tensor:
    """A tensor with its little-endian, row-major bytes (BYTES: 4 bytes of length per element)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


class ResponseCheck(Protocol):
    """Looks into a response that the protocol calls successful; pickled to the engine process."""

    def fault(self, payload: int, head: bytes, body: bytes) -> str:
        """The kind of failure, such as `wrong_output`; empty for a response that is right.

        `payload` is the request's position in its set (of a sequence: its step's among the steps
        of all streams), `head` the response's HTTP/1.1 head
        (empty over gRPC), `body` its body or its gRPC message. Must not raise.
        """


class StreamRule(Protocol):
    """Reads the messages of a gRPC stream; pickled to the engine process."""

    def ends(self, message: bytes) -> str | None:
        """None: the request has more messages to come. Else it has ended: `""` well, or a kind."""


@dataclass(frozen=True)
class GrpcCall:
    """The gRPC method that a request set calls, its messages being the payloads.

    `metadata` are custom headers in lower case. With `stream`, every message of a lane goes
    through one long call (bidirectional streaming), and the rule says which answer is the last.
    """

    path: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream: StreamRule | None = None


@dataclass(frozen=True)
class SequenceStep:
    """One step of a data stream, wire-ready, by (is the first, is the last) of its sequence.

    Each form comes in two halves: the correlation id, in its wire form, goes between them.
    """

    forms: Mapping[tuple[bool, bool], tuple[bytes, bytes]]

    @classmethod
    def of(cls, halves: Callable[[tuple[bool, bool]], tuple[bytes, bytes]]) -> "SequenceStep":
        """With the halves that `halves` makes for each (is the first, is the last)."""
        return cls({flags: halves(flags) for flags in _FIRST_AND_LAST})


@dataclass(frozen=True, kw_only=True)
class SequenceSet:
    """Requests of a stateful model: sequences that play data streams, one request at a time each.

    A sequence plays one of `streams`, drawn at random, with a correlation id of its own from
    `first_id` on, `ids` of them in turn. It has as many steps as its stream, or, if `length` is
    not 0, that many, drawn evenly within `variation` of it and at least one, the stream's steps in
    turn. In an open loop `count` sequences are under way at once; in a closed one, its
    concurrency.
    """

    streams: tuple[tuple[SequenceStep, ...], ...]
    encode_id: Callable[[int], bytes]
    count: int = 4
    length: int = 0
    variation: float = 0.2
    first_id: int = 1
    ids: int = 2**32 - 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.streams or not all(self.streams):
            raise ValueError("a sequence set needs at least one step in each stream")


@dataclass(frozen=True)
class RequestSet:
    """Wire-ready requests, sent in turn; each carries `inferences` inferences (the batch size).

    Without `call`, payloads are whole HTTP/1.1 requests, and an answer with a status of
    `statuses` is a success. With it, they are gRPC messages without their prefix. `sequences`
    take the place of the payloads, which are then those of a warm-up, or empty.
    """

    payloads: tuple[bytes, ...]
    inferences: int = 1
    statuses: frozenset[int] = frozenset({200})
    call: GrpcCall | None = None
    check: ResponseCheck | None = None
    sequences: SequenceSet | None = None

    def __post_init__(self) -> None:
        if not self.payloads and self.sequences is None:
            raise ValueError("a request set needs at least one request")
