"""An address is told something: once if it can be, several times if need be."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tuner.clients import webhook
from tuner.errors import TunerError


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is told, once it has refused as often as it is to."""

    refuses = 0
    told: list[tuple[str, str | None, object]] = []  # noqa: RUF012 - one for each server

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).refuses:
            type(self).refuses -= 1
            self.send_error(503)
            return
        self.told.append((self.path, self.headers["Content-Type"], json.loads(content)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def hook(refuses: int = 0) -> Iterator[tuple[str, type[Hook]]]:
    """Where a server takes what it is told."""
    kind = type("Told", (Hook,), {"refuses": refuses, "told": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hooks?key=s3cret", kind
        server.shutdown()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """They take no time here."""
    taken: list[float] = []
    monkeypatch.setattr(webhook, "sleep", taken.append)
    return taken


@pytest.mark.parametrize("refuses", [0, 1, 3])
def test_it_is_told(refuses: int, pauses: list[float]) -> None:
    """Once, however often it has refused before."""
    with hook(refuses) as (url, told):
        webhook.post(url, '{"study": "night"}')
    assert told.told == [("/hooks?key=s3cret", "application/json", {"study": "night"})]
    assert pauses == [1.0, 5.0, 25.0][:refuses]


def test_it_refuses() -> None:
    """What it answered is said, without its path, which may be a secret."""
    with hook(4) as (url, told), pytest.raises(TunerError) as caught:
        webhook.post(url, "{}")
    assert told.told == []
    assert caught.value.message == "127.0.0.1 was told nothing: it answered 503"


def test_nobody_is_there() -> None:
    """Nor is that worth more than half a minute."""
    with pytest.raises(TunerError) as caught:
        webhook.post("http://127.0.0.1:9/", "{}")
    assert caught.value.message.startswith("127.0.0.1 was told nothing: ConnectError")


@pytest.mark.parametrize(
    ("url", "can_be"),
    [
        ("https://example.org/hooks", True),
        ("http://127.0.0.1:8000", True),
        ("example.org/hooks", False),
        ("ftp://example.org", False),
        ("https://", False),
        ("https://example.org:port/x", False),
    ],
)
def test_what_is_an_address(url: str, can_be: bool) -> None:  # noqa: FBT001 - a column
    """Before a night, not after it."""
    assert webhook.is_address(url) is can_be
