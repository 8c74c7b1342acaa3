"""An address is told something: once if it can be, several times if need be."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tuner.clients import webhook
from tuner.errors import InputError, TunerError


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is told, once it has refused as often as it is to."""

    refuses = 0
    redirects_to = ""
    told: list[tuple[str, str | None, object]] = []  # noqa: RUF012 - one for each server

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).refuses:
            type(self).refuses -= 1
            self.send_error(503)
            return
        if self.redirects_to:
            self.send_response(307)
            self.send_header("Location", self.redirects_to)
            self.end_headers()
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


def posted(url: str) -> int:
    return asyncio.run(webhook.post_once(url, b'{"job": 1}', {"X-Tuner-Delivery": "7"}))


def test_one_attempt() -> None:
    """What it was answered, whatever that is; redirects are not followed."""
    with hook(refuses=1) as (url, told):
        assert posted(url) == 503
        assert posted(url) == 204
    assert told.told == [("/hooks?key=s3cret", "application/json", {"job": 1})]


def test_a_redirect() -> None:
    """Somebody else would be told."""
    with hook() as (url, told), hook() as (other, elsewhere):
        told.redirects_to = other
        assert posted(url) == 307
    assert elsewhere.told == []


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in words, without the path, which may be a secret."""
    monkeypatch.setattr(webhook, "_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/s3cret"
        with pytest.raises(TunerError) as slow:
            posted(url)
    with pytest.raises(TunerError) as refused:
        posted(url)

    assert slow.value.message == "there was no answer within 0.1 s"
    assert refused.value.message.startswith("ConnectError: ")
    assert "s3cret" not in refused.value.message


REFUSED = [
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_addresses_that_are_refused(url: str) -> None:
    """Where clouds keep the secrets of a machine: when it is named, and when it is used."""
    with pytest.raises(InputError) as named:
        webhook.check_address(url)
    with pytest.raises(InputError) as used:
        posted(url)

    assert named.value.message.startswith("nothing is sent to ")
    assert used.value.message.endswith(": at such an address clouds keep the secrets of a machine")
    assert named.value.hint == "name another receiver"


def test_a_name_of_such_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out when it is looked up."""

    def looked_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    webhook.check_address("http://metadata.example/")
    with pytest.raises(InputError, match=r"nothing is sent to 169\.254\.169\.254"):
        posted("http://metadata.example/")


@pytest.mark.parametrize("url", ["", "ftp://host/", "http://", "hooks", "file:///etc/passwd"])
def test_what_is_no_address(url: str) -> None:
    """Nothing can be sent there."""
    with pytest.raises(InputError) as caught:
        webhook.check_address(url)
    assert caught.value.message == (
        "a webhook must be an address: http://HOST/PATH or https://HOST/PATH"
    )
    assert caught.value.hint == "for example: https://example.org/hooks/tuner"


@pytest.mark.parametrize("url", ["https://example.org/hooks", "http://10.0.0.7:8080/"])
def test_addresses_that_are_taken(url: str) -> None:
    """Also in a network of one's own."""
    webhook.check_address(url)
