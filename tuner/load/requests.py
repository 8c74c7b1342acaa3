"""What is sent: tensors, and the prepared bytes that are made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

# The width of the serial number in a payload that has one.
SERIAL_DIGITS = 14
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


class Heard(NamedTuple):
    """What one event of a streamed answer says, or the body of one that is not streamed.

    Attributes:
        tokens: Whether it carries output tokens: text, or whatever else is made of them.
        output_tokens: How many there are by now, by the server's own count; 0: it does not say.
        is_total: That it says so of the whole answer, after its last token.
        prompt_tokens: How many the prompt had; 0: it does not say.
        cached_tokens: How many of these the server knew from earlier requests.
        ends: Whether it is the last one.
        fault: The kind of failure that it tells of, such as `stream_error`; empty: of none.
    """

    tokens: bool = False
    output_tokens: int = 0
    is_total: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    ends: bool = False
    fault: str = ""


class EventReader(Protocol):
    """Reads the events of one connection, an answer after the other."""

    def read(self, data: bytes) -> Heard:
        """What the `data` of a server-sent event says, or a whole body. Must not raise."""


class EventRule(Protocol):
    """How to read the events of an answer; pickled to the engine process.

    An answer with fewer than `least` output tokens is a failure, `no_output`.
    """

    @property
    def least(self) -> int: ...

    def reader(self) -> EventReader:
        """One for another connection."""


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
class ModelCall:
    """A model of the Triton in the engine's process (in_process/), which a request set asks.

    Its requests carry the tensors of one of `steps` each, which their payload names, and all the
    same `parameters`. Version -1 is the server's choice.
    """

    model: str
    steps: tuple[tuple[Tensor, ...], ...]
    version: int = -1
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class SequenceStep:
    """One step of a data stream, wire-ready, by (is the first, is the last) of its sequence.

    Each form comes in two halves: the correlation id, in its wire form, goes between them. In a
    closed loop a step is sent `pause_s` after the answer to the one before it.
    """

    forms: Mapping[tuple[bool, bool], tuple[bytes, bytes]]
    pause_s: float = 0.0

    @classmethod
    def of(cls, halves: Callable[[tuple[bool, bool]], tuple[bytes, bytes]]) -> "SequenceStep":
        """With the halves that `halves` makes for each (is the first, is the last)."""
        return cls({flags: halves(flags) for flags in _FIRST_AND_LAST})

    @classmethod
    def alike(cls, before: bytes, after: bytes, *, pause_s: float = 0.0) -> "SequenceStep":
        """The same halves, wherever the step stands."""
        return cls(dict.fromkeys(_FIRST_AND_LAST, (before, after)), pause_s)


@dataclass(frozen=True, kw_only=True)
class SequenceSet:
    """Requests that follow each other: sequences that play data streams, one at a time each.

    A sequence plays one of `streams`, drawn at random, with a correlation id of its own from
    `first_id` on, `ids` of them in turn. It has as many steps as its stream, or, if `length` is
    not 0, that many, drawn evenly within `variation` of it and at least one, the stream's steps in
    turn. In an open loop `count` sequences are under way at once; in a closed one, its
    concurrency.

    A server that is `stateful` waits for the end of each sequence, and a step must not come twice.
    For one that is not, ids are no ids but what makes a sequence another one: each run has others.
    """

    streams: tuple[tuple[SequenceStep, ...], ...]
    encode_id: Callable[[int], bytes]
    count: int = 4
    length: int = 0
    variation: float = 0.2
    first_id: int = 1
    ids: int = 2**32 - 1
    seed: int = 0
    stateful: bool = True

    def __post_init__(self) -> None:
        if not self.streams or not all(self.streams):
            raise ValueError("a sequence set needs at least one step in each stream")


@dataclass(frozen=True)
class RequestSet:
    """Wire-ready requests, sent in turn; each carries `inferences` inferences (the batch size).

    Without `call`, payloads are whole HTTP/1.1 requests, and an answer with a status of
    `statuses` is a success. With it, they are gRPC messages without their prefix; with a
    `model_call`, they are those of in_process/payloads.py. `sequences` take the place of the
    payloads, which are then those of a warm-up, or empty.

    With `events`, an answer is made of output tokens, which come as server-sent events or at once.
    `serials` are places in each payload, one or more, of `SERIAL_DIGITS` digits that are another
    number in each request: no server knows such a request from an earlier one. With `one_serial`
    it is the number of the run: a server knows what it was asked in this run, and nothing else.
    """

    payloads: tuple[bytes, ...]
    inferences: int = 1
    statuses: frozenset[int] = frozenset({200})
    call: GrpcCall | None = None
    model_call: ModelCall | None = None
    check: ResponseCheck | None = None
    sequences: SequenceSet | None = None
    events: EventRule | None = None
    serials: tuple[tuple[int, ...], ...] = ()
    one_serial: bool = False

    def __post_init__(self) -> None:
        if not self.payloads and self.sequences is None:
            raise ValueError("a request set needs at least one request")
        if self.serials and len(self.serials) != len(self.payloads):
            raise ValueError("a request set needs a serial number in each payload, or in none")

    @property
    def streamed(self) -> bool:
        """Whether an answer may come in several parts, and the first has a time of its own."""
        return self.events is not None or (self.call is not None and self.call.stream is not None)
