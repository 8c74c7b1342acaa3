"""A lane carries one request at a time: an HTTP/1.1 connection, or a stream of an HTTP/2 one."""

from abc import ABC, abstractmethod
from typing import Protocol


class LaneOwner(Protocol):
    """Who is told what became of the requests; everything happens in one event loop."""

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
    the first bytes of an answer in several pieces came (0: not yet), and whether it was `stale`
    when it was lost: the peer may have closed it, as idle, before it saw the request.
    """

    def __init__(self) -> None:
        self.busy = self.resent = False
        self.usable = True
        self.stale = False
        self.due_s = self.sent_s = self.first_bytes_s = 0.0
        self.payload = 0

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Write a request: HTTP/1.1 bytes, or a gRPC message without its prefix.

        The owner may be told of its end before this returns.
        """

    @abstractmethod
    def cancel(self, kind: str) -> None:
        """Give the request in flight up: the owner is told that it failed as `kind`."""
