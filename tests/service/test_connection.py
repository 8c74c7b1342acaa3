"""What a stranger may take of the web server: few bytes, and little time."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tuner.service import connection
from tuner.service.connection import LARGEST_HEAD

HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LOGIN = (
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=20) as found:
        yield found


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"y"], ids=["of many", "of one"])
def test_headers_without_end(client: httpx.Client, piece: bytes) -> None:
    """They are not gathered in memory: the connection is cut off."""
    with connected(client) as stranger:
        stranger.sendall(HEAD + b"X: ")

        def without_end() -> None:
            while True:
                stranger.sendall(piece * 100_000)

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            without_end()
    assert client.get("/healthz").status_code == 200


def test_who_says_nothing_is_let_go(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the request, in it, and in its body; the log has nothing of it."""
    monkeypatch.setattr(connection, "LONGEST_SILENCE_S", 0.05)
    for said in (b"", HEAD, LOGIN + b"toke"):
        with connected(client) as stranger:
            stranger.sendall(said)
            assert stranger.recv(1000) == b""
    assert caplog.messages == []


def test_large_bodies_are_no_heads(client: httpx.Client) -> None:
    """They have limits of their own."""
    sent = client.put("/api/v1/models/a.onnx", content=bytes(4 * LARGEST_HEAD))
    assert sent.status_code == 201
    assert client.get("/healthz", headers={"X": "y" * 20_000}).status_code == 200
