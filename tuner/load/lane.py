"""A lane carries one request at a time: an HTTP/1.1 connection, or a stream of an HTTP/2 one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import nan
from typing import Protocol

from tuner.load.tokens import TokenCounter


class LaneOwner(Protocol):
    """Who is told what became of the requests; everything happens in one event loop.

    `tokens` counts the output tokens of answers that are made of them.
    """

    @property
    def tokens(self) -> TokenCounter | None: ...

    def answered(self, lane: "Lane", fault: str) -> None:
        """The request on `lane` has ended: well, or failed as `fault`.

        The lane is free for the next, if it is `usable`; the owner closes it otherwise.
        """

    def lost(self, lane: "Lane", kind: str) -> None:
        """`lane` is of no use any more; a request on it failed as `kind`. May be told twice."""


class Lane(ABC):
    """What a driver sends requests on, until it is no longer `usable`.

    The driver's notes of the request in flight, if `busy`: when it was due and sent (seconds of
    the monotonic clock), which payload it is, and whether it was `resent`. The lane's own: when
    the first bytes of an answer in several pieces came, or the first token (0: not yet), when
    something of a streamed answer was `heard_s` last (the driver begins with the moment of the
    sending), and whether it was `stale` when it was lost: the peer may have closed it, as idle,
    before it saw the request.
    """

    def __init__(self) -> None:
        self.busy = self.resent = False
        self.usable = True
        self.stale = False
        self.due_s = self.sent_s = self.first_bytes_s = self.heard_s = 0.0
        self.payload = 0

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Write a request: HTTP/1.1 bytes, or a gRPC message without its prefix.

        The owner may be told of its end before this returns.
        """

    @property
    def itl_s(self) -> float:
        """The mean time between the output tokens of this request; NaN where there is none."""
        return nan

    @abstractmethod
    def cancel(self, kind: str) -> None:
        """Give the request in flight up: the owner is told that it failed as `kind`."""


class Connection(Protocol):
    """What carries lanes, until it is closed."""

    @property
    def lanes(self) -> Sequence[Lane]: ...

    @property
    def bytes_received(self) -> int: ...

    def is_closing(self) -> bool:
        """Whether it is of no use any more."""

    def close(self) -> None:
        """Close at once, and tell nobody of a request in flight."""

    async def finish(self) -> None:
        """Close so that nothing is left for the server to end."""


class Connections(Protocol):
    """Where the connections of a run come from; each has `lanes` lanes."""

    lanes: int

    async def open(self) -> Connection | str:
        """One that is ready to send, or the kind of failure."""
