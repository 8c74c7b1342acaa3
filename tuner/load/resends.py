"""Requests that are sent once more, because a server ended their connection before it began them.

That is safe where the server says so (GOAWAY, RFC 9113 section 6.8), or where it closed a
connection that had carried a request before and nothing of an answer came: most likely it closed
it as idle while the request was on its way (RFC 9112 section 9.3.1). Inference changes nothing on
a server, but for the steps of a stateful model's sequence, which are never sent again.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from tuner.load.lane import Lane


class Unbegun(NamedTuple):
    """A request to be sent once more; `kind` is what it has failed of if that cannot be.

    `due_s` and `sent_s` are when it was due and first sent: the time that it lost is its latency.
    """

    due_s: float
    sent_s: float
    payload: int
    kind: str


class Resends:
    """Those that wait: the `refused` for any lane, the `closed` for a new one.

    Servers close idle connections together: another idle lane may be closed as well.
    """

    def __init__(self) -> None:
        self.refused: deque[Unbegun] = deque()
        self.closed: deque[Unbegun] = deque()

    def __len__(self) -> int:
        return len(self.refused) + len(self.closed)

    def __iter__(self) -> Iterator[Unbegun]:
        return chain(self.closed, self.refused)

    def add(self, lane: Lane, kind: str) -> None:
        """The request on `lane` is one, after the lane was lost in this way."""
        request = Unbegun(lane.due_s, lane.sent_s, lane.payload, kind)
        (self.closed if lane.stale else self.refused).append(request)

    def take(self, most: int) -> list[Unbegun]:
        """So many at most: there is no connection to be had for them."""
        taken: list[Unbegun] = []
        while len(self) and len(taken) < most:
            taken.append((self.closed or self.refused).popleft())
        return taken
