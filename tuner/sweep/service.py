"""What a service is: a server that already runs, and the requests that it is sent."""

from types import TracebackType
from typing import Protocol, Self

from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.records import ServerStatistics


class Service(Protocol):
    """A running server within a `with` block; entering it raises TunerError if it cannot be used.

    `requests` are wire-ready and stay valid until the block ends.
    """

    endpoint: Endpoint
    requests: RequestSet

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def statistics(self) -> ServerStatistics | None:
        """The server's own counters; None where it has none."""


class PlainService:
    """A service that has nothing to open and nothing to close, nor any counters."""

    def __init__(self, endpoint: Endpoint, requests: RequestSet) -> None:
        self.endpoint = endpoint
        self.requests = requests

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def statistics(self) -> ServerStatistics | None:
        return None
