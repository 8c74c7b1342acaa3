"""What is asked again is answered with what was sent before, without being read."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.service.watched import waiting
from tuner.service.api.answers import Again
from tuner.service.service import Service

_END = b"\r\n\r\n"


@pytest.fixture
def kept_s() -> float:
    """Longer than any test takes."""
    return 600.0


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each piece that came was answered again."""
    seen: list[bool] = []
    find = Again.find

    def noting(again: Again, sent: bytes) -> bytes | None:
        answer = find(again, sent)
        seen.append(answer is not None)
        return answer

    monkeypatch.setattr(Again, "find", noting)
    return seen


class Conversation:
    """One connection to a service."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __enter__(self) -> "Conversation":
        url = self._client.base_url
        self._socket = socket.create_connection((url.host, url.port or 0), timeout=10)
        self._file = self._socket.makefile("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, sent: bytes) -> None:
        self._socket.sendall(sent)

    def answer(self) -> tuple[bytes, bytes]:
        """The head without its date, and the body of the next one."""
        head = [self._file.readline()]
        while (line := self._file.readline().strip()) != b"":
            head.append(line)
        length = next((int(x.split()[1]) for x in head if x.startswith(b"content-length")), 0)
        shown = b"\n".join(x for x in head if not x.startswith(b"date"))
        return shown, self._file.read(length)

    def told(self, sent: bytes) -> tuple[bytes, bytes]:
        self.send(sent)
        return self.answer()

    @property
    def is_over(self) -> bool:
        return self._file.read(1) == b""


@pytest.fixture
def connection(client: httpx.Client) -> Iterator[Conversation]:
    with Conversation(client) as begun:
        yield begun


def request(client: httpx.Client, path: str = "/api/v1/jobs/1", **headers: str) -> bytes:
    """As somebody who polls sends it."""
    token = client.headers["Authorization"]
    said = {"Host": client.base_url.netloc.decode(), "Authorization": token, **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join(lines).encode() + _END


def test_the_same_is_answered_again(
    service: Service, client: httpx.Client, connection: Conversation, found: list[bool]
) -> None:
    """With the same head and body, also on another connection, and it is counted."""
    waiting(service)
    asks = request(client)
    first = [connection.told(asks) for _ in range(3)]
    with Conversation(client) as other:
        second = other.told(asks)

    assert first == [second] * 3
    assert second[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"id":1' in second[1]
    assert found == [False, True, True, True]
    assert 'tuner_http_requests_total{status="2xx"} 4.0' in client.get("/metrics").text


def test_who_has_it_already(
    service: Service, client: httpx.Client, connection: Conversation, found: list[bool]
) -> None:
    waiting(service)
    tag = client.get("/api/v1/jobs/1").headers["etag"]
    asks = request(client, **{"If-None-Match": tag})
    first, again = connection.told(asks), connection.told(asks)

    assert first == again
    assert (first[0].startswith(b"HTTP/1.1 304 Not Modified"), first[1]) == (True, b"")
    assert found[-1]


def test_a_change_is_seen(
    service: Service, client: httpx.Client, connection: Conversation
) -> None:
    waiting(service)
    asks = request(client)
    before = [connection.told(asks)[1] for _ in range(2)]
    client.post("/api/v1/jobs/1/cancel")

    assert all(b'"queued"' in each for each in before)
    assert b'"cancelled"' in connection.told(asks)[1]


def test_another_token_is_another_request(
    service: Service, client: httpx.Client, connection: Conversation
) -> None:
    """A stranger is told nothing of what others have just been told; nor twice."""
    waiting(service)
    connection.told(request(client))
    strange = request(client, Authorization="Bearer nothing")

    assert [connection.told(strange)[0].split()[1] for _ in range(2)] == [b"401"] * 2
    assert connection.told(request(client))[0].split()[1] == b"200"


def test_a_body_that_looks_like_a_request(
    service: Service, client: httpx.Client, connection: Conversation, found: list[bool]
) -> None:
    """Is none, whatever was answered before; then each request is read."""
    waiting(service)
    asks = request(client)
    connection.told(asks)
    head = request(client, "/api/v1/jobs", **{"Content-Length": str(len(asks))})
    connection.send(head)
    connection.told(asks)
    del found[:]

    assert connection.told(asks)[0].split()[1] == b"200"
    assert found == []


def test_requests_that_come_in_pieces_or_together(
    service: Service, client: httpx.Client, connection: Conversation
) -> None:
    """Each is answered once, in turn."""
    waiting(service)
    asks = request(client)
    whole = connection.told(asks)
    connection.send(asks[:20])
    in_pieces = connection.told(asks[20:])
    together = connection.told(asks * 3), connection.answer(), connection.answer()

    assert {whole, in_pieces, *together} == {whole}


def test_who_ends_the_connection(
    service: Service, client: httpx.Client, connection: Conversation
) -> None:
    """Asks for one answer, also of what is kept."""
    waiting(service)
    asks = request(client, Connection="close")
    with Conversation(client) as other:
        first = other.told(asks)
    again = connection.told(asks)

    assert first == again
    assert connection.is_over
