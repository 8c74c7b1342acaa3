"""The client of a service: streams that break are taken up again, and nothing is done twice."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.servers.certificates import Certificates
from tuner.clients import service
from tuner.clients.service import LostError, ServiceClient, ServiceEvent, is_loopback, parsed
from tuner.errors import InputError, TunerError

JOB = {"id": 1, "study": "night", "ended_at": "2026-01-01T00:00:00Z"}
EVENTS = [ServiceEvent(f"{n}-0", "said", {"text": str(n)}) for n in range(1, 6)]


class Scripted(ThreadingHTTPServer):
    """Tells two events, then breaks off; whoever comes back is told the next two."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked_after: list[str] = []
        self.keys: list[str] = []
        self.failing = self.unavailable = 0
        self.location = ""
        self.answer: tuple[int, str] = (201, json.dumps(JOB))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        if self.path.endswith("/events"):
            self._stream(self.headers.get("Last-Event-ID", ""))
        elif self.server.unavailable:
            self.server.unavailable -= 1
            self._answer(503, '{"detail": "the database is away"}')
        else:
            self._answer(200, json.dumps(JOB))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers.get("Idempotency-Key", ""))
        if self.server.failing:
            self.server.failing -= 1
            self.close_connection = True
            return
        self._answer(*self.server.answer)

    def _stream(self, after: str) -> None:
        self.server.asked_after.append(after)
        seen = int(after.partition("-")[0] or 0)
        if seen == len(EVENTS):
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        text = "id: 0-0\nretry: 2000\n\n: still here\n\n"
        for event in EVENTS[seen : seen + 2]:
            text += f"id: {event.id}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n"
        text += "id: 9-9\nevent: said\ndata: {cut o"  # no event: its end never comes
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
        self.close_connection = True

    def _answer(self, status: int, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setattr(service, "_PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(service, "_LOOK_AGAIN_S", 0.01)
    with Scripted() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(scripted: Scripted) -> Iterator[ServiceClient]:
    with ServiceClient(f"http://127.0.0.1:{scripted.server_port}/") as found:
        yield found


def test_a_stream_that_breaks(scripted: Scripted, client: ServiceClient) -> None:
    """It is gone on with after the last event that came whole, until all is told."""
    lost: list[LostError] = []
    assert list(client.followed("night", lost.append)) == EVENTS
    assert lost == []  # each time, it told something
    assert scripted.asked_after == ["", "2-0", "4-0", "5-0"]


def test_a_service_that_stays_away(
    scripted: Scripted, client: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(service, "_PATIENCE_S", 0.05)
    lost: list[LostError] = []
    followed = client.followed("night", lost.append)
    assert [next(followed), next(followed)] == EVENTS[:2]
    scripted.shutdown()
    scripted.server_close()
    with pytest.raises(LostError, match="no service answers at"):
        list(followed)
    assert [type(each) for each in lost] == [LostError]


def test_what_is_read_of_a_job_that_is_followed(scripted: Scripted, client: ServiceClient) -> None:
    """Its result is waited for as its events are, where the service restarts just then."""
    list(client.followed("night"))
    scripted.unavailable = 2
    assert client.get("/studies/night") == JOB


def test_a_redirect(scripted: Scripted, client: ServiceClient) -> None:
    """It is not followed, which would hand on the token; where it leads is said."""
    scripted.answer, scripted.location = (308, ""), "https://tuner.example.org/"
    with pytest.raises(InputError, match="answered 308 Permanent Redirect") as refusal:
        client.post("/jobs", {})
    assert refusal.value.hint == "it leads to https://tuner.example.org/: name the service there"


def test_a_submission_whose_answer_is_lost(scripted: Scripted, client: ServiceClient) -> None:
    """It is repeated with the same key: the service makes one job of them."""
    scripted.failing = 2
    assert client.post("/jobs", {}, key="abc") == JOB
    assert scripted.keys == ["abc"] * 3


def test_what_must_not_be_done_twice(scripted: Scripted, client: ServiceClient) -> None:
    """Without a key it is not repeated."""
    scripted.failing = 1
    with pytest.raises(LostError, match=r"did not answer POST /api/v1/jobs/1/stop"):
        client.post("/jobs/1/stop", {})
    assert len(scripted.keys) == 1


@pytest.mark.parametrize(
    ("status", "content", "message"),
    [
        (404, "<html>nothing", "answered 404 Not Found to POST /api/v1/jobs, and not as `tuner"),
        (200, "hello", r"answered 200 OK to POST /api/v1/jobs, and not as .* does: `hello`"),
        (200, "[1]", r"does: `\[1\]`"),
        (502, "bad gateway", "answers 502 Bad Gateway"),
        (422, '{"detail": "d", "exit_status": "x"}', "answered 422"),
        (409, '{"detail": "it is over", "hint": "wait", "exit_status": 1}', "it is over"),
    ],
)
def test_other_answers(
    scripted: Scripted, client: ServiceClient, status: int, content: str, message: str
) -> None:
    """What is no answer of a service is told from a problem that one has."""
    scripted.answer = (status, content)
    with pytest.raises(TunerError, match=message):
        client.post("/jobs", {}, key="abc")


def test_the_format_of_events() -> None:
    """As the HTML standard has it: several lines of data, comments, fields without a blank."""
    lines = [": hello", "", "id:7-1", "event:said", "data:{", 'data:"a": 1}', "", "data: {", ""]
    assert list(parsed(iter(lines[:7]))) == [ServiceEvent("7-1", "said", {"a": 1})]


def test_loopback() -> None:
    """What is of this machine needs no proxy, and TLS only where one likes."""
    near = ("http://127.0.0.1:8900", "http://localhost", "https://[::1]:1", "http://127.1.2.3")
    assert all(map(is_loopback, near))
    assert not any(
        map(
            is_loopback,
            ("http://tuner", "https://10.0.0.1", "http://localhost.org", "http://127.example.org"),
        )
    )


def test_certificates_are_checked(certificates: Certificates, scripted: Scripted) -> None:
    """Of an authority that nobody knows, one has to name the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    scripted.socket = context.wrap_socket(scripted.socket, server_side=True)
    url = f"https://localhost:{scripted.server_port}"
    with (
        ServiceClient(url) as unknowing,
        pytest.raises(InputError, match=f"the certificate of {url} is not trusted") as refusal,
    ):
        unknowing.post("/jobs", {})
    assert refusal.value.hint.endswith("TUNER_SERVICE_CA=ca.pem")
    near = f"{url.replace('https', 'http')}"
    with ServiceClient(near) as plain, pytest.raises(LostError) as lost:
        plain.post("/jobs", {})
    assert lost.value.hint == "with TLS, it is https://..."
    with ServiceClient(url, ca_file=certificates.ca_certificate) as client:
        assert client.post("/jobs", {}) == JOB
