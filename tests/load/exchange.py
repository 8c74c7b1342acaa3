"""Sends prepared bytes over a real connection, and gives back the response as it came."""

import socket

from tuner.load.http1 import ResponseParser
from tuner.load.profile import Endpoint


def exchange(endpoint: Endpoint, request: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of the response."""
    parser = ResponseParser(keep=True)
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as connection:
        connection.sendall(request)
        while not parser.feed(connection.recv(1 << 16)):
            pass
    return parser.status, parser.head, parser.body
