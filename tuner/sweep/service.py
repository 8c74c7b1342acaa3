"""What a service is: a server that already runs, and the requests that it is sent."""

from contextlib import AbstractContextManager
from typing import Protocol

from tuner.load.client import LoadEngine
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.records import ServerStatistics


class Service(AbstractContextManager["Service"], Protocol):
    """A running server within a `with` block; entering it raises TunerError if it cannot be used.

    `requests` are wire-ready and stay valid until the block ends.
    """

    endpoint: Endpoint
    requests: RequestSet
    # What is to be known of the requests, in sentences.
    remarks: tuple[str, ...] = ()
    # The load engine that holds the server in its process; None: it runs elsewhere.
    engine: LoadEngine | None = None

    def statistics(self) -> ServerStatistics | None:
        """The server's own counters; None where it has none."""


class PlainService(AbstractContextManager["PlainService"]):
    """A service that has nothing to open and nothing to close, nor any counters."""

    remarks: tuple[str, ...] = ()
    engine: LoadEngine | None = None

    def __init__(self, endpoint: Endpoint, requests: RequestSet) -> None:
        self.endpoint = endpoint
        self.requests = requests

    def __exit__(self, *_: object) -> None:
        return None

    def statistics(self) -> ServerStatistics | None:
        return None
